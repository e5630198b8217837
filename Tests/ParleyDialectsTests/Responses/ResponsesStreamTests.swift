// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Streams of Responses")
struct ResponsesStreamTests {
    static let answer: [Event] = [
        .start(AnswerIdentity(id: "resp_1", model: "m", created: 7)), .reasoning(choice: 0, Reasoning("Hm")),
        .reasoning(choice: 0, Reasoning("m.")), .text(choice: 0, "Hel"), .text(choice: 0, "lo"),
        .toolCall(choice: 0, index: 0, ToolCall(id: "c1", name: "f", arguments: "")),
        .arguments(choice: 0, index: 0, "{\"a\":"), .arguments(choice: 0, index: 0, "1}"),
        .toolCall(choice: 0, index: 1, ToolCall(id: "c2", name: "g", arguments: "{}")),
        .finish(choice: 0, .toolCalls), .usage(Usage(input: 3, output: 4)),
    ]

    @Test("Every event comes in OpenAI's order, numbered from zero")
    func order() {
        let text = Responses.encode(Self.answer)
        #expect(
            Responses.types(text) == [
                "created", "in_progress", "output_item.added", "reasoning_summary_part.added",
                "reasoning_summary_text.delta", "reasoning_summary_text.delta", "reasoning_summary_text.done",
                "reasoning_summary_part.done", "output_item.done", "output_item.added", "content_part.added",
                "output_text.delta", "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
                "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
                "function_call_arguments.done", "output_item.done", "output_item.added",
                "function_call_arguments.delta", "function_call_arguments.done", "output_item.done", "completed",
            ])
        let frames = Responses.frames(text)
        #expect(frames.compactMap { $0["sequence_number"]?.int } == Array(frames.indices))
        let last = frames.last?["response"]
        #expect(last?["output"]?.array?.count == 4 && last?["status"] == "completed" && last?["id"] == "resp_1")
        #expect(last?["usage"]?["total_tokens"] == 7)
        #expect(!text.contains("[DONE]"))
    }

    @Test("A response repeats its request")
    func echo() throws {
        let request = #"""
            {"model":"x","input":"q","instructions":"i","tools":[{"type":"function","name":"f"}],"temperature":0.30,
            "metadata":{"a":"b"},"reasoning":{"effort":"low"},"text":{"verbosity":"high"},"store":false,
            "previous_response_id":"resp_0","conversation":"conv_1","max_output_tokens":9}
            """#
        for response in Responses.frames(Responses.encode(Self.answer, Responses.context(request))).compactMap({
            $0["response"]
        }) {
            #expect(response["instructions"] == "i" && response["temperature"] == .number("0.30"))
            #expect(response["tools"]?.array?.first?["strict"] == true && response["metadata"]?["a"] == "b")
            #expect(response["reasoning"] == ["effort": "low", "summary": nil])
            #expect(response["text"] == ["verbosity": "high", "format": ["type": "text"]])
            #expect(response["store"] == false && response["previous_response_id"] == "resp_0")
            #expect(response["conversation"] == ["id": "conv_1"] && response["max_output_tokens"] == 9)
        }
    }

    @Test("An answer that was cut says so in its status and its items")
    func incomplete() {
        let text = Responses.encode([.text(choice: 0, "a"), .finish(choice: 0, .length)])
        let last = Responses.frames(text).last
        #expect(last?["type"] == "response.incomplete")
        #expect(last?["response"]?["incomplete_details"] == ["reason": "max_output_tokens"])
        #expect(Responses.decode(text).response.choices.first?.finish == .length)
    }

    @Test("An error ends the stream with both of OpenAI's events, whatever was open", arguments: 0..<11)
    func fails(length: Int) {
        let text = Responses.encode(
            Array(Self.answer.prefix(length)), error: ParleyError(.upstreamUnavailable, "gone"))
        let frames = Responses.frames(text)
        #expect(frames.compactMap { $0["sequence_number"]?.int } == Array(frames.indices))
        #expect(frames.suffix(2).map { $0["type"] } == ["error", "response.failed"])
        #expect(frames.last?["response"]?["error"] == ["code": "server_error", "message": "gone"])
        #expect(frames.dropLast().last?["error"]?["message"] == "gone")
        #expect(Responses.decode(text).failure?.message == "gone")
    }

    @Test("Calls whose arguments come interleaved are each whole")
    func interleaved() {
        let text = Responses.encode([
            .toolCall(choice: 0, index: 0, ToolCall(id: "a", name: "f", arguments: "")),
            .toolCall(choice: 0, index: 1, ToolCall(id: "b", name: "g", arguments: "")),
            .arguments(choice: 0, index: 0, "{\"x\""), .arguments(choice: 0, index: 1, "{"),
            .arguments(choice: 0, index: 0, ":1}"), .arguments(choice: 0, index: 1, "}"), .text(choice: 0, "t"),
            .finish(choice: 0, .toolCalls),
        ])
        let calls = Responses.decode(text).response.choices.first?.message.toolCalls
        #expect(calls?.map(\.arguments) == ["{\"x\":1}", "{}"])
        #expect(calls?.map(\.id) == ["a", "b"])
    }

    @Test("Log probabilities go with their text, if they were asked for")
    func logprobs() {
        let events: [Event] = [
            .text(choice: 0, "a"), .logprobs(choice: 0, ["content": [["token": "a", "logprob": .number("-1")]]]),
            .text(choice: 0, "b"), .finish(choice: 0, .stop),
        ]
        let context = Responses.context(#"{"model":"m","input":"","include":["message.output_text.logprobs"]}"#)
        #expect(Responses.decode(Responses.encode(events, context)).response.choices.first?.logprobs != nil)
        #expect(!Responses.encode(events).contains("\"token\""))
    }

    // MARK: - Reading

    private static let added =
        #""output_index":0,"item":{"id":"m","type":"message","status":"in_progress","role":"assistant","content":[]}"#
    private static let message =
        #"{"id":"m","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]}"#

    @Test(
        "What is said twice counts once, and what is not said is taken from what is",
        arguments: [
            "", Responses.frame("response.output_item.added", added),
            Responses.frame("response.output_text.delta", #""output_index":0,"content_index":0,"delta":"Hel""#),
            Responses.frame("response.output_text.delta", #""output_index":0,"content_index":0,"delta":"Hello""#)
                + Responses.frame("response.output_text.done", #""output_index":0,"content_index":0,"text":"Hello""#),
            Responses.frame("response.output_item.done", #""output_index":0,"item":\#(message)"#),
            Responses.frame("response.output_text.delta", #""item_id":"other","output_index":5,"delta":"Hel""#)
                + Responses.frame("response.later.event", #""output_index":5,"x":1"#),
        ])
    func tolerated(middle: String) {
        let end = Responses.frame("response.completed", #""response":\#(Responses.response("[\(Self.message)]"))"#)
        let decoded = Responses.decode(middle + ": x\n\n" + end + "data: [DONE]\n\n")
        #expect(decoded.failure == nil && decoded.isComplete)
        #expect(decoded.response.choices.first?.message.text == "Hello")
        #expect(decoded.response.choices.first?.finish == .stop)
        #expect(decoded.response.usage.output == 4)
    }

    @Test("A stream that just stops is an error; one that ends in [DONE] after an answer is not")
    func ends() {
        let delta = Responses.frame("response.output_text.delta", #""output_index":0,"content_index":0,"delta":"a""#)
        #expect(Responses.decode(delta).failure?.kind == .upstreamUnavailable)
        #expect(Responses.decode("").failure?.kind == .upstreamUnavailable)
        #expect(Responses.decode("data: [DONE]\n\n").failure?.kind == .upstreamUnavailable)
        #expect(Responses.decode("data: {oops\n\n").failure?.kind == .upstreamUnavailable)
        #expect(Responses.decode(delta + "data: [DONE]\n\n").response.choices.first?.finish == .stop)
    }

    @Test(
        "Errors in every form are thrown",
        arguments: [
            (#""code":"rate_limit_exceeded","message":"slow","param":null"#, ParleyError.Kind.rateLimited),
            (#""error":{"type":"server_error","code":"server_error","message":"x"}"#, .upstreamUnavailable),
            (#""code":"context_length_exceeded","message":"long""#, .contextExceeded),
            (#""code":"invalid_prompt","message":"no""#, .upstreamRejected),
        ])
    func errors(members: String, kind: ParleyError.Kind) {
        #expect(Responses.decode(Responses.frame("error", members)).failure?.kind == kind)
        let inner = members.hasPrefix("\"error\"") ? String(members.dropFirst(8)) : "{\(members)}"
        let failed = Responses.response("[]", status: "failed", more: ",\"error\":\(inner)")
        #expect(Responses.decode(Responses.frame("response.failed", "\"response\":\(failed)")).failure?.kind == kind)
        #expect(throws: ParleyError.self) { _ = try Responses.dialect.decodeWhole(ByteBuffer(string: failed)) }
    }

    @Test("A whole answer is read and written the same as its stream")
    func whole() throws {
        let streamed = Responses.decode(Responses.encode(Self.answer)).response
        let body = Responses.dialect.encodeWhole(streamed, Responses.context())
        #expect(try JSON.parse(body)["object"] == "response")
        #expect(try Responses.dialect.decodeWhole(body) == streamed)
        #expect(throws: ParleyError.self) { _ = try Responses.dialect.decodeWhole(ByteBuffer(string: "{}")) }
        #expect(throws: ParleyError.self) {
            _ = try Responses.dialect.decodeWhole(ByteBuffer(string: Responses.response("[]", status: "queued")))
        }
    }
}
