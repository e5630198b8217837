// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
public import NIOCore
public import ParleyCore

/// One member found by a scan; offsets count from the scanned buffer's reader index.
public struct JSONMember: Sendable {
    /// Where the key is, inside its quotes.
    public var key: Range<Int>
    /// Where the value is, without the spaces around it.
    public var value: Range<Int>
    /// Whether the key has escapes and must be compared without them.
    @usableFromInline var keyIsEscaped: Bool
}

/// An object's members by position, found without building a tree: what a request needs that is passed on as it came.
///
/// The whole text is checked on the way (structure, strings, UTF-8, numbers, at most 128 levels), so that what passes
/// is JSON for whoever reads it next. An object, since it travels with a request for those who look at it again.
public final class JSONScan: RequestReading {
    /// The scanned text.
    public let bytes: ByteBuffer
    /// Every member of the object in order, repeated keys included.
    public let members: [JSONMember]
    /// Behind the object's opening brace.
    let opening: Int

    /// The scan of a text: the one that was made before, where it is of these very bytes.
    public static func of(_ bytes: ByteBuffer, known: (any RequestReading)?) throws(JSONError) -> JSONScan {
        if let known = known as? JSONScan, known.isScan(of: bytes) { return known }
        return try JSONScan(bytes)
    }

    /// Scans a text that is one object.
    public init(_ bytes: ByteBuffer) throws(JSONError) {
        var members: [JSONMember] = []
        members.reserveCapacity(16)
        opening = try bytes.withUnsafeReadableBytes { raw throws(JSONError) -> Int in
            try Self.scan(raw, into: &members)
        }
        self.bytes = bytes
        self.members = members
    }

    private static func scan(_ raw: UnsafeRawBufferPointer, into members: inout [JSONMember]) throws(JSONError) -> Int {
        var walk = try JSONText(raw).members()
        while let member = try walk.next() { members.append(member) }
        try walk.expectEnd()
        return walk.opening
    }

    /// Whether this is a scan of these very bytes: the same ones in memory, which nobody can have changed since, as the
    /// scan shares them.
    func isScan(of other: ByteBuffer) -> Bool {
        bytes.withUnsafeReadableBytes { mine in
            other.withUnsafeReadableBytes { theirs in
                mine.baseAddress == theirs.baseAddress && mine.count == theirs.count
            }
        }
    }

    /// The member `name`, the last one where it is repeated. Keys with escapes are compared without them.
    public func member(named name: StaticString) -> JSONMember? {
        bytes.withUnsafeReadableBytes { raw in
            let text = JSONText(raw)
            return members.last { $0.isNamed(name, in: text) }
        }
    }

    /// The member `name`, the last one where it is repeated. Keys with escapes are compared without them.
    public func member(_ name: String) -> JSONMember? {
        var name = name
        return name.withUTF8 { name in
            bytes.withUnsafeReadableBytes { raw in
                members.last { Self.matches($0.found, UnsafeRawBufferPointer(name), in: raw) }
            }
        }
    }

    /// Whether the key is `name`.
    @inline(__always)
    static func matches(_ key: JSONKey, _ name: UnsafeRawBufferPointer, in raw: UnsafeRawBufferPointer) -> Bool {
        if key.isEscaped { return matchesUnescaped(key, name, in: raw) }
        guard key.range.count == name.count, key.range.upperBound <= raw.count else { return false }
        guard let text = raw.baseAddress, let wanted = name.baseAddress else { return true }
        return memcmp(text + key.range.lowerBound, wanted, name.count) == 0
    }

    @inline(never)
    private static func matchesUnescaped(
        _ key: JSONKey, _ name: UnsafeRawBufferPointer, in raw: UnsafeRawBufferPointer
    ) -> Bool {
        guard key.range.upperBound <= raw.count, let reader = JSONReader(raw) else { return false }
        return reader.unescaped(key.range).utf8.elementsEqual(name)
    }
}

// MARK: - Values

extension JSONScan {
    /// The member's key without escapes.
    public func name(_ member: JSONMember) -> String {
        read(member.key) { reader in
            member.keyIsEscaped ? reader.unescaped(member.key) : reader.text(member.key)
        } ?? ""
    }

    /// The member's value as text without escapes; nil where it is no string.
    public func string(_ member: JSONMember) -> String? {
        bytes.withUnsafeReadableBytes { JSONText($0).string(member.value) }
    }

    /// The value of the member `name` as text without escapes; nil where it is no string.
    public func string(named name: StaticString) -> String? {
        guard let member = member(named: name) else { return nil }
        return string(member)
    }

    /// The truth value of the member `name`; nil where it has none.
    public func bool(named name: StaticString) -> Bool? {
        guard let member = member(named: name) else { return nil }
        return bool(member)
    }

    /// The member's truth value; nil where it has none.
    public func bool(_ member: JSONMember) -> Bool? {
        switch first(member) {
        case UInt8(ascii: "t"): true
        case UInt8(ascii: "f"): false
        default: nil
        }
    }

    /// The member's value as a tree.
    public func value(_ member: JSONMember) throws(JSONError) -> JSONValue {
        guard let slice = slice(member) else { throw JSONError(offset: 0, message: "not a member of this object") }
        do {
            return try JSON.parse(slice)
        } catch {
            throw JSONError(offset: error.offset + member.value.lowerBound, message: error.message)
        }
    }

    /// Whether the member's value is JSON's null.
    public func isNull(_ member: JSONMember) -> Bool { first(member) == UInt8(ascii: "n") }

    /// The bytes of the member's value, shared with the scanned buffer; nil for a member of another scan.
    public func slice(_ member: JSONMember) -> ByteBuffer? { slice(member.value) }

    /// The first byte of the member's value, which tells its kind.
    func first(_ member: JSONMember) -> UInt8 {
        bytes.withUnsafeReadableBytes { JSONText($0).first(member.value) }
    }

    func slice(_ range: Range<Int>) -> ByteBuffer? {
        bytes.getSlice(at: bytes.readerIndex + range.lowerBound, length: range.count)
    }

    /// Lends a reader that stands at the start of `range`; nil where that is outside the text.
    private func read<Value>(_ range: Range<Int>, _ body: (JSONReader) -> Value) -> Value? {
        bytes.withUnsafeReadableBytes { raw in
            guard range.upperBound <= raw.count, let reader = JSONReader(raw, at: range.lowerBound) else { return nil }
            return body(reader)
        }
    }
}
