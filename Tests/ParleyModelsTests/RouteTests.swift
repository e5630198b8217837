// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization
import Testing

@testable import ParleyModels

@Suite struct RouteTests {
    private let down = ParleyError(.upstreamUnavailable, "down")

    /// A member with the health that goes with it.
    private func member(_ model: any Model, _ settings: BreakerSettings = .standard, priority: Int = 0) -> RouteMember {
        let health = UpstreamHealth(model.name)
        return RouteMember(Watched(model, health, settings), priority: priority, healths: [health])
    }

    /// Answers and ends the reply, as the gateway does.
    private func ask(_ route: Route, _ call: Call = makeCall()) async throws(ParleyError) -> String {
        let reply = try await route.answer(call)
        reply.end(Observation(), nil)
        guard case .whole(let response) = reply.content else { return "no whole answer" }
        return response.identity.id
    }

    @Test func `a member that keeps failing is left alone, and its decisions say so`() async throws {
        let bad = ScriptedModel("a/1", .fail(down))
        let good = ScriptedModel("b/2", .answer("good"))
        let settings = BreakerSettings(failures: 3, cooldown: .seconds(60))
        var rules = RouteRules(.fallback)
        rules.breaker = settings
        let route = Route("r", rules, of: [member(bad, settings), member(good)])
        for _ in 0..<10 { #expect(try await ask(route) == "good") }
        #expect(bad.calls.count == 3)
        let call = makeCall()
        #expect(try await ask(route, call) == "good")
        #expect(call.trace.decisions.map(\.reason) == ["next"])
    }

    @Test func `where all are left alone, they are asked all the same`() async throws {
        let settings = BreakerSettings(failures: 1, cooldown: .seconds(60))
        let models = [
            ScriptedModel("a/1", .fail(down)), ScriptedModel("b/2", .fail(down), .answer("recovered")),
        ]
        let route = Route("r", RouteRules(.fallback), of: models.map { member($0, settings) })
        #expect(await failure(route)?.kind == .upstreamUnavailable)
        #expect(try await ask(route) == "recovered")
        #expect(try await ask(route) == "recovered")
        #expect(models[0].calls.count == 2)
    }

    @Test func `the client's mistakes and cancelled calls open nothing`() async {
        let settings = BreakerSettings(failures: 1, cooldown: .seconds(60))
        for kind in ParleyError.Kind.allCases {
            let health = UpstreamHealth("a/1")
            let watched = Watched(ScriptedModel("a/1", .fail(ParleyError(kind, "no"))), health, settings)
            _ = await failure(watched)
            let opens: Set<ParleyError.Kind> = [.upstreamUnavailable, .timeout, .rateLimited]
            #expect(health.isAvailable(at: .now()) != opens.contains(kind), "\(kind)")
            #expect(health.look(at: .now(), stream: false).inFlight == 0)
        }
    }

    @Test func `an answer that breaks off counts as a failure, and a lease is held until the end`() async throws {
        let health = UpstreamHealth("a/1")
        let watched = Watched(ScriptedModel("a/1", .answer("x")), health, BreakerSettings(failures: 2))
        for _ in 0..<2 {
            let reply = try await watched.answer(makeCall())
            #expect(health.look(at: .now(), stream: false).inFlight == 1)
            reply.end(Observation(), down)
            #expect(health.look(at: .now(), stream: false).inFlight == 0)
        }
        #expect(!health.isAvailable(at: .now()))
    }

    @Test func `a rate limit rests the member for as long as it says`() async throws {
        let health = UpstreamHealth("a/1")
        let full = ParleyError(.rateLimited, "full", retryAfter: 20)
        _ = await failure(Watched(ScriptedModel("a/1", .fail(full)), health, .standard))
        #expect(!health.isAvailable(at: .now() + .seconds(19)))
        #expect(health.isAvailable(at: .now() + .seconds(21)))
    }

    @Test func `a retry gives up where the upstream should be left alone and others can be asked`() async {
        let health = UpstreamHealth("a/1")
        let model = ScriptedModel("a/1", .fail(ParleyError(.rateLimited, "full", retryAfter: 1)))
        let retry = Retry(Watched(model, health, .standard), policy: .standard, yielding: health)
        #expect(await failure(retry)?.kind == .rateLimited)
        #expect(model.calls.count == 1)
    }

    @Test func `where all are rate limited the route waits for the soonest`() async throws {
        let connector = SleepyConnector()
        let models = [4.0, 2.0].map { (seconds: Double) in
            ScriptedModel(
                "a/\(seconds)", .fail(ParleyError(.rateLimited, "full", retryAfter: seconds)),
                .answer("after \(seconds)"))
        }
        let route = Route("r", RouteRules(.fallback), of: models.map { member($0) })
        #expect(try await ask(route, makeCall(connector)) == "after 2.0")
        #expect(connector.slept == [.seconds(2)])
    }

    @Test func `another key of the same provider is tried at once`() async throws {
        let connector = SleepyConnector()
        var refused = ParleyError(.unauthenticated, "no")
        refused.hasSpareCredential = true
        var full = ParleyError(.rateLimited, "full", retryAfter: 60)
        full.hasSpareCredential = true
        let model = ScriptedModel("a/1", .fail(refused), .fail(full), .answer("third key"))
        let retry = Retry(model, policy: RetryPolicy(attempts: 2))
        #expect(try await answerer(retry, makeCall(connector)) == "third key")
        #expect(connector.slept.isEmpty)
        let single = ScriptedModel("a/1", .fail(full), .answer("second key"))
        #expect(await failure(Retry(single, policy: .never))?.kind == .rateLimited)
    }

    @Test func `priorities come before a race's and the fastest's choice`() async throws {
        for strategy in [RouteStrategy.race, .fastest, .leastBusy] {
            let second = ScriptedModel("b/2", .answer("second"))
            let route = Route(
                "r", RouteRules(strategy),
                of: [member(second, priority: 1), member(ScriptedModel("a/1", .answer("first")))])
            for _ in 0..<3 { #expect(try await ask(route) == "first") }
            #expect(second.calls.isEmpty)
        }
    }

    @Test(
        "A failure that is the request's own goes to the model that is named for it",
        arguments: [ParleyError.Kind.contextExceeded, .contentFiltered])
    func specials(kind: ParleyError.Kind) async throws {
        let error = ParleyError(kind, "no")
        var rules = RouteRules(.fallback)
        rules.onContextExceeded = ScriptedModel("long/1", .answer("contextExceeded"))
        rules.onContentFilter = ScriptedModel("free/1", .answer("contentFiltered"))
        let second = ScriptedModel("b/2", .answer("never"))
        let route = Route("r", rules, of: [member(ScriptedModel("a/1", .fail(error))), member(second)])
        let call = makeCall()
        #expect(try await ask(route, call) == kind.rawValue)
        #expect(second.calls.isEmpty)
        #expect(
            call.trace.decisions.map(\.reason) == [kind == .contextExceeded ? "context exceeded" : "content filter"])
        let bare = Route("r", RouteRules(.fallback), of: [member(ScriptedModel("a/1", .fail(error)))])
        #expect(await failure(bare) == error)
    }

    @Test func `a call that is bound to a provider goes there first`() async throws {
        let models = ["a/1", "b/1", "b/2"].map { ScriptedModel($0, .answer($0)) }
        let route = Route("r", RouteRules(.fallback), of: models.map { member($0) })
        var call = makeCall()
        for (origin, answers) in [("b", "b/1"), ("b/2", "b/2"), ("a", "a/1"), ("nobody", "a/1")] {
            call.affinity = Affinity(origin: origin)
            #expect(try await ask(route, call) == answers)
        }
    }

    @Test func `sticky calls stay, and go on to another member when theirs is left alone`() async throws {
        let models = ["a/1", "b/2", "c/3"].map { ScriptedModel($0, .answer($0)) }
        var rules = RouteRules(.random)
        rules.affinity = .key
        let members = models.map { member($0) }
        let route = Route("r", rules, of: members)
        var call = makeCall()
        call.caller = "laptop"
        let own = try await ask(route, call)
        for _ in 0..<20 { #expect(try await ask(route, call) == own) }
        let place = try #require(models.firstIndex { $0.name == own })
        for _ in 0..<5 { members[place].healths[0].begin(at: .now()) }
        for _ in 0..<5 {
            members[place].healths[0].failed(down, began: .now(), at: .now(), stream: false, .standard)
        }
        let other = try await ask(route, call)
        #expect(other != own)
        for _ in 0..<20 { #expect(try await ask(route, call) == other) }
    }

    @Test func `a wildcard's calls share what is known of the upstreams`() async throws {
        let book = HealthBook()
        let entries = [
            Blueprint.Entry(
                "pool/*", .route(Blueprint.Route(.fallback, of: [.init("a/*"), .init("b/*")], retry: .never)))
        ]
        let (directory, _) = Directory.build(
            Blueprint(entries, breaker: BreakerSettings(failures: 2)),
            sources: [ScriptedSource(name: "a", outcome: .fail(down)), ScriptedSource(name: "b")], health: book)
        for _ in 0..<3 {
            guard case .model(let model) = directory.resolve("pool/x") else { continue }
            #expect(try await answerer(model) == "b/x")
        }
        #expect(!book.health(of: "a/x").isAvailable(at: .now()))
        #expect(book.health(of: "a/y").isAvailable(at: .now()))
        let next = HealthBook(after: book, keeping: ["a"])
        #expect(!next.health(of: "a/x").isAvailable(at: .now()))
        #expect(HealthBook(after: book, keeping: ["b"]).health(of: "a/x").isAvailable(at: .now()))
        #expect(directory.tree(of: "pool/x")?.members.map(\.health?.state) == ["open", "closed"])
    }
}
