// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Synchronization

/// A model that plays one outcome per call, the last one for ever, and remembers the calls.
final class ScriptedModel: Model {
    enum Outcome: Sendable {
        case answer(String)
        case fail(ParleyError)
        /// Fails as if its connection was closed because the task was cancelled.
        case cancelTaskThenFail(ParleyError)
    }

    let name: String
    private let outcomes: [Outcome]
    private let seen = Mutex<[Call]>([])

    init(_ name: String, _ outcomes: Outcome...) {
        self.name = name
        self.outcomes = outcomes
    }

    var calls: [Call] { seen.withLock { $0 } }

    func answer(_ call: Call) async throws(ParleyError) -> Reply {
        let index = seen.withLock { seen in
            seen.append(call)
            return seen.count - 1
        }
        switch outcomes[min(index, outcomes.count - 1)] {
        case .answer(let id): return Reply(.whole(ChatResponse(identity: AnswerIdentity(id: id), choices: [])))
        case .fail(let error): throw error
        case .cancelTaskThenFail(let error):
            withUnsafeCurrentTask { $0?.cancel() }
            throw error
        }
    }
}

/// A connector that only sleeps, in no time, and remembers for how long.
final class SleepyConnector: Connector {
    var executor: any TaskExecutor { globalConcurrentExecutor }
    private let times = Mutex<[TimeAmount]>([])
    private let onSleep: @Sendable () -> Void

    init(onSleep: @escaping @Sendable () -> Void = {}) {
        self.onSleep = onSleep
    }

    var slept: [TimeAmount] { times.withLock { $0 } }

    func open(_ request: UpstreamRequest) async throws(ParleyError) -> any UpstreamAnswer {
        throw ParleyError(.upstreamUnavailable, "There is no network here.")
    }

    func sleep(_ time: TimeAmount) async throws(ParleyError) {
        times.withLock { $0.append(time) }
        onSleep()
        if Task.isCancelled { throw ParleyError(.cancelled, "The sleep was cancelled.") }
    }
}

/// A provider that has every id, or only those given.
struct ScriptedSource: UpstreamSource {
    let name: String
    var ids: Set<String>?
    var outcome: ScriptedModel.Outcome = .answer("")

    func model(_ id: String) -> (any Model)? {
        guard ids?.contains(id) ?? true else { return nil }
        if case .fail = outcome { return ScriptedModel("\(name)/\(id)", outcome) }
        return ScriptedModel("\(name)/\(id)", .answer("\(name)/\(id)"))
    }
}

extension Route {
    /// A route over models of which nothing is known beside what they answer.
    static func fallback(_ name: String, of members: [any Model]) -> Route {
        Route(name, RouteRules(.fallback), of: members.map { RouteMember($0) })
    }

    /// A race of such models.
    static func race(_ name: String, of members: [any Model]) -> Route {
        Route(name, RouteRules(.race), of: members.map { RouteMember($0) })
    }
}

func makeCall(
    _ connector: any Connector = SleepyConnector(), deadline: NIODeadline = .now() + .hours(1)
) -> Call {
    Call(
        id: "call", dialect: .openAIChat, operation: .chat, model: "asked", stream: false, includeUsage: false,
        body: ByteBuffer(), deadline: deadline, connector: connector, trace: CallTrace())
}

/// The id of the answer, which the scripts use to say who answered.
func answerer(_ model: any Model, _ call: Call = makeCall()) async throws(ParleyError) -> String {
    guard case .whole(let response) = try await model.answer(call).content else { return "no whole answer" }
    return response.identity.id
}

/// What the call fails with.
func failure(_ model: any Model, _ call: Call = makeCall()) async -> ParleyError? {
    do throws(ParleyError) {
        _ = try await model.answer(call)
        return nil
    } catch {
        return error
    }
}

/// Steele and Vigna's splitmix64: the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
