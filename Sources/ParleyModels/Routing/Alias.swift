// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// Another name for a model.
public struct Alias: Model {
    /// The alias.
    public let name: String

    let model: any Model

    /// Calls `model` by `name`.
    public init(_ name: String, of model: any Model) {
        self.name = name
        self.model = model
    }

    /// What the name stands for in the end.
    public var target: any Model { model.target }

    /// Answers as the model behind the name does.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        try await model.answer(call)
    }
}
