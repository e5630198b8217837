// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A value that must never be printed: a key, a token, a password.
///
/// Descriptions, interpolation, mirrors and `dump` show `<secret>` only; ``reveal()`` is the one way to the value.
public struct Secret: Sendable, Hashable {
    private let value: String

    /// Wraps a value.
    public init(_ value: String) {
        self.value = value
    }

    /// The value itself. Call it where the value is used, never where it is described.
    public func reveal() -> String { value }

    /// Whether the value is the empty string.
    public var isEmpty: Bool { value.isEmpty }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// `<secret>`, always.
    public var description: String { "<secret>" }
    /// `<secret>`, always.
    public var debugDescription: String { "<secret>" }
    /// A mirror without children.
    public var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}
