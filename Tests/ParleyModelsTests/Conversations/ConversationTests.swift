// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization
import Testing

@testable import ParleyModels

@Suite("Histories")
struct ConversationHistoryTests {
    private func user(_ text: String) -> Message { Message(.user, text: text) }
    private func assistant(_ text: String) -> Message { Message(.assistant, text: text) }
    private func system(_ text: String) -> Message { Message(.system, text: text) }

    private func record(_ turns: [[Message]], system: [Message] = []) -> ConversationRecord {
        ConversationRecord(
            id: "c", key: "k", system: system,
            turns: turns.map { .init($0, model: "m", created: 0) }, created: 0, updated: 0)
    }

    private func texts(_ history: ConversationHistory) -> [String] { history.messages.map(\.text) }

    @Test("What was said comes before what is said, behind the system message that stays")
    func joined() {
        let kept = record([[user("a"), assistant("b")]], system: [system("be brief")])
        #expect(texts(ConversationHistory(kept, [user("c")])) == ["be brief", "a", "b", "c"])
        #expect(texts(ConversationHistory(nil, [user("c")])) == ["c"])
    }

    @Test("A new system message replaces the old one")
    func newSystem() {
        let kept = record([[user("a"), assistant("b")]], system: [system("be brief")])
        let history = ConversationHistory(kept, [system("be long"), user("c")])
        #expect(texts(history) == ["be long", "a", "b", "c"])
        #expect(history.new.map(\.text) == ["c"])
    }

    @Test("A client that sends everything anew says nothing twice")
    func repeated() {
        let kept = record([[user("a"), assistant("b")]])
        let history = ConversationHistory(kept, [user("a"), assistant("b"), user("c")])
        #expect(texts(history) == ["a", "b", "c"])
        #expect(history.new.map(\.text) == ["c"])
        #expect(texts(ConversationHistory(kept, [user("a")])) == ["a", "b", "a"])
    }

    @Test("The oldest turns go first, whole, and the system message stays")
    func halved() {
        let turns = (0..<4).map { [user("q\($0)"), assistant("a\($0)")] }
        var history = ConversationHistory(record(turns, system: [system("s")]), [user("now")])
        history.halve()
        #expect(texts(history) == ["s", "q2", "a2", "q3", "a3", "now"])
        history.halve()
        history.halve()
        #expect(texts(history) == ["s", "now"])
        #expect(!history.canShrink)
        #expect(history.dropped == 4)
    }

    @Test("A tool's result is never without its call")
    func tools() {
        var call = assistant("")
        call.toolCalls = [ToolCall(id: "1", name: "f", arguments: "{}")]
        var result = Message(.tool, text: "42")
        result.toolCallID = "1"
        let turns = [[user("q"), assistant("a")], [user("use it"), call], [result, assistant("it is 42")]]
        var history = ConversationHistory(record(turns), [user("now")])
        history.halve()
        #expect(history.messages.map(\.role) == [.user, .assistant, .tool, .assistant, .user])
        history.halve()
        #expect(history.messages.map(\.role) == [.user])
        // The call that the client is just answering stays whatever happens.
        var pending = ConversationHistory(record(Array(turns[0...1])), [result])
        pending.shrink(toTokens: 1)
        #expect(pending.messages.map(\.role) == [.user, .assistant, .tool])
        #expect(!pending.canShrink)
    }

    @Test("As many of the newest turns stay as fit")
    func tokens() {
        let turns = (0..<10).map { [user(String(repeating: "word ", count: 20) + "\($0)"), assistant("yes")] }
        var history = ConversationHistory(record(turns), [user("now")])
        history.shrink(toTokens: 120)
        #expect(history.messages.count < 21 && history.messages.count > 1)
        #expect(history.messages.first?.text.hasSuffix("\(10 - (history.messages.count - 1) / 2)") == true)
    }
}

@Suite("Conversations")
struct ConversingTests {
    private let store = MemoryConversationStore()

    private func conversing(_ model: any Model, id: String = "c", now: Int = 100) -> Conversing {
        Conversing(model, .init(id: id, store: store, idle: 50, maxTurns: 3, now: { now }))
    }

    private let echo = CountingModel { _, call in
        .saying("heard \(call.request?.messages.map(\.text).joined(separator: "|") ?? "")")
    }

    @Test("A turn is kept before the end of its answer is handed out", arguments: [false, true])
    func kept(stream: Bool) async throws {
        let model = conversing(echo)
        let first = try await model.answer(asking("one", stream: stream))
        #expect(try await text(first) == "heard one")
        #expect(store.conversation("c", key: "laptop", usedSince: 0)?.turns.count == 1)
        let second = try await model.answer(asking("two", stream: stream))
        #expect(try await text(second) == "heard one|heard one|two")
    }

    @Test("Another key, another id and too long a silence begin anew")
    func separate() async throws {
        _ = try await text(conversing(echo).answer(asking("one")))
        #expect(try await text(conversing(echo).answer(asking("two", caller: "other"))) == "heard two")
        #expect(try await text(conversing(echo, id: "d").answer(asking("two"))) == "heard two")
        #expect(try await text(conversing(echo, now: 151).answer(asking("two"))) == "heard two")
    }

    @Test("A turn that is given up or fails is not kept")
    func notKept() async throws {
        try await conversing(echo).answer(asking("one", stream: true)).giveUp()
        let broken = CountingModel { _, _ in throw ParleyError(.upstreamUnavailable, "down") }
        _ = await failure(conversing(broken), asking("two"))
        #expect(store.conversation("c", key: "laptop", usedSince: 0) == nil)
    }

    @Test("A history that is too long for the model is shortened until it fits")
    func shortened() async throws {
        for number in 1...3 { _ = try await text(conversing(echo).answer(asking("\(number)"))) }
        let small = CountingModel { _, call in
            guard let messages = call.request?.messages, messages.count <= 3 else {
                throw ParleyError(.contextExceeded, "too long")
            }
            return .saying("ok")
        }
        #expect(try await text(conversing(small).answer(asking("now"))) == "ok")
        let never = CountingModel { _, _ in throw ParleyError(.contextExceeded, "too long") }
        #expect(await failure(conversing(never), asking("now"))?.kind == .contextExceeded)
    }

    @Test("No more turns are kept than allowed")
    func limit() async throws {
        for number in 1...5 { _ = try await text(conversing(echo).answer(asking("\(number)"))) }
        let kept = store.conversation("c", key: "laptop", usedSince: 0)?.turns.map { $0.messages[0].text }
        #expect(kept == ["3", "4", "5"])
    }
}

private final class Log: Sendable {
    private let state = Mutex<[Int]>([])
    var numbers: [Int] { state.withLock { $0 } }
    func add(_ number: Int) { state.withLock { $0.append(number) } }
}

@Suite("Turns of a conversation")
struct ConversationGateTests {
    @Test("They come one after the other, in the order they came")
    func order() async throws {
        let gate = ConversationGate()
        let log = Log()
        var pass: ConversationGate.Pass? = try await gate.enter("c", key: "k")
        var tasks: [Task<Void, any Error>] = []
        for number in 0..<10 {
            tasks.append(
                Task {
                    let pass = try await gate.enter("c", key: "k")
                    log.add(number)
                    pass.giveBack()
                })
            while gate.waiting("c", key: "k") <= number { await Task.yield() }
        }
        _ = try await gate.enter("c", key: "another").giveBack()
        #expect(log.numbers.isEmpty)
        pass?.giveBack()
        pass = nil
        for task in tasks { try await task.value }
        #expect(log.numbers == Array(0..<10))
    }

    @Test("Whoever leaves the line is not waited for, and a pass that is forgotten lets the next one in")
    func leaves() async throws {
        let gate = ConversationGate()
        var pass: ConversationGate.Pass? = try await gate.enter("c", key: "k")
        let impatient = Task { try await gate.enter("c", key: "k").giveBack() }
        let patient = Task { try await gate.enter("c", key: "k").giveBack() }
        impatient.cancel()
        await #expect(throws: ParleyError.self) { try await impatient.value }
        #expect(pass != nil)
        pass = nil
        try await patient.value
        try await gate.enter("c", key: "k").giveBack()
    }
}
