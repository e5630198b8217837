// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Testing

@Suite struct RetryMachineTests {
    private let policy = RetryPolicy(attempts: 4, backoff: .milliseconds(100), maxWait: .milliseconds(300))

    /// Plays the failures of a call with an hour left and returns what follows each.
    private func play(
        _ policy: RetryPolicy, _ errors: [ParleyError], remaining: TimeAmount = .hours(1), random: Double = 1
    ) -> [RetryMachine.Action] {
        var machine = RetryMachine(policy)
        var actions = [machine.next(.started)]
        for error in errors {
            let action = machine.next(.failed(error, remaining: remaining, random: random))
            actions.append(action)
            if case .wait = action { actions.append(machine.next(.waited)) }
        }
        return actions
    }

    @Test("Waits double up to the longest wait, and the tries are counted in all")
    func doubling() {
        let error = ParleyError(.upstreamUnavailable, "down")
        #expect(
            play(policy, [error, error, error, error]) == [
                .attempt, .wait(.milliseconds(100)), .attempt, .wait(.milliseconds(200)), .attempt,
                .wait(.milliseconds(300)), .attempt, .fail(error),
            ])
    }

    @Test(
        "Jitter takes away up to half of a wait", arguments: [(0.0, 50), (0.5, 75), (1.0, 100), (-7.0, 50), (9.0, 100)])
    func jitter(random: Double, milliseconds: Int64) {
        let error = ParleyError(.timeout, "late")
        #expect(play(policy, [error], random: random)[1] == .wait(.milliseconds(milliseconds)))
    }

    @Test("Only classes that the policy names are tried again", arguments: ParleyError.Kind.allCases)
    func classes(kind: ParleyError.Kind) {
        let error = ParleyError(kind, "no")
        let repeated: Set<ParleyError.Kind> = [.rateLimited, .upstreamUnavailable, .timeout]
        #expect((play(policy, [error])[1] == .fail(error)) == !repeated.contains(kind))
        var narrow = policy
        narrow.on = [.timeout]
        #expect((play(narrow, [error])[1] == .fail(error)) == (kind != .timeout))
    }

    @Test("One try or fewer is no retry", arguments: [1, 0, -3, .min])
    func single(attempts: Int) {
        let error = ParleyError(.timeout, "late")
        #expect(play(RetryPolicy(attempts: attempts), [error]) == [.attempt, .fail(error)])
    }

    @Test(
        "What the upstream asks for is waited for, unless it is too long",
        arguments: [
            (0.2, 200), (0.3, 300), (0.0, 100), (-5.0, 100), (.nan, 100), (0.301, nil), (1e300, nil), (.infinity, nil),
        ] as [(Double, Int64?)])
    func retryAfter(seconds: Double, milliseconds: Int64?) {
        let error = ParleyError(.rateLimited, "full", retryAfter: seconds)
        let expected = milliseconds.map { RetryMachine.Action.wait(.milliseconds($0)) } ?? .fail(error)
        #expect(play(policy, [error])[1] == expected)
    }

    @Test("A wait that would pass the deadline is not begun", arguments: [(99, false), (100, false), (101, true)])
    func deadline(milliseconds: Int64, waits: Bool) {
        let error = ParleyError(.upstreamUnavailable, "down")
        let actions = play(policy, [error], remaining: .milliseconds(milliseconds))
        #expect(actions[1] == (waits ? .wait(.milliseconds(100)) : .fail(error)))
        #expect(play(policy, [error], remaining: .seconds(-1))[1] == .fail(error))
    }

    @Test("Absurd policies do not trap")
    func extremes() {
        let error = ParleyError(.upstreamUnavailable, "down")
        let long = RetryPolicy(attempts: .max, backoff: .nanoseconds(.max), maxWait: .nanoseconds(.max))
        #expect(play(long, [error], remaining: .nanoseconds(.max), random: 0.5)[1] != .attempt)
        #expect(play(long, [error], remaining: .nanoseconds(.max))[1] == .fail(error))
        let negative = RetryPolicy(attempts: 3, backoff: .seconds(-1), maxWait: .seconds(1))
        #expect(play(negative, [error])[1] == .wait(.zero))
        let none = RetryPolicy(attempts: 3, backoff: .zero, maxWait: .zero)
        #expect(play(none, [error, error]).last == .attempt)
    }

    @Test("The standard policy is three tries of every class")
    func standard() {
        #expect(RetryPolicy.standard.attempts == 3)
        #expect(RetryPolicy.standard.on == Set(RetryClass.allCases))
        #expect(RetryPolicy.standard.backoff == .milliseconds(250))
        #expect(RetryPolicy.standard.maxWait == .seconds(20))
    }
}
