// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// A model with request fields, time limits and a system message of its own around another one.
public struct Adjusted: Model {
    /// The name it has.
    public let name: String

    let model: any Model
    let overrides: [FieldOverride]
    let timeouts: TimeoutOverrides
    let system: String?

    /// Wraps `model`; `name` is the wrapped one's where none is given.
    public init(
        _ model: any Model, name: String? = nil, overrides: [FieldOverride] = [],
        timeouts: TimeoutOverrides = TimeoutOverrides(), system: String? = nil
    ) {
        self.system = system
        self.name = name ?? model.name
        self.model = model
        self.overrides = overrides
        self.timeouts = timeouts
    }

    /// Answers with the fields and limits set where no layer above set them.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        var call = call
        // What the layers above said comes later in the list, and so wins: they are nearer to what was asked for.
        call.overrides.insert(contentsOf: overrides, at: 0)
        call.timeouts = call.timeouts.filled(from: timeouts)
        if let system, call.operation == .chat || call.operation == .countTokens { try instruct(&call, system) }
        return try await model.answer(call)
    }

    /// Puts the system message before the client's own.
    private func instruct(_ call: inout Call, _ system: String) throws(ParleyError) {
        var request = try call.neutralRequest()
        request.messages.insert(Message(.system, text: system), at: 0)
        call.replaceRequest(with: request)
    }
}
