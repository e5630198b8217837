// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// A model with request fields and time limits of its own around another one.
public struct Adjusted: Model {
    /// The name it has.
    public let name: String

    private let model: any Model
    private let overrides: [FieldOverride]
    private let timeouts: TimeoutOverrides

    /// Wraps `model`; `name` is the wrapped one's where none is given.
    public init(
        _ model: any Model, name: String? = nil, overrides: [FieldOverride] = [],
        timeouts: TimeoutOverrides = TimeoutOverrides()
    ) {
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
        return try await model.answer(call)
    }
}
