// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyModels

@Suite struct PickerTests {
    typealias Look = UpstreamHealth.Look

    struct Row: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var strategy: RouteStrategy
        var members: [MemberPicker.Member]
        var looks: [Look]
        var picks: [MemberPicker.Pick]
    }

    static let three: [MemberPicker.Member] = [.init(), .init(), .init()]
    static let well = Look()
    static func open(_ second: Int64) -> Look {
        Look(standing: .open(until: .uptimeNanoseconds(0) + .seconds(second)))
    }

    @Test(
        "Who is asked, and why",
        arguments: [
            Row(
                testDescription: "what is open comes last, the least bad first", strategy: .fallback, members: three,
                looks: [open(9), open(4), well],
                picks: [.init(2, "next"), .init(1, "least bad"), .init(0, "least bad")]),
            Row(
                testDescription: "where all are open, the least bad", strategy: .roundRobin, members: three,
                looks: [open(9), open(4), open(6)],
                picks: [.init(1, "least bad"), .init(2, "least bad"), .init(0, "least bad")]),
            Row(
                testDescription: "an open one waits behind a lower priority", strategy: .random,
                members: [.init(priority: 0), .init(priority: 7)], looks: [open(3), well],
                picks: [.init(1, "random"), .init(0, "least bad")]),
            Row(
                testDescription: "a probe takes its turn", strategy: .fallback, members: three,
                looks: [Look(standing: .halfOpen), well, well],
                picks: [.init(0, "probe"), .init(1, "next"), .init(2, "next")]),
            Row(
                testDescription: "the fewest calls", strategy: .leastBusy, members: three,
                looks: [Look(inFlight: 3), Look(inFlight: 1), Look(inFlight: 2)],
                picks: [.init(1, "least busy"), .init(2, "next"), .init(0, "next")]),
            Row(
                testDescription: "the faster of two", strategy: .fastest, members: [.init(), .init()],
                looks: [Look(first: 0.5), Look(first: 0.1)], picks: [.init(1, "fastest"), .init(0, "next")]),
            Row(
                testDescription: "a fast one with many calls is slow", strategy: .fastest, members: [.init(), .init()],
                looks: [Look(first: 0.5), Look(inFlight: 5, first: 0.1)],
                picks: [.init(0, "fastest"), .init(1, "next")]),
            Row(
                testDescription: "what was not measured is tried", strategy: .fastest, members: [.init(), .init()],
                looks: [Look(first: 0.1), well], picks: [.init(1, "fastest"), .init(0, "next")]),
            Row(
                testDescription: "but by one call only", strategy: .fastest, members: [.init(), .init()],
                looks: [Look(first: 0.1), Look(inFlight: 1)], picks: [.init(0, "fastest"), .init(1, "next")]),
            Row(
                testDescription: "a sticky call wants its own", strategy: .roundRobin,
                members: [.init(pull: 0.1), .init(pull: 0.9), .init(pull: 0.5)], looks: [well, well, well],
                picks: [.init(1, "sticky"), .init(2, "next"), .init(0, "next")]),
            Row(
                testDescription: "but not one that is open", strategy: .weighted,
                members: [.init(pull: 0.1), .init(pull: 0.9), .init(pull: 0.5)], looks: [well, open(5), well],
                picks: [.init(2, "sticky"), .init(0, "next"), .init(1, "least bad")]),
            Row(
                testDescription: "what the call is bound to comes before priorities", strategy: .fallback,
                members: [.init(priority: 0), .init(priority: 9, isBound: true)], looks: [well, well],
                picks: [.init(1, "first"), .init(0, "next")]),
        ])
    func table(row: Row) {
        var picker = MemberPicker(row.strategy, members: row.members)
        for pick in row.picks {
            #expect(picker.next(random: { 0 }, look: { row.looks[$0] }) == pick)
        }
        #expect(picker.next(random: { 0 }, look: { row.looks[$0] }) == nil)
    }

    @Test func `a race asks all of a priority that may be asked, then the next`() {
        let members: [MemberPicker.Member] = [.init(), .init(), .init(priority: 1), .init(priority: 2)]
        let looks = [Self.well, Self.open(1), Self.open(2), Self.well]
        var picker = MemberPicker(.race, members: members)
        var groups: [[Int]] = []
        while true {
            let group = picker.nextGroup { looks[$0] }
            if group.isEmpty { break }
            groups.append(group.map(\.index))
        }
        #expect(groups == [[0], [3], [1], [2]])
    }

    @Test func `a probe that somebody else took is asked last`() {
        let looks = [Look(standing: .halfOpen), Self.well]
        var picker = MemberPicker(.fallback, members: [.init(), .init()])
        #expect(picker.next(random: { 0 }, look: { looks[$0] })?.index == 0)
        picker.refuse(0)
        #expect(picker.next(random: { 0 }, look: { looks[$0] })?.index == 1)
        #expect(picker.next(random: { 0 }, look: { looks[$0] }) == .init(0, "least bad"))
    }

    @Test func `round robin is exact under 64 clients at once`() async {
        let state = RouteState()
        let counts = await withTaskGroup(of: [Int].self) { group in
            for _ in 0..<64 {
                group.addTask {
                    var counts = [0, 0, 0, 0]
                    for _ in 0..<100 {
                        var picker = MemberPicker(
                            .roundRobin, members: [.init(), .init(), .init(), .init()], turn: state.takeTurn())
                        if let pick = picker.next(random: { 0 }, look: { _ in Look() }) { counts[pick.index] += 1 }
                    }
                    return counts
                }
            }
            return await group.reduce(into: [0, 0, 0, 0]) { sum, counts in
                for index in counts.indices { sum[index] += counts[index] }
            }
        }
        #expect(counts == [1600, 1600, 1600, 1600])
    }

    @Test func `the fastest leaves a slow one alone within 20 calls and finds it again when it is well`() {
        var random = SeededGenerator(state: 7)
        let healths = (0..<3).map { UpstreamHealth("up/\($0)") }
        var clock = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var slow = TimeAmount.seconds(2)
        func call() -> Int {
            var picker = MemberPicker(.fastest, members: Self.three)
            let now = clock
            let pick = picker.next(
                random: { .random(in: 0..<1, using: &random) }, look: { healths[$0].look(at: now, stream: true) })
            let index = pick?.index ?? 0
            healths[index].begin(at: clock)
            let taken = index == 0 ? slow : .milliseconds(50)
            healths[index].committed(began: clock, at: clock + taken, measures: true, stream: true, .standard)
            healths[index].ended(nil, at: clock + taken, .standard)
            clock = clock + .milliseconds(100)
            return index
        }
        let first = (0..<20).map { _ in call() }
        #expect(first.count { $0 == 0 } <= 1)
        let then = (0..<100).map { _ in call() }
        #expect(then.allSatisfy { $0 != 0 })
        slow = .milliseconds(20)
        let later = (0..<600).map { _ in call() }
        #expect(later.suffix(100).count { $0 == 0 } > 20)
    }

    @Test func `a sticky key keeps its member when another goes`() {
        let names = ["a/1", "b/2", "c/3", "d/4"]
        var counts: [String: Int] = [:]
        for number in 0..<4000 {
            let key = "conversation-\(number)"
            let winner = { (names: [String]) in names.max { Stickiness.pull(key, $0) < Stickiness.pull(key, $1) } }
            let own = winner(names)
            counts[own ?? "", default: 0] += 1
            for gone in names where gone != own { #expect(winner(names.filter { $0 != gone }) == own) }
        }
        #expect(names.allSatisfy { (920...1080).contains(counts[$0] ?? 0) }, "\(counts)")
        // The same in every process.
        #expect(names.max { Stickiness.pull("x", $0) < Stickiness.pull("x", $1) } == Self.winnerOfX)
    }

    private static let winnerOfX = "c/3"
}
