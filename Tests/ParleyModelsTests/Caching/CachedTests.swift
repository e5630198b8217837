// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization
import Testing

@testable import ParleyModels

@Suite("Kept answers")
struct CachedTests {
    private func word(_ reply: Reply) -> String? { reply.headers.first { $0.name == Cached.header }?.value }

    @Test("The same question is answered once, whole and streamed, and each answer says where it comes from")
    func hit() async throws {
        let model = CountingModel { number, _ in .saying("answer \(number)") }
        let cached = Cached(model, in: AnswerCache(), ttl: .minutes(1))
        let first = try await cached.answer(asking("q"))
        #expect(word(first) == "miss")
        #expect(try await text(first) == "answer 1")
        let second = try await cached.answer(asking("q"))
        #expect(word(second) == "hit")
        #expect(try await text(second) == "answer 1")
        let streamed = try await cached.answer(asking("q", stream: true))
        guard case .events = streamed.content else {
            Issue.record("a stream was asked for")
            return
        }
        #expect(try await text(streamed) == "answer 1")
        #expect(model.calls.count == 1)
    }

    @Test("A stream that was read to its end is kept, one that was given up is not")
    func streams() async throws {
        let model = CountingModel { number, _ in .saying("answer \(number)") }
        let cached = Cached(model, in: AnswerCache(), ttl: .minutes(1))
        try await cached.answer(asking("q", stream: true)).giveUp()
        let again = try await cached.answer(asking("q", stream: true))
        #expect(try await text(again) == "answer 2")
        #expect(try await text(cached.answer(asking("q"))) == "answer 2")
        #expect(model.calls.count == 2)
    }

    @Test("Another caller, another model, another question and other strictness are something else")
    func scope() async throws {
        let model = CountingModel { number, _ in .saying("answer \(number)") }
        let cache = AnswerCache()
        let cached = Cached(model, in: cache, ttl: .minutes(1))
        _ = try await cached.answer(asking("q"))
        _ = try await cached.answer(asking("q", caller: "another"))
        _ = try await cached.answer(asking("r"))
        var strict = asking("q")
        strict.isStrict = true
        _ = try await cached.answer(strict)
        _ = try await Cached(CountingModel("n") { _, _ in .saying("n") }, in: cache, ttl: .minutes(1)).answer(
            asking("q"))
        #expect(model.calls.count == 4)
        #expect(cache.count == 5)
    }

    @Test(
        "What the client says of caching is done",
        arguments: [(CachePolicy.none, 3, "answer 1"), (.anew, 2, "answer 2")])
    func policies(policy: CachePolicy, calls: Int, kept: String) async throws {
        let model = CountingModel { number, _ in .saying("answer \(number)") }
        let cached = Cached(model, in: AnswerCache(), ttl: .minutes(1))
        _ = try await cached.answer(asking("q"))
        var call = asking("q")
        call.caching = policy
        let other = try await cached.answer(call)
        #expect(try await text(other) == "answer 2")
        #expect(word(other) == (policy == .none ? nil : "miss"))
        if policy == .none { _ = try await cached.answer(call) }
        #expect(try await text(cached.answer(asking("q"))) == kept)
        #expect(model.calls.count == calls)
    }

    @Test("Neither a failure nor what a filter cut short is kept, nor anything beyond its time")
    func notKept() async throws {
        let model = CountingModel { number, _ in
            if number == 1 { throw ParleyError(.upstreamUnavailable, "down") }
            return .saying("answer \(number)", number == 2 ? .contentFilter : .stop)
        }
        let cached = Cached(model, in: AnswerCache(), ttl: .nanoseconds(1))
        #expect(await failure(cached, asking("q"))?.kind == .upstreamUnavailable)
        for number in 2...4 { #expect(try await text(cached.answer(asking("q"))) == "answer \(number)") }
    }

    @Test("Of calls that are the same and run at once one asks, the others get its answer")
    func coalesced() async throws {
        let model = CountingModel { number, _ in
            try await Task.sleep(for: .milliseconds(50))
            return .saying("answer \(number)")
        }
        let cached = Cached(model, in: AnswerCache(), ttl: .minutes(1))
        let words = try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<20 {
                group.addTask {
                    let reply = try await cached.answer(asking("q", stream: index % 2 == 0))
                    let word = reply.headers.first { $0.name == Cached.header }?.value ?? ""
                    return try await text(reply) + " " + word
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(model.calls.count == 1)
        #expect(words.allSatisfy { $0.hasPrefix("answer 1 ") })
        #expect(words.filter { $0.hasSuffix("miss") }.count == 1)
    }

    @Test("When the one who asks leaves, another asks; when it fails, all fail alike")
    func leaderLeaves() async throws {
        let started = AsyncStream<Void>.makeStream()
        let model = CountingModel { number, _ in
            started.continuation.yield()
            try await Task.sleep(for: number == 1 ? .seconds(600) : .milliseconds(1))
            return .saying("answer \(number)")
        }
        let cache = AnswerCache()
        let cached = Cached(model, in: cache, ttl: .minutes(1))
        let leader = Task { try await text(cached.answer(asking("q"))) }
        for await _ in started.stream { break }
        let follower = Task { try await text(cached.answer(asking("q"))) }
        leader.cancel()
        #expect(try await follower.value == "answer 2")
        _ = await leader.result
        let failing = CountingModel { _, _ in
            try await Task.sleep(for: .milliseconds(50))
            throw ParleyError(.upstreamUnavailable, "down")
        }
        let broken = Cached(failing, in: cache, ttl: .minutes(1))
        async let a = failure(broken, asking("x"))
        async let b = failure(broken, asking("x"))
        let kinds = await [a?.kind, b?.kind]
        #expect(kinds == [.upstreamUnavailable, .upstreamUnavailable])
    }

    @Test("A follower whose client leaves goes at once")
    func followerLeaves() async throws {
        let model = CountingModel { _, _ in
            try await Task.sleep(for: .seconds(600))
            return .saying("")
        }
        let cached = Cached(model, in: AnswerCache(), ttl: .minutes(1))
        let leader = Task { try await text(cached.answer(asking("q"))) }
        while model.calls.isEmpty { await Task.yield() }
        let follower = Task { await failure(cached, asking("q"))?.kind }
        follower.cancel()
        #expect(await follower.value == .cancelled)
        leader.cancel()
        _ = await leader.result
    }
}

@Suite("The cache's memory")
struct AnswerCacheTests {
    private func keep(_ text: String, in cache: AnswerCache, bytes: Int) async throws {
        let model = CountingModel { _, _ in .saying(String(repeating: "x", count: bytes)) }
        _ = try await Cached(model, in: cache, ttl: .minutes(1)).answer(asking(text))
    }

    @Test("The least recently used go first, and the budget holds")
    func budget() async throws {
        let cache = AnswerCache(budget: 100_000)
        for number in 0..<50 {
            try await keep("q\(number)", in: cache, bytes: 10_000)
            // Asked for again and again, the first stays.
            try await keep("q0", in: cache, bytes: 10_000)
            #expect(cache.bytes <= 100_000)
        }
        #expect(cache.count < 10)
        let model = CountingModel { _, _ in .saying("new") }
        let reply = try await Cached(model, in: cache, ttl: .minutes(1)).answer(asking("q0"))
        #expect(try await text(reply) != "new")
        cache.resize(0)
        #expect(cache.count == 0 && cache.bytes == 0)
    }

    @Test("An answer that would drive out everything else is not kept")
    func tooLarge() async throws {
        let cache = AnswerCache(budget: 100_000)
        try await keep("small", in: cache, bytes: 10)
        try await keep("large", in: cache, bytes: 90_000)
        #expect(cache.count == 1)
    }
}
