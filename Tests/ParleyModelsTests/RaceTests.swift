// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Synchronization
import Testing

/// A model that answers when it is told to, and notices when it is cancelled.
private final class Runner: Model {
    let name: String
    private let outcomes: AsyncStream<ScriptedModel.Outcome>
    private let gate: AsyncStream<ScriptedModel.Outcome>.Continuation
    private let cancelled = Atomic<Bool>(false)
    /// Called when the model is asked.
    private let onStart: @Sendable () -> Void

    init(_ name: String, onStart: @escaping @Sendable () -> Void = {}) {
        self.name = name
        self.onStart = onStart
        (outcomes, gate) = AsyncStream.makeStream()
    }

    var wasCancelled: Bool { cancelled.load(ordering: .acquiring) }

    func finish(_ outcome: ScriptedModel.Outcome) { gate.yield(outcome) }

    func answer(_ call: Call) async throws(ParleyError) -> Reply {
        onStart()
        for await outcome in outcomes {
            switch outcome {
            case .answer(let id): return Reply(.whole(ChatResponse(identity: AnswerIdentity(id: id), choices: [])))
            case .fail(let error), .cancelTaskThenFail(let error): throw error
            }
        }
        cancelled.store(true, ordering: .releasing)
        throw ParleyError(.cancelled, "cancelled")
    }
}

/// A stream that only says whether it was given up.
private final class QuietEvents: EventSource, @unchecked Sendable {
    // Only an atomic: nothing else is shared.
    let isGivenUp = Atomic<Bool>(false)

    func next(into events: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool { false }

    func cancel() { isGivenUp.store(true, ordering: .releasing) }
}

private struct EventsModel: Model {
    let name: String
    let events: QuietEvents

    func answer(_ call: Call) async throws(ParleyError) -> Reply { Reply(.events(events)) }
}

@Suite struct RaceTests {
    @Test func `the first to answer wins and the others are cancelled`() async throws {
        let runners = ["a/1", "b/2", "c/3"].map { Runner($0) }
        runners[1].finish(.answer("second"))
        #expect(try await answerer(Route.race("quick", of: runners)) == "second")
        #expect(runners.map(\.wasCancelled) == [true, false, true])
    }

    @Test func `every member is asked before any has answered`() async throws {
        let waiting = Atomic<Int>(3)
        let last = Runner("c/3")
        let all = ["a/1", "b/2"].map { name in
            Runner(name) {
                let left = waiting.subtract(1, ordering: .sequentiallyConsistent).newValue
                if left == 1 { last.finish(.answer("third")) }
            }
        }
        #expect(try await answerer(Route.race("quick", of: all + [last])) == "third")
    }

    @Test func `a member that fails leaves the race to the others`() async throws {
        let runners = ["a/1", "b/2"].map { Runner($0) }
        runners[0].finish(.fail(ParleyError(.upstreamUnavailable, "down")))
        runners[1].finish(.answer("second"))
        #expect(try await answerer(Route.race("quick", of: runners)) == "second")
    }

    @Test func `when all fail the error names them all`() async throws {
        let runners = ["a/1", "b/2"].map { Runner($0) }
        for runner in runners { runner.finish(.fail(ParleyError(.upstreamUnavailable, "down"))) }
        let error = try #require(await failure(Route.race("quick", of: runners)))
        #expect(error.kind == .upstreamUnavailable)
        #expect(error.message.contains("a/1") && error.message.contains("b/2"))
    }

    @Test func `what is wrong with the request ends the race at once`() async throws {
        let runners = ["a/1", "b/2"].map { Runner($0) }
        runners[0].finish(.fail(ParleyError(.invalid, "no messages")))
        #expect(await failure(Route.race("quick", of: runners))?.kind == .invalid)
        #expect(runners[1].wasCancelled)
    }

    @Test func `a race whose client leaves cancels every member`() async throws {
        let (started, continuation) = AsyncStream.makeStream(of: Void.self)
        let runners = ["a/1", "b/2"].map { name in Runner(name) { continuation.yield() } }
        let task = Task { await failure(Route.race("quick", of: runners)) }
        var count = 0
        for await _ in started {
            count += 1
            if count == 2 { break }
        }
        task.cancel()
        #expect(await task.value?.kind == .cancelled)
        #expect(runners.map(\.wasCancelled) == [true, true])
    }

    @Test func `of two that answer only one is kept open`() async throws {
        let sources = [QuietEvents(), QuietEvents()]
        let race = Route.race(
            "quick", of: zip(["a/1", "b/2"], sources).map { EventsModel(name: $0, events: $1) })
        _ = try await race.answer(makeCall())
        #expect(sources.filter { $0.isGivenUp.load(ordering: .acquiring) }.count == 1)
    }
}
