// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore
import Synchronization
import Testing

@testable import ParleyStore

/// A path of its own in the folder for temporary files, removed with everything SQLite puts beside it.
private final class TemporaryFile {
    let path: String

    init() {
        path = "/tmp/parley-store-\(getpid())-\(UInt64.random(in: 0 ... .max)).db"
    }

    deinit {
        for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
    }
}

/// A message that uses everything the neutral form has.
private func fullMessage() -> Message {
    var message = Message(
        .assistant, [.text("It is \"42\" \u{1F600}\n"), .image(url: "data:image/png;base64,AA==", detail: "low")])
    message.content.append(.audio(data: "QUJD", format: "wav"))
    var file = FilePart(id: "f", data: "data:text/plain;base64,QQ==", name: "a.txt")
    (file.url, file.text, file.mediaType) = ("https://example.com/a", "A", "text/plain")
    message.content += [.file(file), .refusal("no"), .opaque(.gemini, ["executableCode": ["language": "PYTHON"]])]
    message.name = "nobody"
    var call = ToolCall(id: "call_1", name: "f", arguments: "{\"a\": 1.50}")
    (call.isCustom, call.signature, call.origin) = (true, "c2ln", .gemini)
    call.extras = Extras(.openAIChat, ["x": 1])
    message.toolCalls = [call, ToolCall(id: "call_2", name: "g", arguments: "")]
    message.toolCallID = "call_0"
    message.refusal = "I would rather not"
    message.reasoning = [
        Reasoning("Let me think", signature: "sig==", origin: .anthropic),
        Reasoning("", opaque: ["type": "reasoning.encrypted", "data": "xyz"], origin: DialectID("other")),
    ]
    message.isError = true
    message.cacheMarks = [0: CacheMark(), 2: CacheMark(ttl: "1h")]
    message.extras = Extras(.openAIChat, ["annotations": [["n": .number("1.0e3")]], "none": .null])
    return message
}

@Suite("Messages as the store keeps them")
struct MessageCodecTests {
    @Test("Nothing is lost, whatever a message has")
    func round() {
        var bare = Message(.tool, text: "")
        bare.toolCallID = "1"
        var oddlyBare = Message(.user, [.text("a"), .text("b")])
        oddlyBare.contentIsText = true
        let messages = [fullMessage(), Message(.user, text: "Hi"), bare, Message(.developer, []), oddlyBare]
        #expect(MessageCodec.messages(MessageCodec.text(messages)) == messages)
    }

    @Test("What is not ours is told apart", arguments: ["", "{}", "[{\"role\": \"judge\"}]", "[1]", "[{\"role\":"])
    func foreign(text: String) {
        #expect(MessageCodec.messages(text) == nil)
    }
}

@Suite("Conversations in SQLite")
struct ConversationStoreTests {
    private func turn(_ number: Int) -> ConversationRecord.Turn {
        .init([Message(.user, text: "q\(number)"), fullMessage()], model: "m", created: number)
    }

    @Test("A conversation outlives the process, and belongs to its key")
    func restart() async throws {
        let file = TemporaryFile()
        do {
            let store = try SQLiteStore(path: file.path)
            let system = [Message(.system, text: "be brief")]
            try await store.append(turn(10), to: "c", key: "k", system: [], limit: 9, usedSince: 0)
            try await store.append(turn(20), to: "c", key: "k", system: system, limit: 9, usedSince: 0)
        }
        let store = try SQLiteStore(path: file.path)
        let record = try await store.conversation("c", key: "k", usedSince: 20)
        #expect(record?.turns == [turn(10), turn(20)])
        #expect(record?.system.map(\.text) == ["be brief"])
        #expect(record?.created == 10 && record?.updated == 20)
        #expect(try await store.conversation("c", key: "other", usedSince: 0) == nil)
        #expect(try await store.conversation("c", key: "k", usedSince: 21) == nil)
        #expect(try await !store.removeConversation("c", key: "other"))
        #expect(try await store.removeConversation("c", key: "k"))
        #expect(try await store.conversation("c", key: "k", usedSince: 0) == nil)
    }

    @Test("The oldest turns go beyond the limit, and unused conversations with their turns")
    func limits() async throws {
        let file = TemporaryFile()
        let store = try SQLiteStore(path: file.path)
        for number in 1...6 {
            try await store.append(turn(number), to: "c", key: "k", system: [], limit: 3, usedSince: 0)
        }
        #expect(try await store.conversation("c", key: "k", usedSince: 0)?.turns.map(\.created) == [4, 5, 6])
        try await store.append(turn(100), to: "d", key: "k", system: [], limit: 3, usedSince: 50)
        #expect(try await store.conversation("c", key: "k", usedSince: 0) == nil)
        try await store.append(turn(101), to: "c", key: "k", system: [], limit: 3, usedSince: 50)
        #expect(try await store.conversation("c", key: "k", usedSince: 0)?.turns.map(\.created) == [101])
    }

    @Test("Many at once lose nothing")
    func concurrent() async throws {
        let file = TemporaryFile()
        let store = try SQLiteStore(path: file.path)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                group.addTask {
                    let turn = ConversationRecord.Turn([Message(.user, text: "\(number)")], model: "m", created: 1)
                    try await store.append(turn, to: "c\(number % 5)", key: "k", system: [], limit: 99, usedSince: 0)
                }
            }
            try await group.waitForAll()
        }
        for number in 0..<5 {
            let record = try await store.conversation("c\(number)", key: "k", usedSince: 0)
            #expect(record?.turns.count == 10)
        }
    }

    @Test("Where no store can be had, conversations are in memory, and it is said once why")
    func standIn() async throws {
        let told = Told()
        let store = LazyStore(onStandIn: { _ in told.count() }) { () throws(ParleyError) in
            throw ParleyError(.internalError, "no disk")
        }
        try await store.append(turn(1), to: "c", key: "k", system: [], limit: 3, usedSince: 0)
        #expect(try await store.conversation("c", key: "k", usedSince: 0)?.turns.count == 1)
        #expect(told.number == 1)
        await #expect(throws: ParleyError.self) { try await store.load("provider") }
        let strict = LazyStore { () throws(ParleyError) in throw ParleyError(.internalError, "no disk") }
        await #expect(throws: ParleyError.self) { try await strict.conversation("c", key: "k", usedSince: 0) }
    }
}

@Suite("Answers of Responses in SQLite")
struct ResponseRecordStoreTests {
    private func record(_ id: String, conversation: String? = nil, created: Int = 100) -> ResponseRecord {
        var record = ResponseRecord(
            id: id, key: "k", model: "m", input: ByteBuffer(string: "[{\"a\":\"\u{00E9}\"}]"),
            response: ByteBuffer(string: "{}"), created: created, status: "completed")
        (record.provider, record.previous, record.conversation) = ("openai", "before", conversation)
        record.isNative = true
        return record
    }

    @Test("A record outlives the process, and belongs to its key")
    func restart() async throws {
        let file = TemporaryFile()
        try await SQLiteStore(path: file.path).save(record("r1"))
        let store = try SQLiteStore(path: file.path)
        #expect(try await store.record("r1", key: "k") == record("r1"))
        #expect(try await store.record("r1", key: "other") == nil)
        #expect(try await store.isKept("r1"))
        #expect(try await !store.remove("r1", key: "other"))
        #expect(try await store.remove("r1", key: "k"))
        #expect(try await !store.isKept("r1"))
    }

    @Test("A conversation's records come oldest first, and those whose time is over go")
    func order() async throws {
        let file = TemporaryFile()
        let store = try SQLiteStore(path: file.path, responseAge: 1000)
        for id in ["b", "a", "c"] { try await store.save(record(id, conversation: "v")) }
        try await store.save(record("d"))
        #expect(try await store.conversation("v", key: "k").map(\.id) == ["b", "a", "c"])
        #expect(try await store.conversation("v", key: "other").isEmpty)
        try await store.save(record("e", created: 2000))
        #expect(try await store.conversation("v", key: "k").isEmpty)
        #expect(try await store.record("e", key: "k") != nil)
    }
}

private final class Told: Sendable {
    private let times = Mutex(0)
    var number: Int { times.withLock { $0 } }
    func count() { times.withLock { $0 += 1 } }
}
