// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import Logging
import Testing

@testable import ParleyGateway

@Suite("Log events")
struct ParleyLogHandlerTests {
    private func logger(_ sink: LogSink, level: Logger.Level = .trace) -> Logger {
        Logger(label: "parley") { ParleyLogHandler(label: $0, sink: sink, level: level) }
    }

    @Test("A text line has the time, the level, the message and sorted metadata")
    func text() throws {
        let written = try lines(.text) { sink in
            let logger = logger(sink)
            logger.info("listening", metadata: ["port": "8080", "address": "127.0.0.1"])
            logger.critical("broken")
        }
        #expect(
            try written.map(withoutTime) == ["info  listening address=127.0.0.1 port=8080", "critical broken"])
    }

    @Test("A JSON line has the same as members, with nested metadata kept")
    func json() throws {
        let written = try lines(.json) { sink in
            logger(sink).warning("odd", metadata: ["of": ["a", "b"], "by": ["k": "v"], "level": "mine"])
        }
        let line = try object(#require(written.first))
        #expect(line["level"] as? String == "warning")
        #expect(line["logger"] as? String == "parley")
        #expect(line["message"] as? String == "odd")
        #expect(line["of"] as? [String] == ["a", "b"])
        #expect(line["by"] as? [String: String] == ["k": "v"])
        #expect(line["level_"] as? String == "mine")
        #expect((line["time"] as? String)?.hasSuffix("Z") == true)
    }

    @Test("Neither a message nor metadata can forge a line or a field")
    func forging() throws {
        let evil = "x\n2026-01-01T00:00:00.000Z info  forged\u{2028}\u{1B}[2J \"a\"=b"
        let text = try lines(.text) { sink in
            logger(sink).error("\(evil)", metadata: ["e\nvil": "\(evil)", "pair": "a=b", "empty": ""])
        }
        let line = try withoutTime(#require(text.first))
        #expect(text.count == 1)
        let escaped = #"x\n2026-01-01T00:00:00.000Z info  forged\u2028\u001b[2J "#
        #expect(
            line == "error \(escaped)\"a\"=b \"e\\nvil\"=\"\(escaped)\\\"a\\\"=b\" empty=\"\" pair=\"a=b\"")

        let json = try lines(.json) { sink in logger(sink).error("\(evil)", metadata: ["evil": "\(evil)"]) }
        #expect(json.count == 1)
        let parsed = try object(#require(json.first))
        #expect(parsed["message"] as? String == evil)
        #expect(parsed["evil"] as? String == evil)
    }

    @Test("An event's metadata wins over the provider's, and that over the handler's")
    func precedence() throws {
        let written = try lines(.text) { sink in
            let provider = Logger.MetadataProvider { ["a": "provider", "b": "provider"] }
            var handler = ParleyLogHandler(label: "parley", sink: sink, metadataProvider: provider)
            handler.metadata = ["a": "handler", "b": "handler", "c": "handler"]
            Logger(label: "parley") { _ in handler }.info("x", metadata: ["a": "event"])
        }
        #expect(try written.map(withoutTime) == ["info  x a=event b=provider c=handler"])
    }

    @Test("Events below the level are not written, and an event's error is")
    func levels() throws {
        let written = try lines(.text) { sink in
            let logger = logger(sink, level: .notice)
            logger.info("quiet")
            logger.notice("loud")
            logger.error("failed", error: LogSinkError(path: "p", reason: "r"))
        }
        #expect(
            try written.map(withoutTime) == ["notice loud", #"error failed error="cannot open the log file p: r""#])
    }

    @Test("A long value is cut at a character's end")
    func limit() throws {
        let written = try lines(.text) { sink in
            logger(sink).info("x", metadata: ["v": "a\(String(repeating: "ö", count: 5000))"])
        }
        let line = try withoutTime(#require(written.first))
        #expect(line == "info  x v=\"a\(String(repeating: "ö", count: 2047))…\"")
    }
}
