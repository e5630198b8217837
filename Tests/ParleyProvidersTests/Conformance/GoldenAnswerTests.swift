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

@Suite("Answers of every dialect, in every dialect")
struct GoldenAnswerTests {
    static let cases = [
        "openai/stream-text-usage", "openai/stream-tool-calls-parallel", "openai/refusal",
        "openai-responses/stream-reasoning-encrypted", "openai-responses/content-filter",
        "anthropic/stream-thinking-tools-interleaved", "anthropic/stream-usage-cache", "anthropic/thinking-redacted",
        "gemini/stream-thinking", "gemini/stream-tool-calls-parallel", "gemini/stream-safety",
        "bedrock/stream-reasoning", "bedrock/usage-cache", "ollama/stream-length", "cohere/stream-tool-plan",
        "flowgpt/stream-preamble", "fitten/stream-length", "claude-web/stream-thinking",
        "spark-websocket/stream-reasoning", "spark-websocket/function-call", "spark-websocket/stream-filtered",
        "acp/stream-usage",
        "zhipu-v3/stream-interrupted", "ernie/stream-tool-call", "dashscope-native/stream-tool-calls",
    ]

    @Test("An answer looks the same as ever in each client's dialect", arguments: cases)
    func answer(_ name: String) throws {
        let parts = name.split(separator: "/").map(String.init)
        let all = try Transcript.all(in: Golden.root.appending(path: "Transcripts"), provider: parts[0])
        let transcript = try #require(all.first { $0.name == parts[1] })
        let upstream = try #require(DialectConformanceTests.dialect(of: transcript))
        let events = try #require(DialectConformanceTests.events(of: transcript), "\(name) is no answer")
        for client in Dialects.all.filter(\.isSpokenByClients) {
            let place = "Golden/answers/\(upstream.id.name)/\(parts[1])/\(client.id.name)"
            let stream = RoundTrip.stream(events, in: client)
            try Golden.compare(Self.settled(String(decoding: stream, as: UTF8.self)), with: place + ".txt")
            let whole = try JSON.parse(client.encodeWhole(RoundTrip.collected(events), RoundTrip.context))
            try Golden.compare(Self.settled(Golden.pretty(whole) + "\n"), with: place + ".json")
        }
    }

    /// The text with made-up ids, which differ in every run, replaced by their number in the text.
    private static func settled(_ text: String) -> String {
        var ids: [Substring] = []
        for match in text.matches(of: /call_(gm_)?[0-9A-Za-z]{11}(?![0-9A-Za-z_])/) where !ids.contains(match.0) {
            ids.append(match.0)
        }
        var settled = text
        for (number, id) in ids.enumerated() {
            settled = settled.split(separator: id, omittingEmptySubsequences: false).joined(separator: "call_\(number)")
        }
        return settled
    }
}
