// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization
import Testing

@testable import ParleyModels

/// Takes what comes while a reading waits.
private final class Sink: EventSink, @unchecked Sendable {
    // The events are behind a lock; nothing else is shared.
    let events = Mutex<[Event]>([])
    var isReady: Bool { true }

    func send(_ events: [Event]) { self.events.withLock { $0 += events } }
}

@Suite struct StrategyTests {
    private func reason(
        _ strategy: ReasonRules.Strategy, _ members: [Thinker], judge: Thinker? = nil,
        _ change: (inout ReasonRules) -> Void = { _ in }
    ) -> Reason {
        Reason("r", Thinking.rules(strategy, change), with: members, judge: judge)
    }

    private static let down = ParleyError(.upstreamUnavailable, "down")

    // MARK: Their ways

    @Test func `reflect drafts, criticises and revises`() async throws {
        let thinker = Thinker("m", .say("It is 41.", 1, 10), .say("6*7 is 42.", 2, 20), .say("It is 42.", 3, 30))
        let result = await Thinking.stream(reason(.reflect, [thinker]))
        #expect(result.text == "It is 42.")
        #expect(result.reasoning.hasPrefix("Draft\nIt is 41.\n\nCritique\n6*7 is 42."))
        #expect(result.usage?.input == 6 && result.usage?.output == 60 && result.usage?.reasoning == 30)
        #expect(thinker.requests[2].messages.map(\.role) == [.user, .assistant, .user])
        #expect(thinker.requests[2].messages[2].text.contains("6*7 is 42."))
        #expect(result.trace.innerCalls.map(\.purpose) == ["draft", "critique", "revision"])
    }

    @Test func `the draft stands in for what fails behind it`() async throws {
        let critic = Thinker("c", .fail(Self.down))
        let result = await Thinking.stream(reason(.reflect, [Thinker("m", .say("Draft.", 1, 10))], judge: critic))
        #expect(result.text == "Draft." && result.trace.degraded == ["a critique"])
        #expect(result.usage?.output == 10 && result.usage?.reasoning == 0)
        let second = Thinker("m", .say("Draft."), .say("Bad."), .fail(Self.down))
        let revised = await Thinking.stream(reason(.reflect, [second]))
        #expect(revised.text == "Draft." && revised.trace.degraded == ["the revision"])
    }

    @Test func `vote gives an answer that most samples came to`() async throws {
        let members = ["Answer: 42", "Answer: 41", "So: Answer: 42.0"].enumerated().map {
            Thinker("m\($0.offset)", .say($0.element, 10, 5))
        }
        let result = await Thinking.stream(reason(.vote, members) { $0.samples = 3 })
        #expect(result.text.contains("42"))
        #expect(result.reasoning.contains("2 of 3 samples agree."))
        #expect(result.usage?.input == 30 && result.usage?.output == 15 && result.usage?.reasoning == 10)
        #expect(members.allSatisfy { $0.calls.count == 1 })
    }

    @Test func `fewer samples are a vote as well`() async throws {
        let members = [
            Thinker("a", .say("Answer: 1")), Thinker("b", .fail(Self.down)), Thinker("c", .breakOff(["Ans"])),
        ]
        let result = await Thinking.stream(reason(.vote, members) { $0.samples = 3 })
        #expect(result.text == "Answer: 1" && result.trace.degraded == ["1 of 3 samples", "2 of 3 samples"])
        let none = await Thinking.stream(reason(.vote, [Thinker("b", .fail(Self.down))]))
        #expect(none.failure == Self.down && none.events.isEmpty)
    }

    @Test func `with tools a vote is followed by a call that may use them`() async throws {
        let thinker = Thinker("m", .say("Answer: 1"))
        let result = await Thinking.stream(reason(.vote, [thinker]) { $0.samples = 2 }) {
            $0.tools = [Tool(name: "w")]
        }
        #expect(thinker.requests.map(\.tools.count) == [0, 0, 1])
        #expect(result.usage?.output == 15 && result.usage?.reasoning == 10)
    }

    @Test func `best-of gives the draft that the judge names`() async throws {
        let members = [Thinker("a", .say("first", 1, 10)), Thinker("b", .say("second", 1, 20))]
        let judge = Thinker("j", .say("The second is right. Best: 2", 100, 3))
        let result = await Thinking.stream(reason(.bestOf, members, judge: judge) { $0.samples = 2 })
        #expect(result.text == "second")
        #expect(result.usage?.input == 102 && result.usage?.output == 33 && result.usage?.reasoning == 13)
        #expect(judge.requests[0].messages.last?.text.contains("## Answer 1\n\nfirst") == true)
        let silent = await Thinking.stream(
            reason(.bestOf, members, judge: Thinker("j", .fail(Self.down))) { $0.samples = 2 })
        #expect(silent.text == "first" && silent.trace.degraded == ["a verdict"])
    }

    @Test func `a panel's drafts become one answer`() async throws {
        let members = [Thinker("a", .say("A", 1, 10)), Thinker("b", .say("B", 1, 20)), Thinker("c", .fail(Self.down))]
        let judge = Thinker("j", .say(["Both ", "A and B"], Usage(input: 9, output: 4)))
        let result = await Thinking.stream(reason(.panel, members, judge: judge))
        #expect(result.texts == ["Both ", "A and B"])
        #expect(result.trace.degraded == ["1 of 3 drafts"])
        #expect(result.usage?.output == 34 && result.usage?.reasoning == 30)
        #expect(result.reasoning.contains("Draft 1\nA") && result.reasoning.contains("Draft 2 of 3 done."))
        let text = judge.requests[0].messages.last?.text ?? ""
        #expect(text.contains("## Draft 1\n\nA") && text.contains("## Draft 2\n\nB"))
    }

    @Test func `reread asks once, with the question twice and all else as it was`() async throws {
        let thinker = Thinker("m", .say("42", 7, 3))
        let result = await Thinking.stream(reason(.reread, [thinker])) {
            $0.messages[0].content.append(.image(url: "https://x/y.png", detail: nil))
            $0.tools = [Tool(name: "w")]
        }
        let request = try #require(thinker.requests.first)
        #expect(request.messages.count == 1 && request.messages[0].content.count == 3 && request.tools.count == 1)
        #expect(request.messages[0].text.hasSuffix("Read the question again:\n\nWhat is 6 times 7?"))
        #expect(result.text == "42" && result.reasoning.isEmpty)
        #expect(result.usage == Usage(input: 7, output: 3))
    }

    @Test(
        "A plan is carried out and checked; what passes is the answer",
        arguments: [("CORRECT", "It is 41.", 3), ("6*7 is 42, not 41.", "It is 42.", 4)])
    func plan(check: String, answer: String, calls: Int) async throws {
        let thinker = Thinker("m", .say("1. multiply"), .say("It is 41."), .say(check), .say("It is 42."))
        let result = await Thinking.stream(reason(.plan, [thinker]))
        #expect(result.text == answer && thinker.calls.count == calls)
        #expect(result.usage?.output == calls * 5 && result.usage?.reasoning == (calls - 1) * 5)
    }

    // MARK: Caps

    @Test(
        "No strategy makes more calls than it may", arguments: ReasonRules.Strategy.allCases, [1, 2, 3])
    func callCap(strategy: ReasonRules.Strategy, cap: Int) async throws {
        let thinker = Thinker("m", .say(Thinking.step("t", "Answer: 1")))
        let result = await Thinking.stream(reason(strategy, [thinker]) { $0.caps.calls = cap })
        #expect(thinker.calls.count <= cap)
        #expect(result.failure == nil && !result.text.isEmpty)
        if strategy != .reread, cap < 3 { #expect(!result.trace.degraded.isEmpty) }
    }

    @Test func `thinking ends at the cap of tokens, of money and of time`() async throws {
        let step = Thinking.step("t", "c")
        let tokens = Thinker("m", .say(step, 40, 10))
        _ = await Thinking.stream(reason(.steps, [tokens]) { $0.caps.tokens = 100 })
        #expect(tokens.calls.count == 3)
        #expect(tokens.requests[1].maxTokens == 50)
        let money = Thinker("m", .say(step, 40, 10))
        let priced = Reason(
            "r", Thinking.rules(.steps) { $0.caps.usd = 0.5 }, with: [money], cost: { _, _ in 0.2 })
        _ = await Thinking.stream(priced)
        #expect(money.calls.count == 4)
        let time = Thinker("m", .say("direct"))
        let late = await Thinking.stream(reason(.steps, [time]) { $0.caps.time = .zero })
        #expect(late.text == "direct" && late.trace.degraded == ["thinking beyond its time"])
    }

    // MARK: Life and death

    @Test func `what the first of several says is shown while the others are still thinking`() async throws {
        let slow = Thinker("b", .hang(["never"]))
        let model = reason(.panel, [Thinker("a", .say(["Tick ", "tock"], Usage())), slow])
        let call = Thinking.call(stream: true)
        guard case .events(let source) = try await model.answer(call).content else { return }
        var events: [Event] = []
        _ = try await source.next(into: &events, by: .distantFuture)
        #expect(events.contains { if case .reasoning(_, let piece) = $0 { piece.text == "Draft 1" } else { false } })
        let sink = Sink()
        source.forward(to: sink)
        let box = Held(source)
        let reading = Task { await box.read() }
        while !sink.events.withLock({ $0.contains(.reasoning(choice: 0, Reasoning("tock"))) }) { await Task.yield() }
        reading.cancel()
        #expect(await reading.value?.kind == .cancelled)
        #expect(slow.givenUp == 1)
    }

    /// Hands a source to a task of its own.
    private final class Held: @unchecked Sendable {
        // One task at a time uses the source.
        private let source: any EventSource

        init(_ source: any EventSource) { self.source = source }

        func read() async -> ParleyError? {
            var events: [Event] = []
            do throws(ParleyError) {
                _ = try await source.next(into: &events, by: .distantFuture)
                return nil
            } catch {
                return error
            }
        }
    }

    @Test func `more than one answer is refused`() async throws {
        let call = Thinking.call(stream: false) { $0.n = 2 }
        let error = await failure(reason(.vote, [Thinker("m", .say("x"))]), call)
        #expect(error?.kind == .invalid && error?.parameter == "n")
    }

    // MARK: Names

    @Test func `a strategy and a model are a name unless that name is configured`() throws {
        #expect(StrategyName("panel:smart")?.model == "smart")
        #expect(StrategyName("best-of:a/b:c")?.model == "a/b:c")
        #expect(StrategyName("panel:") == nil && StrategyName("other:x") == nil && StrategyName("panel") == nil)
        let blueprint = Blueprint([
            .init("fast", .alias("openai/x")), .init("o1", .reason(.init(ReasonRules(.steps), with: ["fast"]))),
            .init("vote:own", .alias("openai/x")),
        ])
        let (directory, problems) = Directory.build(blueprint, sources: [ScriptedSource(name: "openai")])
        #expect(problems.isEmpty)
        #expect(directory.names == ["fast", "o1", "vote:own"])
        #expect(directory.strategy(in: "panel:fast")?.strategy == .panel && directory.strategy(in: "vote:own") == nil)
        guard case .model(let model) = directory.resolve("panel:o1") else {
            Issue.record("not found")
            return
        }
        #expect(model is Reason && model.name == "panel:o1")
        guard case .unknown(let near) = directory.resolve("panel:fats") else {
            Issue.record("found")
            return
        }
        #expect(near == ["panel:fast"])
    }

    @Test func `a chain over itself is told as a circle`() {
        let blueprint = Blueprint([
            .init("a", .reason(.init(ReasonRules(.steps), with: ["b"]))),
            .init("b", .reason(.init(ReasonRules(.panel), with: ["openai/x"], judge: "a"))),
            .init("c", .reason(.init(ReasonRules(.vote), with: ["nobody"]))),
        ])
        let (_, problems) = Directory.build(blueprint, sources: [ScriptedSource(name: "openai")])
        #expect(problems.contains { $0.message.contains("a -> b -> a") })
        #expect(problems.contains { $0.model == "c" && $0.reference == "nobody" })
    }
}
