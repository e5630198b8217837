// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// A change to an object's members. Edits apply one after the other, each to what the ones before it left.
public enum JSONEdit: Sendable, Equatable {
    /// Gives every member of this name the value, or appends one. `json` must be JSON text.
    case set(String, json: String)
    /// Appends a member unless there is one of this name, even with the value null. `json` must be JSON text.
    case setDefault(String, json: String)
    /// Takes out every member of this name.
    case remove(String)
    /// Gives every member of this name another one; where that name is taken already, takes them out instead, so that
    /// no key comes twice.
    case rename(String, to: String)
}

/// What becomes of one member: the numbers of the edits that give its key and its value, or -1 where they stay as they
/// are in the scanned text. Numbers, since copying strings here would cost more than the edit.
private struct Change {
    var key: Int32 = -1
    var value: Int32 = -1
    var isRemoved = false

    var isChange: Bool { isRemoved || value >= 0 || key >= 0 }
}

extension JSONScan {
    /// The text with the edits made, in one copy; every byte that no edit touches is copied as it is.
    ///
    /// - Parameter extraCapacity: bytes to have spare in the result for the caller's own additions.
    public func applying(_ edits: [JSONEdit], extraCapacity: Int = 0) -> ByteBuffer {
        bytes.withUnsafeReadableBytes { raw in
            var plan = EditPlan(members: members, edits: edits, raw: raw)
            var room = raw.count + max(0, extraCapacity)
            for index in edits.indices {
                room += edits[index].room
                plan.apply(Int32(truncatingIfNeeded: index))
            }
            var out = ByteBufferAllocator().buffer(capacity: room)
            plan.write(into: &out, opening: opening)
            return out
        }
    }
}

extension JSONEdit {
    /// About how many bytes the edit adds.
    fileprivate var room: Int {
        switch self {
        case .set(let name, let json), .setDefault(let name, let json): name.utf8.count + json.utf8.count + 4
        case .remove: 0
        case .rename(_, let name): name.utf8.count
        }
    }

    /// The key that the edit gives.
    fileprivate var key: String {
        switch self {
        case .set(let name, _), .setDefault(let name, _), .remove(let name), .rename(_, let name): name
        }
    }

    /// The value that the edit gives.
    fileprivate var value: String {
        switch self {
        case .set(_, let json), .setDefault(_, let json): json
        case .remove, .rename: "null"
        }
    }
}

/// The members of the scanned text and those added behind them, with what the edits so far made of each.
private struct EditPlan {
    let members: [JSONMember]
    let edits: [JSONEdit]
    let raw: UnsafeRawBufferPointer
    var changes: [Change] = []

    init(members: [JSONMember], edits: [JSONEdit], raw: UnsafeRawBufferPointer) {
        self.members = members
        self.edits = edits
        self.raw = raw
        changes.reserveCapacity(members.count + edits.count)
        for _ in members { changes.append(Change()) }
    }

    /// Makes the edit of this number.
    mutating func apply(_ number: Int32) {
        switch edits[Int(number)] {
        case .set(let name, _):
            if !forEach(name, { $0.value = number }) { changes.append(Change(key: number, value: number)) }
        case .setDefault(let name, _):
            if !forEach(name, { _ in }) { changes.append(Change(key: number, value: number)) }
        case .remove(let name):
            forEach(name) { $0.isRemoved = true }
        case .rename(let name, let new):
            guard name != new else { return }
            let isTaken = forEach(new) { _ in }
            forEach(name) { isTaken ? ($0.isRemoved = true) : ($0.key = number) }
        }
    }

    /// Changes every member of this name that is still there.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    @inline(__always)
    private mutating func forEach(_ name: String, _ body: (inout Change) -> Void) -> Bool {
        var name = name
        return name.withUTF8 { name in
            let name = UnsafeRawBufferPointer(name)
            var isFound = false
            for index in changes.indices where !changes[index].isRemoved {
                let isMatch =
                    if changes[index].key >= 0 {
                        edits[Int(changes[index].key)].key.utf8.elementsEqual(name)
                    } else {
                        index < members.count && JSONScan.matches(members[index].found, name, in: raw)
                    }
                if isMatch {
                    isFound = true
                    body(&changes[index])
                }
            }
            return isFound
        }
    }

    func write(into out: inout ByteBuffer, opening: Int) {
        // Everything before this offset is written or left out.
        var done = 0
        var isFirst = true
        func copy(upTo end: Int) {
            if end > done { out.writeBytes(UnsafeRawBufferPointer(rebasing: raw[done..<end])) }
            done = max(done, end)
        }
        for index in members.indices {
            if !isFirst, !changes[index].isChange { continue }
            let member = members[index]
            let start = member.key.lowerBound - 1
            if changes[index].isRemoved {
                copy(upTo: index == 0 ? start : members[index - 1].value.upperBound)
                done = member.value.upperBound
                continue
            }
            // The comma before the first member that stays goes with those that went.
            if isFirst, index > 0 { done = start }
            isFirst = false
            if changes[index].key >= 0 {
                copy(upTo: start)
                out.writeJSONString(edits[Int(changes[index].key)].key)
                done = member.key.upperBound + 1
            }
            if changes[index].value >= 0 {
                copy(upTo: member.value.lowerBound)
                out.writeString(edits[Int(changes[index].value)].value)
                done = member.value.upperBound
            }
        }
        copy(upTo: members.last?.value.upperBound ?? opening)
        for change in changes[members.count...] where !change.isRemoved {
            if !isFirst { out.writeInteger(UInt8(ascii: ",")) }
            isFirst = false
            out.writeJSONString(edits[Int(change.key)].key)
            out.writeInteger(UInt8(ascii: ":"))
            out.writeString(edits[Int(change.value)].value)
        }
        copy(upTo: raw.count)
    }
}
