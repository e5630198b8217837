// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyTestKit
import Synchronization
import Testing

@testable import ParleyGateway

@Suite("Uploads", .serialized)
struct UploadTests {
    private static let answer = UploadUpstream.answer(#"{"text":"heard","usage":{"input_tokens":7,"output_tokens":2}}"#)
    private static let megabyte = 1 << 20

    private static var setup: GatewayUnderTest.Setup {
        var setup = GatewayUnderTest.Setup()
        setup.models = ["scribe: up/whisper-1", #""*": up/*"#]
        return setup
    }

    private func run(
        _ setup: GatewayUnderTest.Setup = Self.setup, isReading: Bool = true,
        _ body: (GatewayUnderTest, UploadUpstream) async throws -> Void
    ) async throws {
        try await UploadUpstream.run(isReading: isReading) { upstream in
            try await GatewayUnderTest.run(setup, at: upstream.baseURL) { try await body($0, upstream) }
        }
    }

    @Test("64 MB for an upstream that does not read stop the client, time nothing out, and arrive once it reads")
    func backPressure() async throws {
        var setup = Self.setup
        setup.server = ["header_timeout: 3s", "body_limit: 1MB"]
        try await run(setup, isReading: false) { gateway, upstream async throws in
            let pieces = 64
            let opening = Forms.field("model", "scribe") + Forms.file
            let length = opening.utf8.count + pieces * Self.megabyte + Forms.end.utf8.count
            let client = try await gateway.connect()
            let sent = Mutex(0)
            try await client.send(Forms.head(length: length) + opening)
            let piece = [UInt8](repeating: 0x61, count: Self.megabyte)
            async let sending: Void = {
                for _ in 0..<pieces {
                    try await client.send(piece)
                    sent.withLock { $0 += 1 }
                }
                try await client.send(Forms.end)
            }()
            var last = -1
            var since = ContinuousClock.now
            try await eventually("end of the client's sending", within: .seconds(60)) {
                let now = sent.withLock { $0 }
                if now != last { (last, since) = (now, .now) }
                // Longer than the client may be silent where it could send.
                return ContinuousClock.now - since > .seconds(5)
            }
            #expect(last < 32, "\(last) MB were taken for an upstream that does not read")
            #expect(gateway.running == 1)
            try await upstream.setReading(true)
            try await sending
            let body = length - "scribe".count + "whisper-1".count
            try await eventually("whole upload", within: .seconds(60)) { upstream.received >= body }
            #expect(upstream.opening.contains("content-length: \(body)\r\n"))
            try await eventually("end of the upload") { upstream.ending.hasSuffix(Forms.end) }
            try await upstream.send(Self.answer)
            let answer = try await client.answer()
            #expect(answer.status == 200)
            #expect(answer.json["text"] as? String == "heard")
            #expect(answer["x-parley-upstream"] == "up/whisper-1")
        }
    }

    @Test("The model before the file is renamed, every other byte stays", arguments: [64, 3 << 20])
    func modelFirst(size: Int) async throws {
        try await run { gateway, upstream async throws in
            let form = Forms.form(before: Forms.field("model", "scribe"), size: size, behind: Forms.field("n", "1"))
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: form.utf8.count) + form)
            let expected = form.replacing("scribe", with: "whisper-1")
            try await eventually("whole upload") { upstream.ending.hasSuffix(String(expected.suffix(200))) }
            #expect(upstream.opening.contains("POST /v1/audio/transcriptions HTTP/1.1\r\n"))
            #expect(upstream.opening.contains("authorization: Bearer upstream-key\r\n"))
            #expect(upstream.opening.contains("content-length: \(expected.utf8.count)\r\n"))
            #expect(upstream.opening.contains("\r\n\r\n" + expected.prefix(300)))
            #expect(!upstream.opening.contains(GatewayUnderTest.key))
            try await upstream.send(Self.answer)
            #expect(try await client.answer().status == 200)
        }
    }

    @Test("A file that comes before the model goes to the only provider as it is")
    func fileFirst() async throws {
        try await run { gateway, upstream async throws in
            let form = Forms.form(size: 1 << 20, behind: Forms.field("model", "anything"))
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: form.utf8.count) + form)
            try await eventually("whole upload") { upstream.ending.hasSuffix(String(form.suffix(200))) }
            #expect(upstream.opening.contains("content-length: \(form.utf8.count)\r\n"))
            try await upstream.send(Self.answer)
            let answer = try await client.answer()
            #expect(answer.status == 200)
            #expect(answer["x-parley-upstream"] == "up")
        }
    }

    @Test("A small form may have its model anywhere")
    func smallForm() async throws {
        try await run { gateway, upstream async throws in
            let form = Forms.form(size: 1_024, behind: Forms.field("model", "scribe"))
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: form.utf8.count) + form)
            try await eventually("whole upload") { upstream.ending.contains("whisper-1\r\n--") }
            try await upstream.send(Self.answer)
            #expect(try await client.answer()["x-parley-upstream"] == "up/whisper-1")
        }
    }

    @Test("A key with a list of models is told to send the model first, before anything goes upstream")
    func restrictedKey() async throws {
        var setup = Self.setup
        setup.keys = ["{name: test, key: \(GatewayUnderTest.key), models: [scribe]}"]
        try await run(setup) { gateway, upstream async throws in
            let form = Forms.form(size: 1 << 20, behind: Forms.field("model", "dear"))
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: form.utf8.count) + form)
            let answer = try await client.answer()
            #expect(answer.status == 400)
            #expect(answer.error["code"] as? String == "model_after_file")
            #expect(upstream.connections == 0)
        }
    }

    @Test("A second model behind the file ends the upload of a key that may not use it", arguments: [true, false])
    func secondModel(isForced: Bool) async throws {
        var setup = Self.setup
        let rule = isForced ? "model: scribe" : "models: [scribe]"
        setup.keys = ["{name: test, key: \(GatewayUnderTest.key), \(rule)}"]
        try await run(setup) { gateway, upstream async throws in
            let before = isForced ? "" : Forms.field("model", "scribe")
            let form = Forms.form(before: before, size: 1 << 20, behind: Forms.field("model", "dear"))
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: form.utf8.count) + form)
            let answer = try await client.answer()
            #expect(answer.status == 400)
            #expect(answer.error["code"] as? String == "model_after_file")
            try await eventually("closed upstream") { upstream.closed == 1 }
            #expect(!upstream.ending.contains("dear"))
        }
    }

    @Test(
        "Other bodies are open only to keys that may use every model",
        arguments: ["application/x-www-form-urlencoded", "multipart/form-data; boundary=a; boundary=b", "audio/wav"])
    func otherBodies(type: String) async throws {
        for rule in ["models: [scribe]", "model: scribe"] {
            var setup = Self.setup
            setup.keys = ["{name: test, key: \(GatewayUnderTest.key), \(rule)}"]
            try await run(setup) { gateway, upstream async throws in
                let client = try await gateway.connect()
                let headers = ["content-type: \(type)", "content-length: 10"]
                try await client.send(RawClient.head("POST", "/v1/audio/transcriptions", headers) + "model=dear")
                #expect(try await client.answer().status == 415)
                #expect(upstream.connections == 0)
            }
        }
    }

    @Test("A key's forced model is put in front of a form without one")
    func forcedModel() async throws {
        var setup = Self.setup
        setup.keys = ["{name: test, key: \(GatewayUnderTest.key), model: scribe}"]
        try await run(setup) { gateway, upstream async throws in
            let form = Forms.form(size: 1 << 20)
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: form.utf8.count) + form)
            try await eventually("whole upload") { upstream.ending.hasSuffix(Forms.end) }
            #expect(upstream.opening.contains("name=\"model\"\r\n\r\nwhisper-1\r\n--"))
            try await upstream.send(Self.answer)
            #expect(try await client.answer().status == 200)
        }
    }

    @Test("A client that leaves in the middle closes the upstream", arguments: Leaving.allCases)
    func clientLeaves(leaving: Leaving) async throws {
        try await run { gateway, upstream async throws in
            let client = try await gateway.connect()
            try await client.send(
                Forms.head(length: 64 << 20) + Forms.field("model", "scribe") + Forms.file
                    + String(repeating: "x", count: 300_000))
            try await eventually("beginning of the upload") { upstream.received > 300_000 }
            try await leaving.leave(client)
            try await eventually("closed upstream", within: .seconds(2)) { upstream.closed == 1 }
            try await gateway.waitForRunning(0)
        }
    }

    @Test("A client that leaves while its upstream does not read closes it all the same")
    func clientLeavesStalled() async throws {
        try await run(isReading: false) { gateway, upstream async throws in
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: 256 << 20) + Forms.field("model", "scribe") + Forms.file)
            try await eventually("connection") { upstream.connections == 1 }
            let piece = [UInt8](repeating: 0x61, count: Self.megabyte)
            let sending = Task { while true { try await client.send(piece) } }
            try await Task.sleep(for: .milliseconds(500))
            // A mere close would wait behind what the gateway does not read.
            try await client.reset()
            try await gateway.waitForRunning(0)
            sending.cancel()
        }
    }

    @Test("An upstream that dies in the middle is a 502", arguments: [true, false])
    func upstreamDies(isReset: Bool) async throws {
        try await run { gateway, upstream async throws in
            let client = try await gateway.connect()
            try await client.send(
                Forms.head(length: 64 << 20) + Forms.field("model", "scribe") + Forms.file
                    + String(repeating: "x", count: 300_000))
            try await eventually("beginning of the upload") { upstream.received > 300_000 }
            if isReset { try await upstream.reset() } else { try await upstream.close() }
            let answer = try await client.answer()
            #expect(answer.status == 502)
            #expect(answer["connection"] == "close")
            try await gateway.waitForRunning(0)
        }
    }

    @Test("An upload is one attempt, however many are allowed")
    func oneAttempt() async throws {
        var setup = Self.setup
        setup.defaults = ["retry: {attempts: 3, backoff: 1ms}"]
        try await run(setup) { gateway, upstream async throws in
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: 64 << 20) + Forms.field("model", "scribe") + Forms.file)
            try await eventually("connection") { upstream.received > 100 }
            try await upstream.send(UploadUpstream.answer("{}", status: "500 Oops"))
            let answer = try await client.answer()
            #expect(answer.status == 502 || answer.status == 500)
            #expect(answer["x-parley-attempts"] == "1")
            #expect(upstream.connections == 1)
        }
    }

    @Test("An answer that comes early is relayed, and the rest of the upload is not waited for")
    func earlyAnswer() async throws {
        try await run { gateway, upstream async throws in
            let client = try await gateway.connect()
            try await client.send(
                Forms.head(length: 64 << 20) + Forms.field("model", "scribe") + Forms.file
                    + String(repeating: "x", count: 300_000))
            try await eventually("beginning of the upload") { upstream.received > 300_000 }
            try await upstream.send(
                UploadUpstream.answer(#"{"error":{"message":"Too long.","type":"x"}}"#, status: "413 Too Large"))
            let answer = try await client.answer()
            #expect(answer.status == 413)
            #expect(answer.message.contains("Too long."))
            #expect(answer["connection"] == "close")
            try await eventually("closed upstream") { upstream.closed == 1 }
        }
    }

    @Test("A stream that answers while the upload goes on is passed on, and the upload goes on")
    func bothWays() async throws {
        try await run { gateway, upstream async throws in
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: nil))
            let opening = Forms.field("model", "scribe") + Forms.file
            try await client.send("\(String(opening.utf8.count, radix: 16))\r\n\(opening)\r\n")
            try await eventually("beginning of the upload") { upstream.opening.contains("audio/wav") }
            #expect(upstream.opening.contains("transfer-encoding: chunked\r\n"))
            try await upstream.send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                    + "9\r\ndata: 1\n\n\r\n")
            try await client.waitForBody("data: 1\n\n")
            try await client.send("4\r\nmore\r\n")
            try await eventually("more of the upload") { upstream.ending.hasSuffix("4\r\nmore\r\n") }
            try await client.send("0\r\n\r\n")
            try await eventually("end of the upload") { upstream.ending.hasSuffix("\r\n0\r\n\r\n") }
            try await upstream.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n")
            let answer = try await client.answer()
            #expect(answer.text == "data: 1\n\ndata: 2\n\n")
            #expect(answer["content-type"] == "text/event-stream")
        }
    }

    @Test("A wrong key is a 401 before a byte goes upstream, asked for or not", arguments: [true, false])
    func wrongKey(expects: Bool) async throws {
        try await run { gateway, upstream async throws in
            let client = try await gateway.connect()
            let headers = ["authorization: Bearer sk-wrong"] + (expects ? ["expect: 100-continue"] : [])
            try await client.send(Forms.head(length: 64 << 20, headers: headers))
            if !expects { try? await client.send(Forms.form(before: Forms.field("model", "scribe"), size: 200_000)) }
            #expect(try await client.answer().status == 401)
            #expect(upstream.connections == 0)
        }
    }

    @Test("Expect: 100-continue is answered when the upload begins")
    func expectContinue() async throws {
        try await run { gateway, upstream async throws in
            let form = Forms.form(before: Forms.field("model", "scribe"), size: 200_000)
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: form.utf8.count, headers: ["expect: 100-continue"]))
            #expect(try await client.answer().status == 100)
            try await client.send(form)
            try await eventually("whole upload") { upstream.ending.hasSuffix(Forms.end) }
            try await upstream.send(Self.answer)
            #expect(try await client.answer().status == 200)
        }
    }

    @Test("An HTTP/1.0 client uploads, and gets its answer up to the close")
    func oldClient() async throws {
        try await run { gateway, upstream async throws in
            let form = Forms.form(before: Forms.field("model", "scribe"), size: 200_000)
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: form.utf8.count, version: "1.0") + form)
            try await eventually("whole upload") { upstream.ending.hasSuffix(Forms.end) }
            try await upstream.send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nheard\r\n0\r\n\r\n"
            )
            let answer = try await client.answer()
            #expect(answer.status == 200)
            #expect(answer["transfer-encoding"] == nil)
            #expect(answer.text == "heard")
        }
    }

    @Test("A client that stops in the middle is a 408, and its upstream is closed")
    func stalledClient() async throws {
        var setup = Self.setup
        setup.server = ["header_timeout: 1s"]
        try await run(setup) { gateway, upstream async throws in
            let client = try await gateway.connect()
            try await client.send(Forms.head(length: 64 << 20) + Forms.field("model", "scribe") + Forms.file)
            try await eventually("connection") { upstream.received > 100 }
            #expect(try await client.answer().status == 408)
            try await eventually("closed upstream") { upstream.closed == 1 }
        }
    }

    @Test("A connection whose upload was complete carries the next request")
    func keptAlive() async throws {
        try await run { gateway, upstream async throws in
            let client = try await gateway.connect()
            for _ in 0..<3 {
                let before = upstream.received
                let form = Forms.form(before: Forms.field("model", "scribe"), size: 200_000)
                try await client.send(Forms.head(length: form.utf8.count) + form)
                try await eventually("whole upload") {
                    upstream.received > before + form.utf8.count && upstream.ending.hasSuffix(Forms.end)
                }
                try await upstream.send(Self.answer)
                #expect(try await client.answer().status == 200)
            }
            #expect(upstream.connections == 1)
        }
    }
}
