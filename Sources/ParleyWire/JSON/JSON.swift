// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// Why a text is not JSON.
public struct JSONError: Error, Equatable, Sendable {
    /// The offset of the byte at fault, from the start of the text.
    public var offset: Int
    /// What is wrong there, in a few words; never quotes the text.
    public var message: String

    /// A fault at a byte.
    public init(offset: Int, message: String) {
        self.offset = offset
        self.message = message
    }
}

/// Reading and writing JSON text (RFC 8259).
public enum JSON {
    /// The deepest nesting anything here accepts, since reading a tree uses the stack.
    static let deepest = 512

    /// Reads one JSON text: UTF-8, number grammar and nesting are checked, and nothing may follow the value.
    ///
    /// Numbers keep their text and members their order. An escaped surrogate without its partner, which has no
    /// character, becomes U+FFFD.
    /// - Parameter maximumDepth: how many arrays and objects may be open at once; at most 512.
    public static func parse(_ bytes: ByteBuffer, maximumDepth: Int = 128) throws(JSONError) -> JSONValue {
        try bytes.withUnsafeReadableBytes { raw throws(JSONError) in
            try JSONReader.tree(raw, maximumDepth: maximumDepth)
        }
    }

    /// Reads one JSON text, as the other `parse` does.
    public static func parse(_ text: String) throws(JSONError) -> JSONValue {
        var text = text
        let result = text.withUTF8 { utf8 -> Result<JSONValue, JSONError> in
            do throws(JSONError) {
                return .success(try JSONReader.tree(UnsafeRawBufferPointer(utf8), maximumDepth: 128))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// A value as compact text: members in their order, numbers as they were written.
    public static func text(_ value: JSONValue) -> String {
        var buffer = ByteBuffer()
        buffer.writeJSON(value)
        return String(buffer: buffer)
    }
}
