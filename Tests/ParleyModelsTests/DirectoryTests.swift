// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyModels

@Suite struct DirectoryTests {
    private let openai = ScriptedSource(name: "openai")
    private let claude = ScriptedSource(name: "claude", ids: ["opus", "haiku"])

    private func route(_ members: String..., retry: RetryPolicy? = nil) -> Blueprint.Body {
        .route(.init(.fallback, of: members.map { .init($0) }, retry: retry))
    }

    /// Who answers a name; "unknown" where nobody does.
    private func who(_ directory: Directory, _ name: String) async throws(ParleyError) -> String {
        guard case .model(let model) = directory.resolve(name) else { return "unknown" }
        return try await answerer(model)
    }

    @Test(
        "Names are looked up exactly, then by provider, then by wildcard",
        arguments: [
            ("fast", "openai/gpt-4o-mini"), ("quick", "openai/gpt-4o-mini"), ("smart", "claude/opus"),
            ("openai/gpt-4o", "openai/gpt-4o"), ("openai/pinned", "claude/haiku"), ("claude/haiku", "claude/haiku"),
            ("claude/unheard", "openai/other/claude/unheard"), ("gpt-5", "openai/gpt-5"), ("gpt-4-x", "openai/four-x"),
            ("gpt-", "openai/gpt-"), ("x-latest", "claude/haiku"), ("gpt-latest", "openai/gpt-latest"),
            ("nobody/x", "openai/other/nobody/x"), ("openai/", "openai/other/openai/"), ("Fast", "openai/other/Fast"),
        ])
    func lookup(name: String, answers: String) async throws {
        let blueprint = Blueprint([
            .init("*", .alias("openai/other/*")), .init("fast", .alias("openai/gpt-4o-mini")),
            .init("quick", .alias("fast")), .init("smart", route("claude/opus", "fast")),
            .init("openai/pinned", .alias("claude/haiku")), .init("gpt-*", .alias("openai/gpt-*")),
            .init("gpt-4-*", .alias("openai/four-*")), .init("*-latest", .alias("claude/haiku")),
            .init("*-latest", .alias("claude/opus")),
        ])
        let (directory, problems) = Directory.build(blueprint, sources: [openai, claude])
        #expect(problems.isEmpty)
        // `gpt-latest` is covered by `*-latest`, which fixes more of it than `gpt-*` does.
        #expect(try await who(directory, name) == (name == "gpt-latest" ? "claude/haiku" : answers))
    }

    @Test("Of two wildcards that fix as much, the one with the longer beginning wins")
    func tie() async throws {
        let blueprint = Blueprint([.init("*-ab", .alias("openai/end")), .init("xy-*", .alias("openai/beginning"))])
        let (directory, _) = Directory.build(blueprint, sources: [openai])
        #expect(try await who(directory, "xy-ab") == "openai/beginning")
    }

    @Test("Where no models are configured, a bare name goes to the first provider that lists it")
    func bare() async throws {
        let lists = [
            ProviderList(provider: "claude", ids: ["opus", "unavailable", "shared"]),
            ProviderList(provider: "openai", ids: ["gpt-4o", "shared", "claude/opus", ""]),
            ProviderList(provider: "nobody", ids: ["ghost"]),
        ]
        let claude = ScriptedSource(name: "claude", ids: ["opus", "shared"])
        let (directory, _) = Directory.build(Blueprint(), sources: [openai, claude], lists: lists)
        #expect(try await who(directory, "gpt-4o") == "openai/gpt-4o")
        #expect(try await who(directory, "opus") == "claude/opus")
        #expect(try await who(directory, "shared") == "openai/shared")
        #expect(try await who(directory, "claude/opus") == "claude/opus")
        #expect(try await who(directory, "unlisted") == "unknown")
        #expect(try await who(directory, "ghost") == "unknown")
        #expect(try await who(directory, "openai/unlisted") == "openai/unlisted")
        #expect(
            directory.names == [
                "openai/gpt-4o", "openai/shared", "openai/claude/opus", "claude/opus", "claude/shared", "gpt-4o",
                "shared", "opus",
            ])
        #expect(directory.only == nil)
    }

    @Test("Where models are configured, bare names of lists do not resolve and are not listed")
    func configured() async throws {
        let lists = [ProviderList(provider: "openai", ids: ["gpt-4o", "pinned"])]
        let blueprint = Blueprint([
            .init("fast", .alias("openai/gpt-4o")), .init("gpt-*", .alias("openai/gpt-*")),
            .init("openai/pinned", .alias("openai/gpt-4o")),
        ])
        let (directory, _) = Directory.build(blueprint, sources: [openai], lists: lists)
        #expect(directory.names == ["fast", "openai/pinned", "openai/gpt-4o"])
        #expect(try await who(directory, "pinned") == "unknown")
        #expect(directory.names(allowedBy: ["openai/*"]) == ["openai/pinned", "openai/gpt-4o"])
        #expect(directory.names(allowedBy: nil) == directory.names)
    }

    @Test("Every listed name resolves, and new lists replace old ones")
    func listing() {
        let blueprint = Blueprint([.init("broken", .alias("nowhere")), .init("openai/a", .alias("nowhere"))])
        let lists = [ProviderList(provider: "openai", ids: ["a", "b", "b"]), .init(provider: "claude", ids: ["c"])]
        for blueprint in [Blueprint(), blueprint] {
            let (directory, _) = Directory.build(blueprint, sources: [openai, claude], lists: lists)
            #expect(directory.names.contains("openai/b"))
            #expect(Set(directory.names).count == directory.names.count)
            for name in directory.names {
                guard case .model = directory.resolve(name) else {
                    Issue.record("\(name) is listed but unknown")
                    continue
                }
            }
            let later = directory.updating(lists: [.init(provider: "claude", ids: ["opus"])])
            #expect(later.names.first == "claude/opus")
            #expect(!later.names.contains("openai/b"))
        }
    }

    @Test("The only model there is needs no name")
    func only() {
        let list = ProviderList(provider: "openai", ids: ["demo"])
        #expect(Directory.build(Blueprint(), sources: [openai], lists: [list]).directory.only == "demo")
        #expect(Directory.build(Blueprint(), sources: [openai]).directory.only == nil)
        let one = Blueprint([.init("fast", .alias("openai/x")), .init("*", .alias("openai/*"))])
        #expect(Directory.build(one, sources: [openai], lists: [list]).directory.only == "fast")
    }

    @Test("Members are asked by priority, file order among equals, with the route's retries and limits")
    func routes() async {
        let down = ScriptedModel.Outcome.fail(ParleyError(.upstreamUnavailable, "down"))
        let route = Blueprint.Route(
            .fallback,
            of: [.init("p/late", priority: 2), .init("p/one"), .init("inner"), .init("p/early", priority: -1)],
            retry: RetryPolicy(attempts: 2, backoff: .zero))
        let blueprint = Blueprint([
            .init("smart", .route(route), timeouts: TimeoutOverrides(first: .seconds(3))),
            .init("inner", .alias("p/two")),
        ])
        let (directory, problems) = Directory.build(blueprint, sources: [ScriptedSource(name: "p", outcome: down)])
        #expect(problems.isEmpty)
        guard case .model(let model) = directory.resolve("smart") else {
            Issue.record("unknown")
            return
        }
        let connector = SleepyConnector()
        let error = await failure(model, makeCall(connector))
        #expect(
            error?.message
                == "All models of \"smart\" that were tried failed: p/early (unavailable), p/one (unavailable), "
                + "inner (unavailable), p/late (unavailable).")
        #expect(connector.slept.count == 4)
        #expect(model.name == "smart")
    }

    @Test("An upstream named directly has the default retries, a nested route its own")
    func policies() async {
        let down = ScriptedModel.Outcome.fail(ParleyError(.upstreamUnavailable, "down"))
        let blueprint = Blueprint(
            [
                .init("outer", route("inner", retry: RetryPolicy(attempts: 9))),
                .init("inner", route("p/x", retry: RetryPolicy(attempts: 3))), .init("plain", route("p/x")),
            ], retry: RetryPolicy(attempts: 2))
        let (directory, _) = Directory.build(blueprint, sources: [ScriptedSource(name: "p", outcome: down)])
        for (name, sleeps) in [("outer", 2), ("inner", 2), ("plain", 1), ("p/y", 1)] {
            guard case .model(let model) = directory.resolve(name) else {
                Issue.record("\(name) is unknown")
                continue
            }
            let connector = SleepyConnector()
            _ = await failure(model, makeCall(connector))
            #expect(connector.slept.count == sleeps, "\(name)")
        }
    }

    @Test("A name for a name stands for the model behind both")
    func target() {
        let model = ScriptedModel("model", .answer("1"))
        #expect(Alias("outer", of: Alias("inner", of: model)).target as? ScriptedModel === model)
        #expect((model.target as? ScriptedModel) === model)
    }

    @Test("An entry may take the place of an upstream and still use it")
    func shadow() async throws {
        let blueprint = Blueprint([
            .init("openai/gpt", route("openai/gpt", "claude/opus")), .init("claude/*", .alias("claude/*")),
        ])
        let (directory, problems) = Directory.build(blueprint, sources: [openai, claude])
        #expect(problems.isEmpty)
        #expect(try await who(directory, "openai/gpt") == "openai/gpt")
        #expect(try await who(directory, "claude/nothing") == "unknown")
    }

    @Test("A wildcard's route asks those members that have the model")
    func partial() async throws {
        let (directory, problems) = Directory.build(
            Blueprint([.init("any-*", route("claude/*", "openai/*"))]), sources: [openai, claude])
        #expect(problems.isEmpty)
        #expect(try await who(directory, "any-opus") == "claude/opus")
        #expect(try await who(directory, "any-gpt") == "openai/gpt")
    }

    @Test("What is known but not built answers its error")
    func unavailable() async {
        let error = ParleyError(.notImplemented, "Reasoning chains are not built yet.")
        let (directory, problems) = Directory.build(Blueprint([.init("o1", .unavailable(error))]), sources: [])
        #expect(problems.isEmpty)
        #expect(directory.names == ["o1"])
        guard case .model(let model) = directory.resolve("o1") else {
            Issue.record("unknown")
            return
        }
        #expect(await failure(model) == error)
    }

    @Test("Everything that keeps an entry from answering is told once")
    func problems() {
        let blueprint = Blueprint([
            .init("typo", .alias("fst")), .init("fast", .alias("openai/x")), .init("gone", .alias("claude/unheard")),
            .init("both", route("typo", "missing")), .init("a", .alias("b")), .init("b", route("a", "fast")),
            .init("c", .alias("a")), .init("none", .route(.init(.fallback, of: []))), .init("star", .alias("openai/*")),
            .init("x*y*", .alias("openai/x")), .init("w-*", .alias("nowhere/*")), .init("v-*", .alias("missing")),
            .init("u-*", .alias("openai/*-*")), .init("self", .alias("self")),
        ])
        let (directory, problems) = Directory.build(blueprint, sources: [openai, claude])
        let told = Set(problems.map { "\($0.model) > \($0.reference ?? "-")" })
        #expect(
            told == [
                "typo > fst", "gone > claude/unheard", "both > missing", "a > -", "b > -", "none > -",
                "star > openai/*",
                "x*y* > -", "w-* > nowhere/*", "v-* > missing", "u-* > openai/*-*", "self > self",
            ])
        #expect(problems.count == told.count)
        #expect(problems.first { $0.model == "typo" }?.message.hasSuffix("Did you mean \"fast\"?") == true)
        #expect(problems.first { $0.model == "a" }?.message == "It is made of itself: a -> b -> a.")
        #expect(directory.names == ["fast"])
        guard case .unknown = directory.resolve("typo") else {
            Issue.record("A broken entry resolves")
            return
        }
    }

    @Test("Models nest deeper than anybody writes, in any order of the file", arguments: [false, true])
    func depth(reversed: Bool) {
        let chain = (1...300).map { Blueprint.Entry("m\($0)", .alias($0 == 1 ? "openai/x" : "m\($0 - 1)")) }
        let (directory, problems) = Directory.build(
            Blueprint(reversed ? chain.reversed() : chain), sources: [openai])
        #expect(Set(directory.names) == Set((1...256).map { "m\($0)" }))
        #expect(!problems.isEmpty)
    }

    @Test("Wildcards that lead to each other end as unknown")
    func wildcardCircle() {
        let blueprint = Blueprint([.init("a-*", .alias("b-*")), .init("b-*", .alias("a-*"))])
        let (directory, _) = Directory.build(blueprint, sources: [openai])
        guard case .unknown = directory.resolve("a-x") else {
            Issue.record("A circle resolves")
            return
        }
    }

    @Test("Routes that share parts are assembled once each")
    func sharing() {
        let layers = (1...15).map { Blueprint.Entry("m\($0)", route("m\($0 - 1)", "m\($0 - 1)", "m\($0 - 1)")) }
        let base = Blueprint.Entry("m0", .alias("openai/x"))
        let (directory, problems) = Directory.build(Blueprint(layers.reversed() + [base]), sources: [openai])
        #expect(problems.isEmpty)
        #expect(directory.names.count == 16)
    }
}
