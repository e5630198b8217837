// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
public import ParleyCore
public import ParleyWire

extension OpenAIChat {
    /// Checks on a scan what must be right for any upstream: that there are messages, each an object with a string
    /// role, and that the documented fields have the right JSON type. Null is a field not said.
    ///
    /// - Throws: `invalid`, naming the field by its path, in OpenAI's wording.
    public static func validate(scan: JSONScan) throws(ParleyError) {
        try scan.bytes.withUnsafeReadableBytes { raw throws(ParleyError) in
            try RequestValidator(raw: raw).check(scan)
        }
    }
}

/// The checks of `OpenAIChat.validate`, on text that a scan found to be JSON.
private struct RequestValidator {
    let raw: UnsafeRawBufferPointer

    func check(_ scan: JSONScan) throws(ParleyError) {
        let text = JSONText(raw)
        if let model = scan.member(named: "model") { try check(model.value, .string, "model") }
        var messages: Range<Int>?
        for member in scan.members {
            if member.isNamed("messages", in: text) { messages = member.value }
            guard let entry = ChatField.shape(of: member, in: text) else { continue }
            try check(member.value, entry.shape, entry.name)
        }
        guard let messages, !text.isNull(messages) else { throw RequestFault.missing("messages") }
        try checkMessages(messages)
    }

    private func check(_ range: Range<Int>, _ shape: ChatField.Shape, _ name: StaticString) throws(ParleyError) {
        guard range.lowerBound < range.upperBound, range.upperBound <= raw.count else { return }
        let first = raw[range.lowerBound]
        if first == UInt8(ascii: "n") { return }
        let fits =
            switch shape {
            case .string: first == UInt8(ascii: "\"")
            case .bool: first == UInt8(ascii: "t") || first == UInt8(ascii: "f")
            case .integer: isNumber(first) && isWhole(range)
            case .decimal: isNumber(first)
            case .array: first == UInt8(ascii: "[")
            case .object: first == UInt8(ascii: "{")
            case .textOrArray: first == UInt8(ascii: "\"") || first == UInt8(ascii: "[")
            case .textOrObject: first == UInt8(ascii: "\"") || first == UInt8(ascii: "{")
            }
        guard fits else { throw RequestFault.type("\(name)", expected: shape.expected, got: kind(range)) }
        // `n` is the only name of one letter.
        if name.utf8CodeUnitCount == 1, let count = Int(text(range)), count < 1 {
            throw RequestFault.below("n", minimum: 1, got: count)
        }
    }

    private func isNumber(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "-") || byte &- 0x30 < 10 }

    private func hasFraction(_ range: Range<Int>) -> Bool {
        raw[range].contains { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }
    }

    /// Whether a number is an integer, also when it is written `5.0`.
    private func isWhole(_ range: Range<Int>) -> Bool {
        guard hasFraction(range) else { return true }
        guard let value = Double(text(range)) else { return false }
        return Int(exactly: value) != nil
    }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: raw[range].prefix(64), as: UTF8.self)
    }

    private func kind(_ range: Range<Int>) -> String {
        guard range.lowerBound < raw.count else { return "null" }
        switch raw[range.lowerBound] {
        case UInt8(ascii: "\""): return "a string"
        case UInt8(ascii: "["): return "an array"
        case UInt8(ascii: "{"): return "an object"
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return "a boolean"
        case UInt8(ascii: "n"): return "null"
        default: return hasFraction(range) ? "a decimal" : "an integer"
        }
    }

    // MARK: - Messages

    private func checkMessages(_ range: Range<Int>) throws(ParleyError) {
        guard range.lowerBound < raw.count, raw[range.lowerBound] == UInt8(ascii: "[") else {
            throw RequestFault.type("messages", expected: "an array of objects", got: kind(range))
        }
        var at = skipSpaces(range.lowerBound + 1)
        var index = 0
        while at < range.upperBound, raw[at] != UInt8(ascii: "]") {
            guard raw[at] == UInt8(ascii: "{") else {
                throw RequestFault.type("messages[\(index)]", expected: "an object", got: kind(at..<range.upperBound))
            }
            at = skipSpaces(try checkMessage(at + 1, index))
            if at < range.upperBound, raw[at] == UInt8(ascii: ",") { at = skipSpaces(at + 1) }
            index += 1
        }
        if index == 0 { throw RequestFault.empty("messages") }
    }

    /// Checks the object behind the brace before `start`.
    ///
    /// - Returns: the offset behind the object.
    private func checkMessage(_ start: Int, _ index: Int) throws(ParleyError) -> Int {
        var at = skipSpaces(start)
        var hasRole = false
        while at < raw.count, raw[at] == UInt8(ascii: "\"") {
            let end = skipString(at)
            let isRole = isRoleKey(at + 1, end - 1)
            at = skipSpaces(end)
            if at < raw.count, raw[at] == UInt8(ascii: ":") { at = skipSpaces(at + 1) }
            let value = at
            at = skipValue(at)
            if isRole {
                guard value < raw.count, raw[value] == UInt8(ascii: "\"") else {
                    throw RequestFault.type("messages[\(index)].role", expected: "a string", got: kind(value..<at))
                }
                hasRole = true
            }
            at = skipSpaces(at)
            if at < raw.count, raw[at] == UInt8(ascii: ",") { at = skipSpaces(at + 1) }
        }
        guard hasRole else { throw RequestFault.missing("messages[\(index)].role") }
        return at + 1
    }

    private func isRoleKey(_ low: Int, _ high: Int) -> Bool {
        guard high - low == 4, high <= raw.count else {
            // An escaped key may be `role` too: leave it to the upstream rather than refuse it wrongly.
            return high - low > 4 && high <= raw.count && raw[low..<high].contains(UInt8(ascii: "\\"))
                && unescapedIsRole(low, high)
        }
        return raw[low] == UInt8(ascii: "r") && raw[low + 1] == UInt8(ascii: "o") && raw[low + 2] == UInt8(ascii: "l")
            && raw[low + 3] == UInt8(ascii: "e")
    }

    private func unescapedIsRole(_ low: Int, _ high: Int) -> Bool {
        let quoted = "\"" + String(decoding: raw[low..<high], as: UTF8.self) + "\""
        return (try? JSON.parse(quoted)) == .string("role")
    }

    private func skipSpaces(_ start: Int) -> Int {
        var at = start
        while at < raw.count, raw[at] <= 0x20 { at += 1 }
        return at
    }

    /// Behind the string that begins at `start`.
    private func skipString(_ start: Int) -> Int {
        guard let base = raw.baseAddress else { return raw.count }
        var at = start + 1
        while at < raw.count {
            guard let quote = memchr(base + at, 0x22, raw.count - at) else { return raw.count }
            let found = base.distance(to: UnsafeRawPointer(quote))
            var slashes = 0
            while found - 1 - slashes > start, raw[found - 1 - slashes] == 0x5C { slashes += 1 }
            at = found + 1
            if slashes % 2 == 0 { return at }
        }
        return raw.count
    }

    /// Behind the value that begins at `start`.
    private func skipValue(_ start: Int) -> Int {
        var at = start
        var depth = 0
        while at < raw.count {
            switch raw[at] {
            case UInt8(ascii: "\""):
                at = skipString(at)
                if depth == 0 { return at }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return at }
                depth -= 1
                if depth == 0 { return at + 1 }
            case UInt8(ascii: ","):
                if depth == 0 { return at }
            default: break
            }
            at += 1
        }
        return at
    }
}
