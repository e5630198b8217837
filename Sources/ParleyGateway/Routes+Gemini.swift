// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// The paths of Gemini's API: the model and what to do with it are in the path, told apart by a colon.
extension Route {
    private enum Method: Substring {
        case generate = "generateContent"
        case stream = "streamGenerateContent"
        case count = "countTokens"
        case embed = "embedContent"
        case batchEmbed = "batchEmbedContents"
    }

    /// `/v1beta/models…`, and the same methods under `/v1/models/…`; nil for every other path.
    ///
    /// Google's SDK 3 writes the colon as `%3A`. A model's own name may have colons and slashes: the last colon counts,
    /// and only before a method that exists.
    static func gemini(_ path: Substring, target: String) -> Route? {
        let isBeta = path.hasPrefix("/v1beta/") || path.hasPrefix("/v1alpha/")
        guard isBeta || path.hasPrefix("/v1/models/") else { return nil }
        let rest = path.dropFirst().drop { $0 != "/" }
        if rest == "/models" { return .models(.gemini) }
        guard rest.hasPrefix("/models/") || rest.hasPrefix("/tunedModels/") else { return nil }
        let isTuned = rest.hasPrefix("/tunedModels/")
        let name = percentDecoded(isTuned ? rest.dropFirst() : rest.dropFirst("/models/".count))
        guard let colon = name.lastIndex(of: ":"), let method = Method(rawValue: name[name.index(after: colon)...])
        else {
            return isBeta && !name.isEmpty ? .model(name, .gemini) : nil
        }
        let model = String(name[..<colon])
        guard !model.isEmpty else { return nil }
        switch method {
        case .generate: return .generate(Generation(dialect: .gemini, model: model, stream: false))
        case .stream:
            let asArray = query("alt", of: target) != "sse"
            return .generate(Generation(dialect: .gemini, model: model, stream: true, asArray: asArray))
        case .count: return .countTokens(Generation(dialect: .gemini, model: model))
        case .embed, .batchEmbed: return .embed(Embedding(dialect: .gemini, model: model))
        }
    }
}
