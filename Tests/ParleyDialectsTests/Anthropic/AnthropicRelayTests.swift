// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Relaying Messages")
struct AnthropicRelayTests {
    private static func spliced(_ body: String, _ overrides: [FieldOverride], stream: Bool = false) throws -> String? {
        var dropped: [String] = []
        let buffer = try Messages.dialect.splice(
            ByteBuffer(string: body), reading: nil, model: "up", stream: stream, overrides: overrides,
            dropped: &dropped)
        return buffer.map { String(buffer: $0) }
    }

    @Test("Every other byte is the client's")
    func bytes() throws {
        let body =
            #"{ "model":"m", "messages":[{"role":"user","content":[{"type":"thinking","signature":"a\/b"}]}],"#
            + #" "new":1.50 }"#
        #expect(try Self.spliced(body, []) == body.replacing(#""m""#, with: #""up""#))
        let same = body.replacing(#""m""#, with: #""up""#)
        #expect(try Self.spliced(same, []) == same)
    }

    @Test("Configuration's fields are translated; one in OpenAI's own form asks for a rewriting")
    func overrides() throws {
        let body = #"{"model":"up","max_tokens":5,"temperature":null}"#
        let spliced = try Self.spliced(
            body,
            [
                FieldOverride(name: "max_tokens", json: "9", force: false),
                FieldOverride(name: "max_completion_tokens", json: "7", force: true),
                FieldOverride(name: "temperature", json: "1.5", force: false),
                FieldOverride(name: "stop", json: #""x""#, force: false),
                FieldOverride(name: "top_k", json: "3", force: false),
            ], stream: true)
        #expect(
            spliced == #"{"model":"up","max_tokens":7,"temperature":1,"stream":true,"stop_sequences":["x"],"top_k":3}"#)
        for name in ["tools", "reasoning_effort", "seed"] {
            #expect(try Self.spliced(body, [FieldOverride(name: name, json: "1", force: true)]) == nil)
        }
    }

    @Test("An error inside a stream ends it as Anthropic does")
    func errors() {
        let text = Messages.stream(
            Messages.start, #"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#)
        let relayed = Messages.relay([ArraySlice(text.utf8)])
        #expect(relayed.error?.kind == .rateLimited)
        #expect(relayed.output == Array(Messages.stream(Messages.start).utf8))
        let relay = Messages.dialect.makeStreamRelay(stripUsage: false)
        var out = ByteBuffer()
        relay.fail(ParleyError(.rateLimited, "slow"), into: &out)
        #expect(Messages.events(String(buffer: out)).first?["error"]?["type"] == "rate_limit_error")
    }

    @Test("A last event that the upstream left out is added")
    func terminator() {
        let text = Messages.stream(Messages.start, Messages.end("end_turn"))
        let relayed = Messages.relay([ArraySlice(text.utf8)])
        #expect(relayed.error == nil && relayed.observed.isComplete)
        #expect(String(decoding: relayed.output, as: UTF8.self) == text + Messages.stream(Messages.stop))
    }

    @Test("What cannot be taken back is known by the first delta, not by a start")
    func meaning() {
        let start = #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#
        let delta = #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#
        let before = Messages.stream(Messages.start, #"{"type":"ping"}"#, start)
        #expect(!Messages.relay([ArraySlice(before.utf8)]).observed.isMeaningful)
        #expect(Messages.relay([ArraySlice((before + Messages.stream(delta)).utf8)]).observed.isMeaningful)
        #expect(Messages.relay([ArraySlice(before.utf8)]).error?.kind == .upstreamUnavailable)
    }

    @Test("A whole answer that is an error, or none, is not passed on")
    func wholes() {
        for body in [#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, "{}", "[]", "{\"a\":"] {
            #expect(throws: ParleyError.self) {
                try Messages.dialect.inspectWhole(ByteBuffer(string: body))
            }
        }
    }
}

@Suite("Errors, counts and lists of Messages")
struct AnthropicSideTests {
    @Test(
        "Each kind has Anthropic's word",
        arguments: [
            (ParleyError.Kind.invalid, "invalid_request_error"), (.unauthenticated, "authentication_error"),
            (.forbidden, "permission_error"), (.notFound, "not_found_error"), (.tooLarge, "request_too_large"),
            (.rateLimited, "rate_limit_error"), (.quota, "billing_error"), (.timeout, "timeout_error"),
            (.upstreamUnavailable, "api_error"), (.internalError, "api_error"),
        ])
    func words(kind: ParleyError.Kind, word: String) throws {
        let envelope = try JSON.parse(Messages.dialect.encodeFailure(ParleyError(kind, "why")))
        #expect(envelope == ["type": "error", "error": ["type": .string(word), "message": "why"]])
    }

    @Test("A conversation that is too long says so in the words that clients look for")
    func tooLong() throws {
        let error = ParleyError(.contextExceeded, "maximum context length is 8 tokens")
        let message = try JSON.parse(Messages.dialect.encodeFailure(error))["error"]?["message"]?.string
        #expect(message?.hasPrefix("prompt is too long: ") == true)
        let other = Messages.dialect.decodeFailure(
            status: 400, headers: HeaderBlock(),
            body: ByteBuffer(
                string: #"{"type":"error","error":{"type":"invalid_request_error","message":"#
                    + #""input length and `max_tokens` exceed context limit: 9 + 9 > 10"}}"#))
        #expect(other.kind == .contextExceeded)
    }

    @Test("The path of a field is said once")
    func path() throws {
        func message(_ text: String) throws -> String? {
            let error = ParleyError(.invalid, text, parameter: "messages[0].role")
            return try JSON.parse(Messages.dialect.encodeFailure(error))["error"]?["message"]?.string
        }
        #expect(try message("Invalid value: 'x'.") == "messages[0].role: Invalid value: 'x'.")
        #expect(try message("No 'messages[0].role'.") == "No 'messages[0].role'.")
    }

    @Test("A retry hint is read, and a key in a message is masked")
    func hints() {
        let headers = HeaderBlock(ByteBuffer(string: "retry-after: 7\r\n"))
        let error = Messages.dialect.decodeFailure(
            status: 429, headers: headers,
            body: ByteBuffer(
                string: #"{"type":"error","error":{"type":"rate_limit_error","#
                    + #""message":"key sk-ant-api03-abcdef12"}}"#))
        #expect(error.retryAfter == 7 && error.kind == .rateLimited)
        #expect(!error.message.contains("abcdef12"))
    }

    @Test("A count goes both ways")
    func counts() throws {
        let dialect = Messages.dialect
        let body = #"{"model":"claude-sonnet-4-5","system":"s","messages":[{"role":"user","content":"Hi"}]}"#
        let request = try dialect.decodeCountRequest(ByteBuffer(string: body))
        var dropped: [String] = []
        let written = try JSON.parse(dialect.encodeCountRequest(request, dropped: &dropped))
        #expect(same(written, try JSON.parse(body)))
        let openAI = try OpenAIChat().decodeRequest(
            ByteBuffer(
                string: #"{"model":"m","max_tokens":5,"temperature":1,"stop":"x","user":"u","stream":true,"#
                    + #""messages":[{"role":"user","content":"Hi"}]}"#))
        let counted = try JSON.parse(dialect.encodeCountRequest(openAI, dropped: &dropped)).object
        #expect(counted?.members.map(\.key) == ["model", "messages"])
        #expect(try dialect.decodeCount(dialect.encodeCount(42)) == 42)
        for text in ["{}", "x", #"{"input_tokens":-1}"#, #"{"type":"error","error":{"type":"api_error"}}"#] {
            #expect(throws: ParleyError.self) { try dialect.decodeCount(ByteBuffer(string: text)) }
        }
    }

    @Test("The list of models has Anthropic's shape, and is read back")
    func list() {
        let value = AnthropicModelList.encode([("a", 0), ("b/c", 1_740_000_000)])
        #expect(value["first_id"] == "a" && value["last_id"] == "b/c" && value["has_more"] == false)
        #expect(
            value["data"]?.array?[1] == [
                "type": "model", "id": "b/c", "display_name": "b/c", "created_at": "2025-02-19T21:20:00Z",
            ])
        let page = AnthropicModelList.page(value)
        #expect(page?.models.map(\.id) == ["a", "b/c"] && page?.models[1].created == 1_740_000_000)
        #expect(page?.next == nil)
        #expect(AnthropicModelList.page(["models": []]) == nil)
        #expect(AnthropicModelList.encode([])["first_id"] == .null)
    }

    @Test("A time is read back as it was written", arguments: 0..<33)
    func times(step: Int) {
        let seconds = step * 7_777_777_777
        #expect(AnthropicModelList.seconds(AnthropicModelList.time(seconds)) == seconds)
    }

    @Test("Leap days and edges are right, and nonsense is none")
    func edges() {
        #expect(AnthropicModelList.time(951_782_400) == "2000-02-29T00:00:00Z")
        #expect(AnthropicModelList.time(1_709_251_199) == "2024-02-29T23:59:59Z")
        #expect(AnthropicModelList.time(.max) == "9999-12-31T23:59:59Z")
        #expect(AnthropicModelList.time(-5) == "1970-01-01T00:00:00Z")
        for text in ["", "2024", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "x-y-zT1:2:3Z"] {
            #expect(AnthropicModelList.seconds(text) == nil)
        }
    }
}
