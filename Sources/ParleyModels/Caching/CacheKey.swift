// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// What makes two calls the same: the same caller, model and request, whatever dialect they came in.
///
/// The request itself is compared, not a digest of it, so that two different ones are never taken for one.
public struct CacheKey: Hashable, Sendable {
    private let caller: String
    private let model: String
    private let isStrict: Bool
    private let request: ChatRequest

    /// The key of a call of the model called `model`.
    ///
    /// - Parameter request: the call's request in the neutral form, overrides included.
    public init(_ call: Call, model: String, _ request: ChatRequest) {
        caller = call.caller
        self.model = model
        isStrict = call.isStrict
        var request = request
        // How the answer travels is no part of the question.
        request.stream = false
        request.includeUsage = false
        request.model = ""
        self.request = request
    }

    /// Mixes in what most often differs; the rest is left to the comparison.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(caller)
        hasher.combine(model)
        hasher.combine(request.messages.count)
        hasher.combine(request.temperature)
        hasher.combine(request.maxTokens)
        hasher.combine(request.tools.count)
        for message in request.messages {
            hasher.combine(message.role)
            for case .text(let text) in message.content { hasher.combine(text) }
        }
    }

    /// About how much memory the key takes.
    var size: Int { Footprint.of(request).clampedSum(caller.utf8.count + model.utf8.count + 256) }
}
