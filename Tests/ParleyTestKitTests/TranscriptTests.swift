// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import Foundation
import ParleyTestKit
import Testing

@Suite("Transcripts, splits and the proxy")
struct TranscriptTests {
    /// The folder of hand-written transcripts, found from this file.
    private var root: URL {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Transcripts")
    }

    @Test("Every hand-written transcript loads and says what to expect of it")
    func loading() throws {
        let all = try Transcript.all(in: root)
        #expect(all.count > 200)
        for transcript in all {
            #expect(transcript.evidence == "written", "\(transcript)")
            #expect(transcript.expect != nil, "\(transcript)")
            #expect(transcript.request.body != nil, "\(transcript)")
        }
        let one = try #require(try Transcript.all(in: root, provider: "groq").first { $0.name == "stream-error-event" })
        #expect(one.expect?.error?.code == "tool_use_failed")
        #expect(one.response.headers["content-type"] == "text/event-stream")
        #expect(throws: (any Error).self) { try Transcript.all(in: root.appending(path: "nowhere")) }
    }

    @Test("Recordings load, where a folder of them is named")
    func recordings() throws {
        let named = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"]
        let recordings = try Transcript.recordings()
        #expect(recordings.isEmpty == (named ?? "").isEmpty)
        #expect(recordings.allSatisfy { $0.expect == nil && !$0.response.body.isEmpty })
    }

    @Test("A transcript served by the upstream arrives byte for byte, even split")
    func serving() async throws {
        let all = try Transcript.all(in: root, provider: "perplexity")
        let transcript = try #require(all.first { $0.bodyKind == "sse" })
        try await ScriptedUpstream.with(scripts: [transcript.script(split: .random(seed: 3, max: 40))]) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post("{}")
            var rest = Array(try await client.wait(until: "0\r\n\r\n").body.utf8)[...]
            var body: [UInt8] = []
            while let end = rest.firstIndex(of: 0x0D) {
                let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16) ?? 0
                guard size > 0 else { break }
                body += rest[(end + 2)..<(end + 2 + size)]
                rest = rest[(end + 2 + size + 2)...]
            }
            #expect(body == transcript.response.body)
            await client.close()
        }
    }

    @Test("Every plan puts its pieces together again, and the seed is printed")
    func splits() {
        for count in [0, 1, 2, 100, 9_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            let plans = Splits.plans(forBytes: count, seed: 42)
            for plan in plans {
                let pieces = plan.pieces(of: bytes)
                #expect(Array(pieces.joined()) == bytes, "\(plan)")
                #expect(count == 0 || pieces.allSatisfy { !$0.isEmpty }, "\(plan)")
            }
            #expect(plans == Splits.plans(forBytes: count, seed: 42))
        }
        #expect(Splits.twoPart(forBytes: 8_192).count == 8_191)
        #expect(Splits.twoPart(forBytes: 8_193, seed: 9).count == 200)
        #expect(Splits.twoPart(forBytes: 8_193, seed: 9)[0].description.contains("seed 9"))
        #expect(Splits.bytewise(forBytes: 3).pieces(of: [1, 2, 3]) == [[1], [2], [3]])
        #expect(Splits.manyPart(forBytes: 500, seed: 1) != Splits.manyPart(forBytes: 500, seed: 2))
    }

    @Test("The generator gives SplitMix64's published first numbers")
    func generator() {
        var generator = SeededGenerator(seed: 1_234_567)
        #expect(generator.next() == 6_457_827_717_110_365_317)
        #expect(generator.next() == 3_203_168_211_198_807_973)
    }

    @Test("The proxy tunnels, counts, and asks for credentials")
    func proxy() async throws {
        let proxy = try await ScriptedProxy.start(.tunnelIfAuthorized("Basic b2s="))
        try await ScriptedUpstream.with(scripts: [.json("through")]) { upstream in
            let authority = "127.0.0.1:\(upstream.port)"
            let refused = try await RawClient.connect(to: proxy.port)
            try await refused.send("CONNECT \(authority) HTTP/1.1\r\nhost: \(authority)\r\n\r\n")
            #expect(try await refused.waitForClose().text.hasPrefix("HTTP/1.1 407 "))
            let client = try await RawClient.connect(to: proxy.port)
            try await client.send("CONNECT \(authority) HTTP/1.1\r\nProxy-Authorization: Basic b2s=\r\n\r\n")
            try await client.wait(until: "\r\n\r\n")
            try await client.post("{}")
            try await client.wait(until: "through")
            await client.close()
            try await upstream.waitForOpenConnections(0)
            let connects = await proxy.connects()
            #expect(connects.map(\.status) == [407, 200])
            #expect(connects.map(\.authority) == [authority, authority])
            #expect(connects.last?.authorization == "Basic b2s=")
        }
        await proxy.stop()
    }

    @Test("The proxy refuses with a status, and answers 502 for a target that is not there")
    func refusals() async throws {
        for (answer, status) in [(ScriptedProxy.Answer.refuse(502), 502), (.tunnel, 502)] {
            let proxy = try await ScriptedProxy.start(answer)
            let client = try await RawClient.connect(to: proxy.port)
            try await client.send("CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
            #expect(try await client.waitForClose().text.hasPrefix("HTTP/1.1 \(status) "))
            #expect(await proxy.connects().map(\.status) == [status])
            await proxy.stop()
        }
    }
}
