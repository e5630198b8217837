// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Testing

@Suite struct FallbackTests {
    @Test("The first member that can answers, and the others are not asked")
    func order() async throws {
        let first = ScriptedModel("a/1", .fail(ParleyError(.upstreamUnavailable, "down")))
        let second = ScriptedModel("b/2", .answer("second"))
        let third = ScriptedModel("c/3", .answer("third"))
        #expect(try await answerer(Route.fallback("smart", of: [first, second, third])) == "second")
        #expect(first.calls.count == 1)
        #expect(third.calls.isEmpty)
    }

    @Test("What is wrong with an upstream moves on; what is wrong with the request does not")
    func kinds() async {
        let moving: Set<ParleyError.Kind> = [
            .rateLimited, .quota, .upstreamUnavailable, .timeout, .notFound, .notImplemented, .unauthenticated,
            .forbidden,
        ]
        for kind in ParleyError.Kind.allCases {
            let next = ScriptedModel("b/2", .answer("second"))
            let error = ParleyError(kind, "no")
            let route = Route.fallback("smart", of: [ScriptedModel("a/1", .fail(error)), next])
            #expect(await failure(route) == (moving.contains(kind) ? nil : error), "\(kind)")
            #expect(next.calls.count == (moving.contains(kind) ? 1 : 0), "\(kind)")
        }
    }

    @Test(
        "A refusal moves on when it is about credentials or the model's place",
        arguments: [
            (nil, nil, false), (400, nil, false), (422, nil, false), (401, nil, true), (402, nil, true),
            (403, nil, true), (404, nil, true), (nil, "invalid_api_key", true), (502, "invalid_api_key", true),
            (nil, "unsupported_parameter", false),
        ] as [(Int?, String?, Bool)])
    func refusals(status: Int?, code: String?, moves: Bool) {
        let error = ParleyError(.upstreamRejected, "no", code: code, status: status)
        #expect(error.isWorthMovingOn == moves)
    }

    @Test("When all fail, the message lists names and kinds and nothing of what upstreams said")
    func listing() async throws {
        var first = ParleyError(.upstreamRejected, "secret one", code: "invalid_api_key", type: "t")
        first.relayed = RelayedFailure(body: [1], contentType: "application/json")
        var second = ParleyError(.timeout, "secret two", parameter: "model", type: "t")
        second.relayed = RelayedFailure(body: [2], contentType: "application/json")
        let route = Route.fallback(
            "smart", of: [ScriptedModel("a/1", .fail(first)), ScriptedModel("b/2", .fail(second))])
        let error = try #require(await failure(route))
        #expect(
            error.message
                == "All models of \"smart\" that were tried failed: a/1 (credentials refused), b/2 (timed out).")
        #expect(error.kind == .timeout)
        #expect(error.httpStatus == 504)
        #expect(error.relayed == nil)
        #expect(error.parameter == nil)
        #expect(error.type == nil)
    }

    @Test("A single failure is handed on whole")
    func single() async {
        var only = ParleyError(.rateLimited, "full", retryAfter: 3)
        only.relayed = RelayedFailure(body: [1], contentType: "application/json")
        #expect(await failure(Route.fallback("smart", of: [ScriptedModel("a/1", .fail(only))])) == only)
    }

    @Test("Where all are rate limited, the soonest is told")
    func soonest() async {
        let route = Route.fallback(
            "smart",
            of: [9.0, 4, nil, 6].map { ScriptedModel("a", .fail(ParleyError(.rateLimited, "full", retryAfter: $0))) })
        let error = await failure(route)
        #expect(error?.httpStatus == 429)
        #expect(error?.retryAfter == 4)
    }

    @Test("A failure that may pass tells more than one that will not")
    func passing() async {
        let down = ScriptedModel("a/1", .fail(ParleyError(.upstreamUnavailable, "down")))
        let refused = ScriptedModel("b/2", .fail(ParleyError(.upstreamRejected, "no", code: "invalid_api_key")))
        let gone = ScriptedModel("c/3", .fail(ParleyError(.notFound, "gone")))
        #expect(await failure(Route.fallback("smart", of: [down, refused]))?.kind == .upstreamUnavailable)
        #expect(await failure(Route.fallback("smart", of: [refused, gone]))?.kind == .notFound)
    }

    @Test("No further member is asked after the deadline, but the first always is")
    func deadline() async {
        let first = ScriptedModel("a/1", .fail(ParleyError(.timeout, "late")))
        let second = ScriptedModel("b/2", .answer("second"))
        let error = await failure(Route.fallback("smart", of: [first, second]), makeCall(deadline: .now()))
        #expect(error == ParleyError(.timeout, "late"))
        #expect(first.calls.count == 1)
        #expect(second.calls.isEmpty)
    }

    @Test("A client that leaves during a member's backoff ends the route")
    func cancelled() async {
        let connector = SleepyConnector(onSleep: { withUnsafeCurrentTask { $0?.cancel() } })
        let first = ScriptedModel("a/1", .fail(ParleyError(.upstreamUnavailable, "down")))
        let second = ScriptedModel("b/2", .answer("never"))
        let route = Route.fallback("smart", of: [Retry(first, policy: .standard), second])
        let error = await Task { await failure(route, makeCall(connector)) }.value
        #expect(error?.kind == .cancelled)
        #expect(first.calls.count == 1)
        #expect(second.calls.isEmpty)
    }

    @Test("A client that leaves while a member fails otherwise ends the route")
    func cancelledWhileFailing() async {
        let first = ScriptedModel("a/1", .cancelTaskThenFail(ParleyError(.upstreamUnavailable, "closed")))
        let second = ScriptedModel("b/2", .answer("never"))
        let route = Route.fallback("smart", of: [first, second])
        let error = await Task { await failure(route) }.value
        #expect(error?.kind == .cancelled)
        #expect(second.calls.isEmpty)
    }

    @Test("A route without members fails instead of trapping")
    func empty() async {
        #expect(await failure(Route.fallback("smart", of: []))?.kind == .internalError)
    }

    @Test("A layer's fields come before those of the layers above, and its limits fill what they left open")
    func adjusted() async throws {
        let leaf = ScriptedModel("a/1", .answer("ok"))
        let own = FieldOverride(name: "temperature", json: "0.2", force: false)
        let above = FieldOverride(name: "temperature", json: "0.9", force: false)
        let layer = Adjusted(
            leaf, overrides: [own], timeouts: TimeoutOverrides(connect: .seconds(1), first: .seconds(2)))
        var call = makeCall()
        call.overrides = [above]
        call.timeouts.first = .seconds(30)
        #expect(try await answerer(layer, call) == "ok")
        #expect(leaf.calls.first?.overrides == [own, above])
        #expect(leaf.calls.first?.timeouts == TimeoutOverrides(connect: .seconds(1), first: .seconds(30)))
        #expect(layer.name == "a/1")
    }
}
