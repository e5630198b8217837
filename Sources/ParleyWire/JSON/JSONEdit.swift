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

/// What becomes of one member: nil leaves its key or value as it is in the scanned text.
private struct Change {
    var key: String?
    var value: String?
    var isRemoved = false

    var isChange: Bool { isRemoved || value != nil || key != nil }
}

extension JSONScan {
    /// The text with the edits made, in one copy; every byte that no edit touches is copied as it is.
    ///
    /// - Parameter extraCapacity: bytes to have spare in the result for the caller's own additions.
    public func applying(_ edits: [JSONEdit], extraCapacity: Int = 0) -> ByteBuffer {
        bytes.withUnsafeReadableBytes { raw in
            var plan = EditPlan(members: members, raw: raw)
            var room = raw.count + max(0, extraCapacity)
            for edit in edits {
                room += edit.room
                plan.apply(edit)
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
}

/// The members of the scanned text and those added behind them, with what the edits so far made of each.
private struct EditPlan {
    let members: [JSONMember]
    let raw: UnsafeRawBufferPointer
    var changes: [Change]

    init(members: [JSONMember], raw: UnsafeRawBufferPointer) {
        self.members = members
        self.raw = raw
        changes = Array(repeating: Change(), count: members.count)
        changes.reserveCapacity(members.count + 4)
    }

    mutating func apply(_ edit: JSONEdit) {
        switch edit {
        case .set(let name, let json):
            if !forEach(name, { $0.value = json }) { changes.append(Change(key: name, value: json)) }
        case .setDefault(let name, let json):
            if !forEach(name, { _ in }) { changes.append(Change(key: name, value: json)) }
        case .remove(let name):
            forEach(name) { $0.isRemoved = true }
        case .rename(let name, let new):
            guard name != new else { return }
            let isTaken = forEach(new) { _ in }
            forEach(name) { isTaken ? ($0.isRemoved = true) : ($0.key = new) }
        }
    }

    /// Changes every member of this name that is still there.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    private mutating func forEach(_ name: String, _ body: (inout Change) -> Void) -> Bool {
        var name = name
        return name.withUTF8 { name in
            let name = UnsafeRawBufferPointer(name)
            var isFound = false
            for index in changes.indices where !changes[index].isRemoved {
                let isMatch =
                    if let key = changes[index].key {
                        key.utf8.count == name.count && key.utf8.elementsEqual(name)
                    } else {
                        index < members.count && JSONScan.matches(members[index], name, in: raw)
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
            if let key = changes[index].key {
                copy(upTo: start)
                out.writeJSONString(key)
                done = member.key.upperBound + 1
            }
            if let value = changes[index].value {
                copy(upTo: member.value.lowerBound)
                out.writeString(value)
                done = member.value.upperBound
            }
        }
        copy(upTo: members.last?.value.upperBound ?? opening)
        for change in changes[members.count...] where !change.isRemoved {
            if !isFirst { out.writeInteger(UInt8(ascii: ",")) }
            isFirst = false
            out.writeJSONString(change.key ?? "")
            out.writeInteger(UInt8(ascii: ":"))
            out.writeString(change.value ?? "null")
        }
        copy(upTo: raw.count)
    }
}
