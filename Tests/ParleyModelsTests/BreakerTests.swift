// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyModels
import Testing

@Suite struct BreakerTests {
    /// What happens, at a second.
    enum Event: Sendable {
        case failed(Int, began: Int? = nil)
        case committed(Int, began: Int? = nil)
        case completed
        case cut(Int)
        case rest(until: Int)
        case probe(Int, isGiven: Bool)
        case released(began: Int)
    }

    struct Row: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var events: [Event]
        /// The standings at seconds: nil is closed, 0 half-open, else open until then.
        var standings: [(Int, Int?)]

        init(_ description: String, _ events: [Event], _ standings: [(Int, Int?)]) {
            testDescription = description
            self.events = events
            self.standings = standings
        }
    }

    private static func at(_ second: Int) -> NIODeadline {
        .uptimeNanoseconds(0) + .seconds(Int64(second))
    }

    @Test(
        "Three failures in a row open it for ten seconds",
        arguments: [
            Row("two failures are not three", [.failed(1), .failed(2)], [(2, nil)]),
            Row("the third opens it at once", [.failed(1), .failed(2), .failed(3)], [(3, 13), (12, 13), (13, 0)]),
            Row(
                "a complete answer begins the row anew", [.failed(1), .failed(2), .completed, .failed(3)], [(3, nil)]),
            Row(
                "a commit is no complete answer", [.failed(1), .committed(2), .cut(2), .committed(3), .cut(3)],
                [(3, 13)]),
            Row(
                "one probe, and no other beside it",
                [
                    .failed(1), .failed(2), .failed(3), .probe(12, isGiven: false), .probe(14, isGiven: true),
                    .probe(15, isGiven: false),
                ],
                [(15, 24), (24, 0)]),
            Row(
                "a probe that answers closes it",
                [.failed(1), .failed(2), .failed(3), .probe(14, isGiven: true), .committed(15, began: 14)], [(15, nil)]),
            Row(
                "a single cut behind the probe's commit opens it again",
                [.failed(1), .failed(2), .failed(3), .probe(14, isGiven: true), .committed(15, began: 14), .cut(16)],
                [(16, 26)]),
            Row(
                "a whole answer behind it begins the row anew",
                [
                    .failed(1), .failed(2), .failed(3), .probe(14, isGiven: true), .committed(15, began: 14),
                    .completed,
                    .failed(16), .failed(17),
                ], [(17, nil)]),
            Row(
                "a probe that fails opens it again",
                [.failed(1), .failed(2), .failed(3), .probe(14, isGiven: true), .failed(16, began: 14)], [(16, 26)]),
            Row(
                "a probe that was cancelled leaves room for the next",
                [.failed(1), .failed(2), .failed(3), .probe(14, isGiven: true), .released(began: 14)], [(15, 0)]),
            Row(
                "late failures neither shorten nor extend the cooldown",
                [.failed(1), .failed(2), .failed(3), .failed(9, began: 1), .failed(9, began: 5), .cut(9)],
                [(9, 13), (13, 0)]),
            Row(
                "a late answer does not close it", [.failed(1), .failed(2), .failed(3), .committed(5, began: 2)],
                [(5, 13)]),
            Row(
                "the answer of a last resort closes it", [.failed(1), .failed(2), .failed(3), .committed(6, began: 5)],
                [(6, nil)]),
            Row("a rest ends when it was said to", [.rest(until: 7)], [(6, 7), (7, nil)]),
            Row("a shorter rest does not shorten a longer one", [.rest(until: 9), .rest(until: 5)], [(6, 9)]),
            Row(
                "the longer of rest and cooldown counts",
                [.rest(until: 20), .failed(1), .failed(2), .failed(3)], [(4, 20), (20, 0)]),
        ])
    func table(row: Row) {
        let settings = BreakerSettings(failures: 3, cooldown: .seconds(10))
        var breaker = Breaker()
        for event in row.events {
            switch event {
            case .failed(let time, let began):
                breaker.failed(began: Self.at(began ?? time), at: Self.at(time), settings)
            case .committed(let time, let began): breaker.committed(began: Self.at(began ?? time), settings)
            case .completed: breaker.completed()
            case .cut(let time): breaker.cut(at: Self.at(time), settings)
            case .rest(let until): breaker.rest(until: Self.at(until))
            case .probe(let time, let isGiven):
                #expect(breaker.takeProbe(at: Self.at(time), settings) == isGiven)
            case .released(let began): breaker.released(began: Self.at(began))
            }
        }
        for (time, end) in row.standings {
            let expected: Breaker.Standing =
                switch end {
                case nil: .closed
                case 0?: .halfOpen
                case let end?: .open(until: Self.at(end))
                }
            #expect(breaker.standing(at: Self.at(time)) == expected, "at \(time)")
        }
    }
}

@Suite struct PeakAverageTests {
    @Test func `it rises at once, falls slowly and fades`() throws {
        let start = NIODeadline.uptimeNanoseconds(1)
        var average = PeakAverage()
        #expect(average.seconds(at: start) == nil)
        average.note(.milliseconds(100), at: start)
        average.note(.seconds(2), at: start)
        #expect(average.seconds(at: start) == 2)
        average.note(.milliseconds(100), at: start + .milliseconds(100))
        #expect(try #require(average.seconds(at: start + .milliseconds(100))) > 1.9)
        #expect(try #require(average.seconds(at: start + .seconds(40))) < 0.05)
        average.noteLonger(than: .milliseconds(10), at: start + .milliseconds(200))
        #expect(try #require(average.seconds(at: start + .milliseconds(200))) > 1.9)
        average.noteLonger(than: .seconds(5), at: start + .milliseconds(300))
        #expect(average.seconds(at: start + .milliseconds(300)) == 5)
    }

    @Test func `numbers that make no sense do no harm`() {
        var average = PeakAverage()
        average.note(.nanoseconds(-5), at: .uptimeNanoseconds(100))
        average.note(.nanoseconds(.max), at: .uptimeNanoseconds(0))
        #expect(average.seconds(at: .distantFuture).map { $0.isFinite } == true)
    }
}

@Suite struct HedgeTests {
    @Test(
        "A share of calls may be doubled, the first one at once",
        arguments: [(0.05, 200, 10), (0.5, 10, 5), (1, 10, 10), (0, 100, 0)])
    func budget(share: Double, calls: Int, doubled: Int) {
        var budget = HedgeBudget()
        var count = 0
        for _ in 0..<calls {
            budget.earn(share)
            if budget.take() { count += 1 }
        }
        #expect(count == doubled)
    }

    @Test func `what is saved up is little`() {
        var budget = HedgeBudget()
        for _ in 0..<10_000 { budget.earn(0.5) }
        #expect((0..<100).count { _ in budget.take() } == Int(HedgeBudget.capacity))
    }

    struct Row: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var asksAll = false
        var steps: [(ContestMachine.Event, ContestMachine.Action)]
    }

    @Test(
        "Who is asked when",
        arguments: [
            Row(
                testDescription: "the first answers",
                steps: [(.started, .ask), (.asked(1), .wait), (.committed, .end), (.delayPassed, .wait)]),
            Row(
                testDescription: "the second is asked after the delay and wins",
                steps: [
                    (.started, .ask), (.asked(1), .wait), (.delayPassed, .hedge), (.asked(1), .wait),
                    (.committed, .end),
                    (.failed, .wait),
                ]),
            Row(
                testDescription: "there is no budget",
                steps: [
                    (.started, .ask), (.asked(1), .wait), (.delayPassed, .hedge), (.asked(0), .wait), (.failed, .ask),
                    (.asked(1), .wait), (.committed, .end),
                ]),
            Row(
                testDescription: "of two one fails: the other is waited for",
                steps: [
                    (.started, .ask), (.asked(1), .wait), (.delayPassed, .hedge), (.asked(1), .wait), (.failed, .wait),
                    (.failed, .ask), (.asked(0), .end),
                ]),
            Row(
                testDescription: "a race asks group after group", asksAll: true,
                steps: [
                    (.started, .askAll), (.asked(2), .wait), (.failed, .wait), (.failed, .askAll), (.asked(1), .wait),
                    (.failed, .askAll), (.asked(0), .end),
                ]),
        ])
    func machine(row: Row) {
        var machine = ContestMachine(asksAll: row.asksAll)
        for (index, (event, action)) in row.steps.enumerated() {
            #expect(machine.next(event) == action, "step \(index)")
        }
    }
}
