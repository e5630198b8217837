// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

// Going further down than the top level, for the few places where that is cheaper than a tree.
extension JSONScan {
    /// The member's value as an object of its own; nil where it is none. Offsets in it count from its own start.
    public func object(_ name: String) -> JSONScan? {
        guard let member = member(name) else { return nil }
        return object(member.value)
    }

    /// The object at `range` of this text; nil where there is none.
    public func object(_ range: Range<Int>) -> JSONScan? {
        guard let slice = slice(range), slice.isObject else { return nil }
        return try? JSONScan(slice)
    }

    /// Where the elements of the array `name` are in this text; nil where it is no array.
    public func elements(_ name: String) -> [Range<Int>]? {
        guard let member = member(name) else { return nil }
        return bytes.withUnsafeReadableBytes { raw -> [Range<Int>]? in
            guard var walk = JSONText(raw).elements(at: member.value.lowerBound) else { return nil }
            var elements: [Range<Int>] = []
            do throws(JSONError) {
                while let element = try walk.next() { elements.append(element) }
            } catch {
                return nil
            }
            return elements
        }
    }

    /// The member's value where it is a whole number that fits, also when written `5.0` or `5e0`; else nil.
    public func int(_ name: String) -> Int? {
        guard let member = member(name) else { return nil }
        return bytes.withUnsafeReadableBytes { JSONText($0).int(member.value) }
    }

    /// Whether the member's value is null or an empty string, array or object.
    public func isBlank(_ member: JSONMember) -> Bool {
        bytes.withUnsafeReadableBytes { JSONText($0).isBlank(member.value) }
    }
}

extension ByteBuffer {
    fileprivate var isObject: Bool { getInteger(at: readerIndex, as: UInt8.self) == UInt8(ascii: "{") }
}
