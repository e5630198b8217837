// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyTestKit
import ParleyWire
import Testing

@testable import ParleyDialects
@testable import ParleyProviders

@Suite("Every dialect of clients, held to the same")
struct DialectConformanceTests {
    static let names = Dialects.all.filter(\.isSpokenByClients).map(\.id.name)

    static func dialect(_ name: String) throws -> any Dialect { try Dialects.dialect(DialectID(name)) }

    @Test("What no client speaks is spoken to providers only")
    func outbound() {
        let outbound = Dialects.all.filter { !$0.isSpokenByClients }.map(\.id)
        let accounts: [DialectID] = [.flowGPT, .fitten, .claudeWeb]
        #expect(outbound == [.bedrock, .ollama, .cohere] + accounts + [.spark, .acp, .zhipu, .ernie, .dashscope])
    }

    @Test("Any answer is read back as it was written, in any pieces", arguments: names)
    func properties(_ name: String) throws {
        let dialect = try Self.dialect(name)
        for seed in 0..<80 as Range<UInt64> {
            let events = RandomAnswer.events(seed, for: dialect.id)
            try compare(events, in: dialect, "seed \(seed)", seed: seed)
        }
    }

    /// Writes an answer as a stream and as a whole, reads both and compares what they say.
    private func compare(_ events: [Event], in dialect: any Dialect, _ label: String, seed: UInt64) throws {
        let response = RoundTrip.collected(events)
        let expected = Essence(response, in: dialect.id, like: response.usage)
        let bytes = RoundTrip.stream(events, in: dialect)
        for plan in RoundTrip.plans(bytes.count, seed: seed) {
            do throws(ParleyError) {
                let back = RoundTrip.collected(try RoundTrip.decode(plan.pieces(of: bytes), in: dialect))
                #expect(
                    Essence(back, in: dialect.id, like: response.usage) == expected,
                    "\(label) in \(dialect.id.name), \(plan)")
            } catch {
                Issue.record("\(label) in \(dialect.id.name), \(plan): \(error.message)")
            }
        }
        if dialect.id == .gemini {
            let array = RoundTrip.stream(events, in: dialect, asArray: true)
            let back = RoundTrip.collected(try RoundTrip.decode([array], in: dialect))
            #expect(Essence(back, in: .gemini, like: response.usage) == expected, "\(label) as an array")
        }
        let whole = try dialect.decodeWhole(dialect.encodeWhole(response, RoundTrip.context))
        #expect(
            Essence(whole, in: dialect.id, like: response.usage) == expected, "\(label) in \(dialect.id.name), whole")
    }

    @Test("A stream that fails after any event is well-formed and never ends cleanly", arguments: names)
    func failures(_ name: String) throws {
        let dialect = try Self.dialect(name)
        for seed in 0..<15 as Range<UInt64> {
            let events = RandomAnswer.events(seed, for: dialect.id)
            for count in 0...events.count {
                let bytes = RoundTrip.failing(events[..<count], in: dialect)
                #expect(RoundTrip.isWellFormed(bytes), "seed \(seed), \(count) events")
                #expect(throws: ParleyError.self, "seed \(seed), \(count) events") {
                    try RoundTrip.decode([bytes], in: dialect)
                }
            }
        }
    }

    /// The dialect of an exchange, by the path it went to.
    static func dialect(of transcript: Transcript) -> (any Dialect)? {
        let path = transcript.request.path.split(separator: "?").first.map(String.init) ?? ""
        if transcript.provider.hasPrefix("embeddings") { return nil }
        if transcript.provider == "spark-websocket" { return Spark() }
        if path.hasSuffix("/chat/completions") { return OpenAIChat() }
        if path.hasSuffix("/messages") || path.hasSuffix("awPredict") { return Anthropic() }
        if path.hasSuffix("/responses") { return OpenAIResponses() }
        if path.hasSuffix("enerateContent") { return Gemini() }
        if path.hasSuffix("/converse") || path.hasSuffix("/converse-stream") { return Bedrock() }
        if path.hasSuffix("/api/chat") { return Ollama() }
        if path.hasSuffix("/v3/chat") { return FlowGPT() }
        if path.hasSuffix("/chat_auth") { return FittenCode() }
        if path.hasSuffix("/completion") || path.hasSuffix("/append_message") { return ClaudeWeb() }
        if path.hasSuffix("session/prompt") { return Agent() }
        if path.contains("/model-api/") { return Zhipu() }
        if path.contains("/wenxinworkshop/chat/") { return Ernie() }
        if path.hasSuffix("-generation/generation") { return DashScope() }
        return path.hasSuffix("/v2/chat") ? Cohere() : nil
    }

    /// What an exchange says, read once in its own dialect; nil where it is no answer.
    static func events(of transcript: Transcript) -> [Event]? {
        guard transcript.response.status == 200, let dialect = dialect(of: transcript) else { return nil }
        let isStream = ["sse", "ndjson", "jsonarray", "eventstream"].contains(transcript.bodyKind)
        if isStream { return try? RoundTrip.decode([transcript.response.body], in: dialect) }
        guard transcript.bodyKind == "json" else { return nil }
        let whole = try? dialect.decodeWhole(ByteBuffer(bytes: transcript.response.body))
        return whole.map { EventReplay.events(of: $0) }
    }

    /// Whether an answer is audio: dialects without it write its transcript as text.
    private static func isSpoken(_ events: [Event]) -> Bool {
        events.contains { if case .audio = $0 { true } else { false } }
    }

    @Test("Every recorded answer says the same in every client's dialect", arguments: names)
    func recordings(_ name: String) throws {
        let dialect = try Self.dialect(name)
        let written = try Transcript.all(in: Golden.root.appending(path: "Transcripts"))
        var count = 0
        for transcript in try written + Transcript.recordings() {
            guard let events = Self.events(of: transcript), !Self.isSpoken(events) else { continue }
            count += 1
            try compare(events, in: dialect, "\(transcript)", seed: UInt64(count))
        }
        #expect(count > 60)
    }

    @Test("Usage that comes twice counts once", arguments: 0..<50 as Range<UInt64>)
    func usage(_ seed: UInt64) {
        var dice = SeededGenerator(seed: seed)
        func usage() -> Usage {
            var usage = Usage(input: Int.random(in: 0...9, using: &dice), output: Int.random(in: 0...9, using: &dice))
            usage.cacheWrite = Bool.random(using: &dice) ? Int.random(in: 0...9, using: &dice) : nil
            return usage
        }
        let (a, b) = (usage(), usage())
        var once = a
        once.merge(b)
        var again = once
        again.merge(a)
        again.merge(b)
        #expect(once == again)
    }
}
