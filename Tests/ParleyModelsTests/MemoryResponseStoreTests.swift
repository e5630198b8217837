// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Testing

@Suite("Responses in memory")
struct MemoryResponseStoreTests {
    private func record(_ id: String, key: String = "k", conversation: String? = nil, size: Int = 10) -> ResponseRecord
    {
        var record = ResponseRecord(
            id: id, key: key, model: "m", input: ByteBuffer(repeating: 0x20, count: size), response: ByteBuffer(),
            created: 1, status: "completed")
        record.conversation = conversation
        return record
    }

    @Test("A key finds its own records and nobody else's")
    func keys() {
        let store = MemoryResponseStore()
        store.save(record("a", key: "k", conversation: "c"))
        store.save(record("a", key: "l", size: 20))
        #expect(store.record("a", key: "k")?.input.readableBytes == 10)
        #expect(store.record("a", key: "l")?.input.readableBytes == 20)
        #expect(store.record("a", key: "m") == nil && store.conversation("c", key: "l").isEmpty)
        #expect(store.isKept("a") && !store.isKept("b"))
        #expect(!store.remove("a", key: "m"))
        #expect(store.remove("a", key: "k") && store.record("a", key: "k") == nil)
        #expect(store.conversation("c", key: "k").isEmpty && store.count == 1)
        #expect(store.isKept("a"))
        #expect(store.remove("a", key: "l") && !store.isKept("a"))
    }

    @Test("The oldest go first when there are too many")
    func count() {
        let store = MemoryResponseStore(count: 3)
        for number in 0..<200 { store.save(record("\(number)", conversation: "c")) }
        #expect(store.conversation("c", key: "k").map(\.id) == ["197", "198", "199"])
        store.save(record("197", conversation: "c"))
        store.save(record("200", conversation: "c"))
        #expect(store.conversation("c", key: "k").map(\.id) == ["199", "197", "200"])
    }

    @Test("The oldest go first when they take too much room, and one that is too large is not kept")
    func bytes() {
        let store = MemoryResponseStore(bytes: 10_000)
        for number in 0..<10 { store.save(record("\(number)", size: 2000)) }
        #expect(store.count == 3 && store.record("9", key: "k") != nil && store.record("6", key: "k") == nil)
        store.save(record("huge", size: 20_000))
        #expect(store.count == 0)
        store.save(record("next"))
        #expect(store.count == 1)
    }
}
