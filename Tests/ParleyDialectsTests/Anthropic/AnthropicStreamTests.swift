// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Reading Messages streams")
struct AnthropicStreamDecoderTests {
    @Test("Calls are counted from zero whatever blocks come before, and none lacks arguments")
    func calls() {
        let decoded = Messages.decode(
            Messages.stream(
                Messages.start, #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}"#,
                #"{"type":"content_block_stop","index":0}"#,
                #"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
                #"{"type":"content_block_stop","index":1}"#,
                #"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"u","name":"g","input":{"a":1}}}"#,
                Messages.end("end_turn"), Messages.stop))
        #expect(decoded.failure == nil && decoded.isComplete)
        let calls = decoded.response.choices[0].message.toolCalls
        #expect(calls.map(\.id) == ["t", "u"] && calls.map(\.arguments) == ["{}", #"{"a":1}"#])
        #expect(decoded.response.choices[0].finish == .toolCalls)
        #expect(decoded.events.first == .start(AnswerIdentity(id: "msg_1", model: "m")))
    }

    @Test("Usage takes the larger number of each class, with caches in the input")
    func usage() {
        let decoded = Messages.decode(
            Messages.stream(
                #"{"type":"message_start","message":{"usage":{"input_tokens":4,"cache_creation_input_tokens":100,"#
                    + #""cache_creation":{"ephemeral_1h_input_tokens":60},"output_tokens":1}}}"#,
                Messages.end("end_turn", #"{"input_tokens":6,"cache_read_input_tokens":20,"output_tokens":9}"#),
                Messages.stop))
        var usage = Usage(input: 126, output: 9)
        usage.cacheRead = 20
        usage.cacheWrite = 100
        usage.cacheWriteHour = 60
        #expect(decoded.response.usage == usage)
    }

    @Test("A stop reason without the last event is an end; neither is none")
    func ends() {
        let whole = Messages.stream(Messages.start, Messages.end("max_tokens"))
        #expect(Messages.decode(whole).failure == nil)
        #expect(Messages.decode(whole).response.choices[0].finish == .length)
        let cut = Messages.decode(Messages.stream(Messages.start))
        #expect(cut.failure?.kind == .upstreamUnavailable && !cut.isComplete)
        #expect(Messages.decode(Messages.stream(Messages.start, Messages.stop)).failure == nil)
        #expect(Messages.decode("").failure != nil)
    }

    @Test("Garbage is a failure that says where, not what")
    func garbage() {
        let decoded = Messages.decode(Messages.stream(Messages.start) + "data: {secret\n\n")
        #expect(decoded.failure?.kind == .upstreamUnavailable)
        #expect(decoded.failure?.message.contains("event 2, byte 1") == true)
        #expect(decoded.failure?.message.contains("secret") == false)
    }

    @Test("Unknown events, deltas and blocks are skipped; hostile numbers do no harm")
    func strangers() {
        let decoded = Messages.decode(
            Messages.stream(
                Messages.start, #"{"type":"news"}"#, #"{"type":"content_block_delta","index":-5,"delta":{"type":"x"}}"#,
                #"{"type":"content_block_stop","index":99999999999999999999}"#,
                #"{"type":"content_block_start","index":7,"content_block":{"type":"hologram","a":1}}"#,
                Messages.end("end_turn", #"{"output_tokens":-1,"input_tokens":9223372036854775807}"#), Messages.stop))
        #expect(decoded.failure == nil)
        #expect(decoded.response.usage.input == .max && decoded.response.usage.output == nil)
        #expect(
            decoded.response.choices[0].message.extras
                == Extras(.anthropic, ["blocks": [["type": "hologram", "a": 1]]]))
    }
}

@Suite("Writing Messages streams")
struct AnthropicStreamEncoderTests {
    private static func types(_ text: String) -> [String] {
        Messages.events(text).map { event in
            let index = event["index"]?.int.map { " \($0)" } ?? ""
            let delta = event["delta"]?["type"]?.string.map { " " + $0 } ?? ""
            return (event["type"]?.string ?? "") + index + delta
        }
    }

    @Test("The bytes are Anthropic's")
    func exact() {
        let text = Messages.encode([
            .start(AnswerIdentity(id: "msg_1", model: "m")), .usage(Usage(input: 5)), .text(choice: 0, "Hi\n"),
            .finish(choice: 0, .stop), .usage(Usage(input: 5, output: 2)),
        ])
        #expect(
            text == """
                event: message_start
                data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m",\
                "content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":0}}}

                event: content_block_start
                data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

                event: ping
                data: {"type": "ping"}

                event: content_block_delta
                data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi\\n"}}

                event: content_block_stop
                data: {"type":"content_block_stop","index":0}

                event: message_delta
                data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},\
                "usage":{"input_tokens":5,"output_tokens":2}}

                event: message_stop
                data: {"type":"message_stop"}


                """)
    }

    @Test("One block is open at a time, also where pieces of calls come mixed")
    func mixed() {
        func call(_ index: Int) -> Event {
            .toolCall(choice: 0, index: index, ToolCall(id: "t\(index)", name: "f", arguments: ""))
        }
        let events: [Event] = [
            .reasoning(choice: 0, Reasoning("hm")), .text(choice: 0, "a"), call(0),
            .arguments(choice: 0, index: 0, #"{"a":"#), call(1), .arguments(choice: 0, index: 1, "{}"),
            .text(choice: 0, "b"), .arguments(choice: 0, index: 0, "1}"), .finish(choice: 0, .toolCalls),
        ]
        let text = Messages.encode(events)
        #expect(
            Self.types(text).filter { !$0.hasPrefix("message") && $0 != "ping" } == [
                "content_block_start 0", "content_block_delta 0 thinking_delta", "content_block_stop 0",
                "content_block_start 1", "content_block_delta 1 text_delta", "content_block_stop 1",
                "content_block_start 2", "content_block_delta 2 input_json_delta",
                "content_block_delta 2 input_json_delta", "content_block_stop 2",
                "content_block_start 3", "content_block_delta 3 input_json_delta", "content_block_stop 3",
                "content_block_start 4", "content_block_delta 4 text_delta", "content_block_stop 4",
            ])
        let calls = Messages.decode(text).response.choices[0].message.toolCalls
        #expect(calls.map(\.arguments) == [#"{"a":1}"#, "{}"])
    }

    @Test("Foreign reasoning has an empty signature; Claude's own keeps its")
    func signatures() {
        let text = Messages.encode([
            .reasoning(choice: 0, Reasoning("theirs", signature: "x", origin: .gemini)), .text(choice: 0, "a"),
            .reasoning(choice: 0, Reasoning("mine", origin: .anthropic)),
            .reasoning(choice: 0, Reasoning("", signature: "s", origin: .anthropic)),
            .reasoning(choice: 0, Reasoning("more", origin: .anthropic)), .finish(choice: 0, .stop),
        ])
        let starts = Messages.events(text).compactMap { $0["content_block"] }
        #expect(starts.filter { $0["type"] == "thinking" }.allSatisfy { $0["signature"] == "" })
        #expect(starts.count == 4)
        #expect(!text.contains("\"x\"") && text.contains(#""signature":"s""#))
    }

    @Test("An error is the last event whatever was open, and nothing follows it")
    func failure() {
        var encoder = Messages.dialect.makeStreamEncoder(Messages.context)
        var out = ByteBuffer()
        encoder.push(.text(choice: 0, "a"), into: &out)
        encoder.fail(ParleyError(.upstreamUnavailable, "gone", status: 503), into: &out)
        encoder.finish(into: &out)
        let last = Messages.events(String(buffer: out)).last
        #expect(last == ["type": "error", "error": ["type": "overloaded_error", "message": "gone"]])
    }

    @Test("An answer that says nothing is still whole")
    func empty() {
        #expect(
            Self.types(Messages.encode([.start(AnswerIdentity(id: "chatcmpl-1")), .finish(choice: 0, .contentFilter)]))
                == ["message_start", "message_delta", "message_stop"])
        #expect(Messages.encode([.start(AnswerIdentity(id: "chatcmpl-1"))]).contains(#""id":"msg_own""#))
    }
}
