// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// A name that is known but cannot answer, e.g. one whose feature is not built yet.
public struct Unavailable: Model {
    /// The name it has.
    public let name: String
    /// What every call gets.
    public let error: ParleyError

    /// Answers every call of `name` with `error`.
    public init(_ name: String, _ error: ParleyError) {
        self.name = name
        self.error = error
    }

    /// Fails.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        throw error
    }
}
