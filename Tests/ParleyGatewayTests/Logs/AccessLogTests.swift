// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import Testing

@testable import ParleyGateway

@Suite("The access log")
struct AccessLogTests {
    private func full() -> AccessRecord {
        var record = AccessRecord(
            time: 1_795_226_996_123, id: "req-1", method: "POST", path: "/v1/chat/completions", status: 200,
            outcome: .ok)
        record.key = "laptop"
        record.model = "fast"
        record.upstream = "openai/gpt-4o-mini"
        record.stream = true
        record.attempts = 2
        record.inputTokens = 12
        record.outputTokens = 345
        record.cachedTokens = 0
        record.reasoningTokens = 7
        record.firstEvent = 123_456
        record.total = 9_000_001
        record.bytesIn = 1000
        record.bytesOut = 20_000
        record.finish = "stop"
        return record
    }

    private func written(_ format: LogFormat, _ records: [AccessRecord]) throws -> [String] {
        try lines(format) { sink in
            let log = AccessLog(sink: sink)
            records.forEach(log.append)
            log.tick()
        }
    }

    @Test("A text line says everything that is known")
    func text() throws {
        let expected =
            "2026-11-21T02:09:56.123Z access POST /v1/chat/completions 200 outcome=ok id=req-1 key=laptop model=fast "
            + "upstream=openai/gpt-4o-mini stream=yes attempts=2 in=12 out=345 cached=0 reasoning=7 first_ms=123.456 "
            + "total_ms=9000.001 received=1000 sent=20000 finish=stop"
        #expect(try written(.text, [full()]) == [expected])
    }

    @Test("What is not known is left out")
    func sparse() throws {
        var record = AccessRecord(time: 0, id: "r", method: "GET", path: "/", status: 0, outcome: .cancelled)
        record.error = "cancelled"
        record.errorOffset = 17
        record.total = 5
        let expected =
            "1970-01-01T00:00:00.000Z access GET / 0 outcome=cancelled id=r stream=no attempts=0 total_ms=0.005 "
            + "received=0 sent=0 error=cancelled error_at=17"
        #expect(try written(.text, [record]) == [expected])
    }

    @Test("A JSON line has the same as members")
    func json() throws {
        let line = try object(#require(try written(.json, [full()]).first))
        let expected: [String: AnyHashable] = [
            "time": "2026-11-21T02:09:56.123Z", "level": "info", "message": "access", "method": "POST",
            "path": "/v1/chat/completions", "status": 200, "outcome": "ok", "id": "req-1", "key": "laptop",
            "model": "fast", "upstream": "openai/gpt-4o-mini", "stream": true, "attempts": 2, "input_tokens": 12,
            "output_tokens": 345, "cached_tokens": 0, "reasoning_tokens": 7, "first_ms": 123.456, "total_ms": 9000.001,
            "bytes_in": 1000, "bytes_out": 20000, "finish": "stop",
        ]
        #expect(line as NSDictionary == expected as NSDictionary)
    }

    @Test("What a client sends cannot forge a line and is capped", arguments: [LogFormat.text, .json])
    func hostile(format: LogFormat) throws {
        var record = full()
        record.id = "a\nb"
        record.model = String(repeating: "m\u{1B}", count: 500)
        record.path = "/v1/\"x\" outcome=ok"
        record.method = "G\rT"
        let written = try written(format, [record, full()])
        #expect(written.count == 2)
        let line = try #require(written.first)
        #expect(line.utf8.allSatisfy { $0 >= 0x20 } && line.utf8.count < 2000)
        switch format {
        case .text:
            #expect(line.contains(#"id="a\nb""#) && line.contains(#""/v1/\"x\" outcome=ok""#))
        case .json:
            let parsed = try object(line)
            #expect(parsed["id"] as? String == "a\nb")
            #expect(parsed["model"] as? String == String(repeating: "m\u{1B}", count: 128) + "…")
            #expect(parsed["path"] as? String == record.path)
        }
    }

    @Test("A query is not written, since a key may be in it", arguments: [LogFormat.text, .json])
    func query(format: LogFormat) throws {
        var record = full()
        record.path = "/v1beta/models/m:generateContent?key=sk-secret#sk-secret"
        let line = try #require(try written(format, [record]).first)
        #expect(line.contains("/v1beta/models/m:generateContent") && !line.contains("secret"))
    }

    @Test("Lines wait for a tick, or for 32 KB of them")
    func batches() throws {
        let folder = try TemporaryFolder()
        let sink = try LogSink(.file(path: folder.path("log"), rotate: 0, keep: 0))
        let log = AccessLog(sink: sink)
        log.append(full())
        #expect(sink.flush(within: .seconds(30)))
        #expect(try folder.text("log").isEmpty)
        for _ in 0..<200 { log.append(full()) }
        #expect(sink.flush(within: .seconds(30)))
        let size = try folder.text("log").utf8.count
        #expect(size > 32 << 10)
        log.tick()
        #expect(sink.flush(within: .seconds(30)))
        #expect(try folder.text("log").split(separator: "\n").count == 201)
    }

    @Test("An access log that goes away hands over what it has")
    func goodbye() throws {
        let written = try lines(.text) { sink in AccessLog(sink: sink).append(full()) }
        #expect(written.count == 1)
    }
}
