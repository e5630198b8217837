// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Synchronization
import Testing

@Suite struct SpreadTests {
    /// One call's picks: a random number for each in, the members' indices out.
    struct Row: CustomTestStringConvertible, Sendable {
        var strategy: RouteStrategy
        var members: [(priority: Int, weight: Double)]
        var turn: UInt = 0
        var draws: [Double] = [0, 0, 0, 0, 0]
        var picks: [Int]

        var testDescription: String { "\(strategy) \(members) turn \(turn) \(draws)" }
    }

    static func picker(
        _ strategy: RouteStrategy, _ members: [(priority: Int, weight: Double)], turn: UInt = 0
    ) -> MemberPicker {
        MemberPicker(strategy, members: members.map { .init(priority: $0.priority, weight: $0.weight) }, turn: turn)
    }

    private let well: (Int) -> UpstreamHealth.Look = { _ in UpstreamHealth.Look() }

    static let three: [(priority: Int, weight: Double)] = [(0, 1), (0, 1), (0, 1)]
    static let shares: [(priority: Int, weight: Double)] = [(0, 1), (0, 2), (0, 1)]
    static let ranks: [(priority: Int, weight: Double)] = [(1, 1), (0, 1), (0, 1), (-5, 1), (1, 1)]

    @Test(
        "Which members are asked, in which order",
        arguments: [
            Row(strategy: .roundRobin, members: three, picks: [0, 1, 2]),
            Row(strategy: .roundRobin, members: three, turn: 1, picks: [1, 2, 0]),
            Row(strategy: .roundRobin, members: three, turn: 5, picks: [2, 0, 1]),
            Row(strategy: .roundRobin, members: three, turn: .max, picks: [0, 1, 2]),
            Row(strategy: .random, members: three, draws: [0.99, 0.5, 0], picks: [2, 1, 0]),
            Row(strategy: .random, members: three, draws: [0.34, 0.49, 0], picks: [1, 0, 2]),
            Row(strategy: .weighted, members: shares, draws: [0.24, 0.66, 0], picks: [0, 1, 2]),
            Row(strategy: .weighted, members: shares, draws: [0.25, 0.5, 0], picks: [1, 2, 0]),
            Row(strategy: .weighted, members: shares, draws: [0.75, 0, 0], picks: [2, 0, 1]),
            // What weighs nothing is only asked when nothing else is left, in the order of the file.
            Row(strategy: .weighted, members: [(0, 0), (0, 1), (0, 0)], draws: [0, 0.9, 0.9], picks: [1, 0, 2]),
            // Priorities first, each with a draw of its own.
            Row(strategy: .roundRobin, members: ranks, turn: 1, picks: [3, 2, 1, 4, 0]),
            Row(strategy: .random, members: ranks, draws: [0.9, 0.9, 0, 0, 0], picks: [3, 2, 1, 0, 4]),
            // Numbers that make no sense choose somebody all the same.
            Row(strategy: .random, members: three, draws: [1, -1, 7], picks: [2, 0, 1]),
            Row(strategy: .weighted, members: shares, draws: [1, 1, 1], picks: [2, 1, 0]),
            Row(
                strategy: .weighted, members: [(0, .nan), (0, .infinity), (0, -1)], draws: [0.5, 0, 0],
                picks: [0, 1, 2]),
            Row(strategy: .roundRobin, members: [], picks: []),
        ])
    func picks(row: Row) {
        var picker = Self.picker(row.strategy, row.members, turn: row.turn)
        #expect(
            row.picks.indices.map { index in picker.next(random: { row.draws[index] }, look: well)?.index } == row.picks
        )
        #expect(picker.next(random: { 0 }, look: well) == nil)
    }

    @Test("Over many calls the first picks are as the strategy says")
    func distribution() {
        var seed = SeededGenerator(state: 42)
        func firsts(_ strategy: RouteStrategy) -> [Int] {
            var counts = [0, 0, 0]
            for turn in 0..<40_000 as Range<UInt> {
                var picker = Self.picker(strategy, Self.shares, turn: turn)
                if let first = picker.next(random: { .random(in: 0..<1, using: &seed) }, look: well) {
                    counts[first.index] += 1
                }
            }
            return counts
        }
        #expect(firsts(.roundRobin) == [13_334, 13_333, 13_333])
        for (counts, shares) in [(firsts(.random), [1, 1, 1]), (firsts(.weighted), [1, 2, 1])] {
            for (count, share) in zip(counts, shares) {
                let expected = 40_000.0 * Double(share) / Double(shares.reduce(0, +))
                #expect(abs(Double(count) - expected) <= 0.02 * 40_000, "\(counts)")
            }
        }
    }

    @Test("Each call begins with the next member, and a member that fails is followed by the others")
    func driver() async throws {
        let first = ScriptedModel("a/1", .answer("first"))
        let second = ScriptedModel("b/2", .fail(ParleyError(.upstreamUnavailable, "down")))
        let third = ScriptedModel("c/3", .answer("third"))
        let route = Route("r", RouteRules(.roundRobin), of: [.init(first), .init(second), .init(third)])
        var answers: [String] = []
        for _ in 0..<6 { answers.append(try await answerer(route)) }
        #expect(answers == ["first", "third", "third", "first", "third", "third"])
    }

    @Test("What is wrong with the request ends the call, and when all fail they are all named")
    func failures() async {
        let invalid = ParleyError(.invalid, "no")
        let next = ScriptedModel("b/2", .answer("second"))
        let stopping = Route(
            "r", RouteRules(.random), of: [.init(ScriptedModel("a/1", .fail(invalid))), .init(next)], random: { 0 })
        #expect(await failure(stopping) == invalid)
        #expect(next.calls.isEmpty)
        let down = ["a/1", "b/2"].map { ScriptedModel($0, .fail(ParleyError(.upstreamUnavailable, "down"))) }
        let route = Route("r", RouteRules(.random), of: down.map { .init($0) }, random: { 0.9 })
        #expect(
            await failure(route)?.message
                == "All models of \"r\" that were tried failed: b/2 (unavailable), a/1 (unavailable).")
        #expect(await failure(Route("r", RouteRules(.weighted), of: []))?.kind == .internalError)
    }

    @Test("Parallel calls take turns that are each taken once")
    func parallel() async {
        let state = RouteState()
        let taken = await withTaskGroup(of: UInt.self) { group in
            for _ in 0..<200 { group.addTask { state.takeTurn() } }
            return await group.reduce(into: Set<UInt>()) { $0.insert($1) }
        }
        #expect(taken == Set(0..<200))
    }

    @Test("A wildcard's route goes on with its turns from call to call, whatever the name")
    func wildcard() async throws {
        let entries = [
            Blueprint.Entry(
                "pool/*",
                .route(Blueprint.Route(.roundRobin, of: [Blueprint.Member("a/*"), Blueprint.Member("b/*")])))
        ]
        let (directory, problems) = Directory.build(
            Blueprint(entries), sources: [ScriptedSource(name: "a"), ScriptedSource(name: "b")])
        #expect(problems.isEmpty)
        var answers: [String] = []
        for name in ["x", "y", "x", "x"] {
            guard case .model(let model) = directory.resolve("pool/" + name) else { continue }
            answers.append(try await answerer(model))
        }
        #expect(answers == ["a/x", "b/y", "a/x", "b/x"])
    }

    @Test("Priority and weight of members reach the route")
    func blueprint() async throws {
        let members = [
            Blueprint.Member("a/1", priority: 2), Blueprint.Member("a/2", weight: 0),
            Blueprint.Member("a/3", weight: 9),
        ]
        let route = Blueprint.Route(.weighted, of: members)
        let (directory, _) = Directory.build(
            Blueprint([Blueprint.Entry("r", .route(route))]), sources: [ScriptedSource(name: "a")])
        guard case .model(let model) = directory.resolve("r") else {
            Issue.record("there is no route")
            return
        }
        for _ in 0..<20 { #expect(try await answerer(model) == "a/3") }
    }
}
