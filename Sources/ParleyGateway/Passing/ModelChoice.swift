// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyModels
import ParleyProviders

/// Whom a request is passed on to.
struct ModelChoice {
    /// What answers.
    let model: any Model
    /// The model's name as it was asked for; nil where the provider alone was chosen.
    let name: String?
}

extension ModelChoice {
    /// What a form is told whose model comes too late.
    static let sendFirst = ParleyError(
        .invalid, "Send the field model before the file, or name the model in the header x-parley-model.",
        code: "model_after_file", parameter: "model")
}

extension KeyRecord {
    /// Whether it may use some models only.
    var isBound: Bool { forcedModel != nil || !Directory.allowed("*", patterns: models) }
}

extension Exchange {
    /// Finds the model that a request is passed on to, or the provider where it names none.
    ///
    /// - Parameters:
    ///   - named: the model in the body.
    ///   - isOpen: whether the body may still name one behind what was read.
    func choose(
        for passed: PassedRequest, named: String?, isOpen: Bool, _ key: KeyRecord
    ) async throws(ParleyError) -> ModelChoice {
        // What is in a file or a batch is not looked into: it may name any model.
        let isStored = passed.kind == .files || passed.kind == .batches
        if isStored, key.forcedModel != nil { throw Self.boundKey(key) }
        let provider = Route.query("provider", of: request.head.target) ?? request.head.chosenProvider
        var name = named ?? request.head.chosenModel
        if key.forcedModel != nil { name = key.forced(name) }
        if name?.isEmpty == true { name = nil }
        if key.forcedModel == nil, let given = name, let provider, !given.hasPrefix("\(provider)/") {
            name = "\(provider)/\(given)"
        }
        if let name {
            let owner = name.contains("/") ? String(name.prefix { $0 != "/" }) + "/*" : "*"
            if isStored, !Directory.allowed(owner, patterns: key.models) { throw Self.boundKey(key) }
            return ModelChoice(model: try await resolve(name, key), name: name)
        }
        if isOpen, key.isBound { throw ModelChoice.sendFirst }
        return ModelChoice(model: try onlyProvider(of: passed, provider, isOpen: isOpen, key), name: nil)
    }

    /// The provider that was chosen, or the only one that is known to have this.
    private func onlyProvider(
        of passed: PassedRequest, _ chosen: String?, isOpen: Bool, _ key: KeyRecord
    ) throws(ParleyError) -> any Model {
        let offering = snapshot.providers.compactMap { provider in
            provider.passing(passed).map { (name: provider.name, model: $0) }
        }
        let names = offering.map(\.name).joined(separator: ", ")
        let found: (name: String, model: any Model)
        if let chosen {
            guard let match = offering.first(where: { $0.name == chosen }) else {
                throw ParleyError(
                    .notFound,
                    "There is no provider \"\(chosen.prefix(200))\" for \(passed.path)."
                        + (names.isEmpty ? "" : " There are: \(names)."),
                    code: "provider_not_found", parameter: "provider")
            }
            found = match
        } else if offering.count == 1, let only = offering.first {
            found = only
        } else if offering.isEmpty {
            throw ParleyError(
                .notFound, "No provider of this server is known to have \(passed.path).",
                code: "provider_not_found", parameter: "provider")
        } else if isOpen {
            throw ModelChoice.sendFirst
        } else {
            throw ParleyError(
                .invalid,
                "Several providers have \(passed.path): \(names). Name a model, or choose one with ?provider=NAME or the "
                    + "header x-parley-provider.", code: "provider_ambiguous", parameter: "provider")
        }
        // A request without a model is for keys that may use every model of the provider.
        guard key.forcedModel == nil, Directory.allowed("\(found.name)/*", patterns: key.models) else {
            throw Self.boundKey(key)
        }
        return found.model
    }

    private static func boundKey(_ key: KeyRecord) -> ParleyError {
        ParleyError(
            .forbidden,
            "The key \"\(key.name)\" may use some models only; this request could reach others.",
            code: "model_not_allowed", parameter: "model")
    }
}
