// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Gemini's answers, relayed")
struct GeminiRelayTests {
    private struct Run: Equatable {
        var output: [UInt8] = []
        var observed = Observation()
        var error: ParleyError?

        init(_ pieces: [ArraySlice<UInt8>]) {
            let relay = Gemini().makeStreamRelay(stripUsage: false)
            var out = ByteBuffer()
            do throws(ParleyError) {
                for piece in pieces { try relay.push(ByteBuffer(bytes: piece), into: &out) }
                try relay.finish(into: &out)
            } catch {
                self.error = error
            }
            output = Array(out.readableBytesView)
            observed = relay.observed
        }
    }

    private static let streams = (GeminiExchange.own + GeminiExchange.recorded).filter {
        $0.status < 400 && $0.body.starts(with: "data:".utf8)
    }

    @Test("A relay passes every byte and sees what a decoder sees, in any pieces", arguments: streams.map(\.name))
    func relay(name: String) throws {
        let exchange = try #require(Self.streams.first { $0.name == name })
        let bytes = exchange.body
        let whole = Run([bytes[...]])
        let decoded = exchange.answer()
        #expect(whole.error?.kind == decoded.failure?.kind && whole.error?.httpStatus == decoded.failure?.httpStatus)
        if decoded.failure == nil {
            #expect(whole.output == bytes && whole.observed.isComplete && whole.observed.isMeaningful)
            let usage = decoded.response.usage
            #expect(whole.observed.usage.input == usage.input && whole.observed.usage.output == usage.output)
            #expect(whole.observed.usage.reasoning == usage.reasoning)
        } else {
            #expect(bytes.starts(with: whole.output) && !whole.observed.isComplete)
        }
        #expect(Run(bytes.indices.map { bytes[$0...$0] }) == whole)
        for seed in 0..<10 as Range<UInt64> { #expect(Run(pieces(of: bytes, seed: seed)) == whole) }
    }

    @Test("An empty text is not meaningful, a signature and a finish are")
    func meaningful() throws {
        func seen(_ frames: String...) -> Observation {
            Run([Array(frames.map { "data: \($0)\r\n\r\n" }.joined().utf8)[...]]).observed
        }
        #expect(!seen(#"{"candidates":[{"content":{"parts":[{"text":""}]}}]}"#).isMeaningful)
        #expect(seen(#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"s"}]}}]}"#).isMeaningful)
        let end = seen(#"{"candidates":[{"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":3}}"#)
        #expect(end.isMeaningful && end.isComplete && end.finish == "MAX_TOKENS" && end.usage.input == 3)
    }

    @Test("Whole answers are looked over; errors in them and broken ones are thrown")
    func whole() throws {
        let dialect = Gemini()
        let good = #"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}"#
        #expect(try dialect.inspectWhole(ByteBuffer(string: good)).finish == "STOP")
        for bad in [
            #"{"error":{"code":500,"message":"x","status":"INTERNAL"}}"#, "{}", "[", #"{"candidates":[]}"#,
            #"{"promptFeedback":{"blockReason":"SAFETY"}}"#, #"{"candidates":[{"finishReason":"OTHER"}]}"#,
        ] {
            #expect(throws: ParleyError.self) { try dialect.inspectWhole(ByteBuffer(string: bad)) }
        }
    }

    @Test("A request is passed on as it came, unless something must change")
    func splice() throws {
        var dropped: [String] = []
        func spliced(_ text: String, _ dialect: Gemini = Gemini(), _ overrides: [FieldOverride] = []) throws -> String?
        {
            try dialect.splice(
                ByteBuffer(string: text), reading: nil, model: "m", stream: true, overrides: overrides,
                dropped: &dropped
            ).map { String(buffer: $0) }
        }
        let plain = #"{ "contents":[{"parts":[{"functionCall":{"id":"a","name":"f"}}]}], "x": 1.50 }"#
        #expect(try spliced(plain) == plain)
        #expect(try spliced(plain, Gemini(platform: .vertex)) == nil)
        #expect(try spliced(plain, Gemini(), [FieldOverride(name: "max_tokens", json: "5", force: true)]) == nil)
        let schema = #"{"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{}}]}]}"#
        #expect(try spliced(schema, Gemini(jsonSchemaFields: false)) == nil)
    }
}

@Suite("Gemini's errors")
struct GeminiFailureTests {
    private static func read(_ status: Int, _ body: String, headers: String = "") -> ParleyError {
        Gemini().decodeFailure(
            status: status, headers: HeaderBlock(ByteBuffer(string: headers)), body: ByteBuffer(string: body))
    }

    private static func error(_ code: Int, _ status: String, _ message: String, _ details: String = "[]") -> String {
        #"{"error":{"code":\#(code),"status":"\#(status)","message":"\#(message)","details":\#(details)}}"#
    }

    @Test(
        "Statuses and words become kinds",
        arguments: [
            (400, "INVALID_ARGUMENT", "bad field", ParleyError.Kind.upstreamRejected, 400),
            (400, "INVALID_ARGUMENT", "API key not valid. Pass one.", .unauthenticated, 401),
            (400, "INVALID_ARGUMENT", "Too long: the maximum number of tokens is 9", .contextExceeded, 400),
            (400, "FAILED_PRECONDITION", "User location is not supported", .forbidden, 403),
            (401, "UNAUTHENTICATED", "no", .unauthenticated, 401), (403, "PERMISSION_DENIED", "no", .forbidden, 403),
            (404, "NOT_FOUND", "no", .notFound, 404), (429, "RESOURCE_EXHAUSTED", "slow", .rateLimited, 429),
            (499, "CANCELLED", "left", .upstreamUnavailable, 502), (500, "INTERNAL", "no", .upstreamUnavailable, 502),
            (503, "UNAVAILABLE", "The model is overloaded", .upstreamUnavailable, 503),
            (504, "DEADLINE_EXCEEDED", "late", .timeout, 504),
        ] as [(Int, String, String, ParleyError.Kind, Int)])
    func kinds(status: Int, word: String, message: String, kind: ParleyError.Kind, answered: Int) {
        let body = Self.error(status, word, message)
        for text in [body, "[\(body)]"] {
            let failure = Self.read(status, text)
            #expect(failure.kind == kind && failure.httpStatus == answered)
        }
    }

    @Test("The wait is read from the details and from the header, and a day's quota is one")
    func retry() {
        let info = #"[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]"#
        #expect(Self.read(429, Self.error(429, "RESOURCE_EXHAUSTED", "x", info)).retryAfter == 34.4)
        #expect(Self.read(429, "", headers: "retry-after: 7\r\n").retryAfter == 7)
        let day = #"[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}]"#
        #expect(Self.read(429, Self.error(429, "RESOURCE_EXHAUSTED", "x", day)).kind == .quota)
        let hostile = #"[{"retryDelay":"infs"},{"retryDelay":"-1s"},{"retryDelay":"nans"}]"#
        #expect(Self.read(429, Self.error(429, "RESOURCE_EXHAUSTED", "x", hostile)).retryAfter == nil)
    }

    @Test("A key in a message is hidden")
    func masked() {
        let key = "AIzaSyA1234567890abcdefghijklmnop"
        #expect(!Self.read(400, Self.error(400, "INVALID_ARGUMENT", "bad \(key)")).message.contains(key))
    }

    @Test("Every kind is written and read back as itself or as its nearest", arguments: ParleyError.Kind.allCases)
    func envelope(kind: ParleyError.Kind) throws {
        let error = ParleyError(kind, "why", parameter: "contents[0]", retryAfter: 3)
        let body = Gemini().encodeFailure(error)
        let value = try JSON.parse(body)["error"]
        #expect(value?["code"]?.int == error.httpStatus && value?["message"] == "why")
        #expect(value?["status"]?.string?.isEmpty == false)
        #expect(JSON.text(value ?? .null).contains(#""retryDelay":"3s""#))
        let again = Gemini().decodeFailure(status: error.httpStatus, headers: HeaderBlock(), body: body)
        #expect(again.retryAfter == 3)
    }
}
