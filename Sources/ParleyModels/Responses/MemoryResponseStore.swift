// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import Synchronization

/// Keeps answers in memory: so many and so many bytes, the oldest go first.
public final class MemoryResponseStore: ResponseStore {
    private struct Name: Hashable {
        var id: String
        var key: String
    }

    private struct Entry {
        var record: ResponseRecord
        var number: UInt64
    }

    private struct State {
        var entries: [Name: Entry] = [:]
        /// Names in the order they were saved, from `first` on; those replaced or removed since no longer match.
        var order: [(name: Name, number: UInt64)] = []
        var first = 0
        var conversations: [Name: [String]] = [:]
        /// How many keys have a record of an id.
        var holders: [String: Int] = [:]
        var bytes = 0
        var number: UInt64 = 0
    }

    private let state = Mutex(State())
    private let countLimit: Int
    private let byteLimit: Int

    /// An empty store.
    ///
    /// - Parameters:
    ///   - count: the most records.
    ///   - bytes: the most memory they may take, about.
    public init(count: Int = 10_000, bytes: Int = 256 << 20) {
        countLimit = max(0, count)
        byteLimit = max(0, bytes)
    }

    /// How many records there are.
    public var count: Int { state.withLock { $0.entries.count } }

    /// Keeps a record; the oldest go where there are too many.
    public func save(_ record: ResponseRecord) {
        state.withLock { state in
            let name = Name(id: record.id, key: record.key)
            Self.remove(name, from: &state)
            state.number += 1
            state.entries[name] = Entry(record: record, number: state.number)
            state.order.append((name, state.number))
            state.holders[record.id, default: 0] += 1
            state.bytes = state.bytes.clampedSum(record.size)
            if let conversation = record.conversation {
                state.conversations[Name(id: conversation, key: record.key), default: []].append(record.id)
            }
            while state.entries.count > countLimit || state.bytes > byteLimit, Self.removeOldest(from: &state) {}
            Self.compact(&state)
        }
    }

    /// The record of that id, if it is this key's.
    public func record(_ id: String, key: String) -> ResponseRecord? {
        state.withLock { $0.entries[Name(id: id, key: key)]?.record }
    }

    /// Whether any key has a record of that id.
    public func isKept(_ id: String) -> Bool { state.withLock { $0.holders[id] != nil } }

    /// Forgets a record, if it is this key's.
    public func remove(_ id: String, key: String) -> Bool {
        state.withLock { state in
            let isThere = Self.remove(Name(id: id, key: key), from: &state)
            Self.compact(&state)
            return isThere
        }
    }

    /// The records of this key's conversation, oldest first.
    public func conversation(_ id: String, key: String) -> [ResponseRecord] {
        state.withLock { state in
            (state.conversations[Name(id: id, key: key)] ?? []).compactMap {
                state.entries[Name(id: $0, key: key)]?.record
            }
        }
    }

    @discardableResult
    private static func remove(_ name: Name, from state: inout State) -> Bool {
        guard let entry = state.entries.removeValue(forKey: name) else { return false }
        state.bytes -= entry.record.size
        if let holders = state.holders[name.id] { state.holders[name.id] = holders > 1 ? holders - 1 : nil }
        if let conversation = entry.record.conversation {
            let place = Name(id: conversation, key: name.key)
            state.conversations[place]?.removeAll { $0 == name.id }
            if state.conversations[place]?.isEmpty == true { state.conversations[place] = nil }
        }
        return true
    }

    /// - Returns: false where there is nothing left.
    private static func removeOldest(from state: inout State) -> Bool {
        while state.first < state.order.count {
            let (name, number) = state.order[state.first]
            state.first += 1
            if state.entries[name]?.number == number { return remove(name, from: &state) }
        }
        return false
    }

    /// Gives the room of names that went back, now and then.
    private static func compact(_ state: inout State) {
        guard state.order.count > 64, state.order.count > 2 * state.entries.count else { return }
        state.order = state.order[state.first...].filter { state.entries[$0.name]?.number == $0.number }
        state.first = 0
    }
}
