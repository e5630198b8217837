// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Upstream failures")
struct FailureTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var status: Int
        var body: String
        var kind: ParleyError.Kind
        var code: String?
        var testDescription: String { "\(status) \(body)" }

        init(_ status: Int, _ body: String, _ kind: ParleyError.Kind, _ code: String? = nil) {
            self.status = status
            self.body = body
            self.kind = kind
            self.code = code
        }
    }

    static let cases: [Case] = [
        Case(
            400, #"{"error":{"message":"m","type":"t","param":"p","code":"unsupported_parameter"}}"#,
            .upstreamRejected, "unsupported_parameter"),
        Case(400, #"{"error":"text"}"#, .upstreamRejected), Case(400, #"{"message":"text"}"#, .upstreamRejected),
        Case(422, #"{"detail":[{"loc":["body","top_k"],"msg":"Extra inputs","type":"x"}]}"#, .upstreamRejected),
        Case(
            422, #"{"object":"error","message":{"detail":[{"loc":["body","a"],"msg":"no","type":"x"}]}}"#,
            .upstreamRejected),
        Case(401, #"{"detail":"Invalid API Key"}"#, .unauthenticated, "invalid_api_key"),
        Case(403, #"{"error":{"message":"your region"}}"#, .forbidden),
        Case(403, #"{"message":"Invalid API key"}"#, .unauthenticated, "invalid_api_key"),
        Case(
            400, #"{"code":"invalid-argument","error":"Incorrect API key provided: xai-abcdef123"}"#,
            .unauthenticated, "invalid_api_key"),
        Case(402, "", .quota), Case(429, #"{"error":{"code":"insufficient_quota"}}"#, .quota),
        Case(429, "{}", .rateLimited), Case(404, "<html><title>404</title>", .notFound),
        Case(408, "", .timeout), Case(504, "<html>", .timeout), Case(413, "", .tooLarge),
        Case(500, "oops", .upstreamUnavailable), Case(503, "", .upstreamUnavailable, "overloaded"),
        Case(529, "", .upstreamUnavailable, "overloaded"), Case(451, "", .contentFiltered),
        Case(400, #"{"error":{"code":"context_length_exceeded"}}"#, .contextExceeded),
        Case(400, #"{"message":"Input Tokens Exceeded: 5"}"#, .contextExceeded),
        Case(
            400, #"{"error":{"message":"prompt too long; exceeded max context length by 9 tokens"}}"#,
            .contextExceeded),
        Case(400, #"{"errors":[{"code":7003,"message":"no route"}]}"#, .upstreamRejected, "7003"),
        Case(400, #"[{"error":{"code":400,"message":"API key not valid."}}]"#, .unauthenticated, "invalid_api_key"),
        Case(200, #"{"base_resp":{"status_code":1002,"status_msg":"x"}}"#, .rateLimited),
        Case(200, #"{"error":{"code":429,"message":"x"}}"#, .rateLimited),
        Case(418, "", .upstreamRejected), Case(307, "", .upstreamUnavailable),
        Case(400, #"{"error":{"message":5,"code":[],"type":{}}}"#, .upstreamRejected),
    ]

    @Test("Every shape is classified", arguments: cases)
    func classified(_ testCase: Case) {
        let error = OpenAIChat().decodeFailure(
            status: testCase.status, headers: HeaderBlock(), body: ByteBuffer(string: testCase.body))
        #expect(error.kind == testCase.kind)
        if let code = testCase.code { #expect(error.code == code) }
        #expect(!error.message.isEmpty)
    }

    @Test("A refused credential of ours is a 401 of its own type")
    func ownCredential() {
        let error = OpenAIChat().decodeFailure(
            status: 401, headers: HeaderBlock(), body: ByteBuffer(string: #"{"error":{"message":"bad sk-abcdefgh1"}}"#))
        #expect(error.httpStatus == 401 && error.type == "authentication_error" && error.code == "invalid_api_key")
        #expect(error.message == "The provider refused the configured API key: bad sk-***")
    }

    @Test(
        "Credentials in messages are masked and names are not",
        arguments: [
            ("key sk-proj-abcd1234 used", "key sk-*** used"), ("gsk_abcdefg.", "gsk_***."),
            ("id 96164522-08b2-4cbf-886e-e5a38961a688!", "id ***!"), ("Bearer hunter2000", "Bearer ***"),
            ("t0k3nt0k3nt0k3nt0k3nt0k3n", "***"),
            ("no model claude-sonnet-4-5-20250929", "no model claude-sonnet-4-5-20250929"),
            ("llama-4-maverick-17b-128e-instruct-fp8", "llama-4-maverick-17b-128e-instruct-fp8"),
            ("see https://console.x.ai.", "see https://console.x.ai."), ("", ""),
        ])
    func masked(_ text: String, _ expected: String) {
        #expect(KeyMask.mask(text) == expected)
    }

    @Test(
        "Retry-after is read as milliseconds, seconds and dates",
        arguments: [
            ("retry-after-ms: 1500\r\nretry-after: 9\r\n", 1.5), ("Retry-After: 7\r\n", 7),
            ("retry-after: Sun, 06 Nov 1994 08:49:47 GMT\r\n", 10),
            ("retry-after: Sun, 06 Nov 1994 08:49:07 GMT\r\n", 0),
            ("retry-after: soon\r\n", nil), ("retry-after: -5\r\n", nil), ("x: 1\r\n", nil),
            ("retry-after: nan\r\n", nil),
        ] as [(String, Double?)])
    func retryAfter(_ lines: String, _ expected: Double?) {
        #expect(RetryAfter.seconds(HeaderBlock(ByteBuffer(string: lines)), now: 784_111_777) == expected)
    }

    @Test("Every kind has its words", arguments: ParleyError.Kind.allCases)
    func envelope(_ kind: ParleyError.Kind) throws {
        let error = ParleyError(kind, "m \"q\"", parameter: "p")
        let value = try JSON.parse(OpenAIChat().encodeFailure(error))
        #expect(value["error"]?["message"] == "m \"q\"" && value["error"]?["param"] == "p")
        #expect(value["error"]?["type"]?.string?.isEmpty == false && value["error"]?["code"] != nil)
        var out = ByteBuffer()
        OpenAIChat().encodeStreamFailure(error, into: &out)
        #expect(String(buffer: out) == "data: \(JSON.text(value))\n\n")
    }

    @Test("The words are those of the baseline")
    func words() {
        func words(_ error: ParleyError) -> String { String(buffer: OpenAIChat().encodeFailure(error)) }
        #expect(
            words(ParleyError(.notFound, "x"))
                == #"{"error":{"message":"x","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#)
        #expect(
            words(ParleyError(.notFound, "x", code: ""))
                == #"{"error":{"message":"x","type":"invalid_request_error","param":null,"code":null}}"#)
        #expect(
            words(ParleyError(.upstreamUnavailable, "x", status: 503))
                == #"{"error":{"message":"x","type":"server_error","param":null,"code":"overloaded"}}"#)
        #expect(words(ParleyError(.quota, "x")).contains(#""type":"insufficient_quota""#))
        var relayed = ParleyError(.upstreamRejected, "x")
        relayed.relayed = RelayedFailure(body: Array("{}".utf8), contentType: "application/json")
        #expect(words(relayed) == "{}")
    }
}
