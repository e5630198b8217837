// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Reading chat streams")
struct StreamDecoderTests {
    private func texts(_ decoded: Decoded) -> String { decoded.response.choices.first?.message.text ?? "" }

    private func thoughts(_ decoded: Decoded) -> String {
        decoded.response.choices.first?.message.reasoning.map(\.text).joined() ?? ""
    }

    private func calls(_ decoded: Decoded) -> [String] {
        decoded.response.choices.first?.message.toolCalls.map { "\($0.id) \($0.name) \($0.arguments)" } ?? []
    }

    @Test("OpenAI's own stream gives its events in order")
    func plain() {
        let decoded = decode(
            stream(
                chunk(#"{"role":"assistant","content":"","refusal":null}"#), chunk(#"{"content":"Hi"}"#),
                chunk("{}", finish: #""stop""#),
                #"{"id":"c1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#
            ))
        #expect(
            decoded.events == [
                .start(AnswerIdentity(id: "c1", model: "m", created: 7)), .text(choice: 0, "Hi"),
                .finish(choice: 0, .stop), .usage(Usage(input: 1, output: 2)),
            ])
        #expect(decoded.failure == nil && decoded.isComplete)
    }

    @Test("A missing terminator is an end only where the answer is complete")
    func terminator() {
        let finished = chunk(#"{"content":"a"}"#, finish: #""stop""#)
        #expect(decode(stream(finished, done: false)).failure == nil)
        #expect(decode("data: \(finished)").failure == nil)
        let cut = decode(stream(chunk(#"{"content":"a"}"#), done: false))
        #expect(cut.failure?.kind == .upstreamUnavailable && !cut.isComplete)
        #expect(decode("").failure?.kind == .upstreamUnavailable)
        #expect(decode(stream()).failure?.kind == .upstreamUnavailable)
        let two = #"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{"content":"b"}}]}"#
        #expect(decode(stream(two, done: false)).failure != nil)
        #expect(decode(stream(chunk(#"{"content":"a"}"#))).events.last == .finish(choice: 0, .stop))
        #expect(texts(decode(stream(finished) + stream(chunk(#"{"content":"late"}"#)))) == "a")
    }

    @Test("Reasoning is found under every name")
    func reasoning() {
        for delta in [
            #"{"reasoning_content":"hm"}"#, #"{"reasoning":"hm"}"#, #"{"thinking":"hm"}"#,
            #"{"reasoning_content":"hm","reasoning":"hm"}"#,
            #"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#,
            #"{"content":[{"type":"thinking","thinking":"hm"}]}"#,
            #"{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":0}]}"#,
        ] {
            let decoded = decode(
                stream(chunk(delta), chunk(#"{"content":[{"type":"text","text":"a"}]}"#, finish: #""stop""#)))
            #expect(thoughts(decoded) == "hm", "\(delta)")
            #expect(texts(decoded) == "a")
        }
    }

    @Test("Details of reasoning sent in pieces become one element with its signature")
    func details() {
        let first = #"{"reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}"#
        let second = #"{"reasoning_details":[{"type":"reasoning.text","text":"b","index":0}]}"#
        let third = #"{"reasoning_details":[{"type":"reasoning.text","signature":"s","index":0}]}"#
        let decoded = decode(stream(chunk(first), chunk(second), chunk(third), chunk("{}", finish: #""stop""#)))
        let reasoning = decoded.response.choices[0].message.reasoning
        #expect(reasoning.count == 1 && reasoning.first?.text == "ab" && reasoning.first?.signature == "s")
    }

    @Test("Inline thinking is told apart wherever the tags are cut", arguments: 1...12)
    func inlineThinking(_ size: Int) {
        var quirks = Quirks()
        quirks.inlineThinking = true
        func run(_ content: String) -> Decoded {
            var frames = ""
            var rest = Substring(content)
            while !rest.isEmpty {
                frames += "data: \(chunk(#"{"content":\#(JSON.text(.string(String(rest.prefix(size)))))}"#))\n\n"
                rest = rest.dropFirst(size)
            }
            return decode(frames + stream(chunk("{}", finish: #""stop""#)), quirks: quirks)
        }
        let tagged = run("\n<think>a < b </thin </think>\n\nanswer <think>x</think>")
        #expect(thoughts(tagged) == "a < b </thin " && texts(tagged) == "answer <think>x</think>")
        let plain = run(" <thin air")
        #expect(thoughts(plain) == "" && texts(plain) == " <thin air")
        let cut = run("<think>never ended </th")
        #expect(thoughts(cut) == "never ended </th" && texts(cut) == "")
    }

    struct ToolCase: Sendable, CustomTestStringConvertible {
        var name: String
        var deltas: [String]
        var calls: Int
        var testDescription: String { name }
    }

    static let toolCases: [ToolCase] = [
        ToolCase(
            name: "OpenAI's own",
            deltas: [
                #"[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]"#,
                #"[{"index":0,"function":{"arguments":"{\"x\":"}}]"#, #"[{"index":0,"function":{"arguments":"1}"}}]"#,
                #"[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]"#,
            ], calls: 2),
        ToolCase(
            name: "the id and type on every delta",
            deltas: [
                #"[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}]"#,
                #"[{"index":0,"id":"a","type":"function","function":{"name":"","arguments":":1}"}}]"#,
                #"[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]"#,
            ], calls: 2),
        ToolCase(
            name: "no index, told apart by id",
            deltas: [
                #"[{"id":"a","function":{"name":"f","arguments":"{\"x\":"}}]"#, #"[{"function":{"arguments":"1}"}}]"#,
                #"[{"index":null,"id":"b","function":{"name":"g","arguments":"{}"}}]"#,
            ], calls: 2),
        ToolCase(
            name: "index always zero",
            deltas: [
                #"[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]"#,
                #"[{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]"#,
            ], calls: 2),
        ToolCase(
            name: "neither index nor id, the name on every delta",
            deltas: [
                #"[{"function":{"name":"f","arguments":"{\"x\":"}}]"#, #"[{"function":{"name":"f","arguments":"1}"}}]"#,
                #"[{"function":{"name":"g","arguments":"{}"}}]"#,
            ], calls: 2),
        ToolCase(
            name: "whole calls with object arguments in one delta",
            deltas: [
                #"[{"function":{"name":"f","arguments":{"x":1}}},{"function":{"name":"g","arguments":{}}}]"#
            ], calls: 2),
        ToolCase(
            name: "the name after the id",
            deltas: [
                #"[{"index":0,"id":"a"}]"#, #"[{"index":0,"function":{"name":"f"}}]"#,
                #"[{"index":0,"function":{"arguments":"{\"x\":1}"}}]"#,
                #"[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]"#,
            ], calls: 2),
    ]

    @Test("Tool calls are put together however defective the deltas", arguments: toolCases)
    func tools(_ testCase: ToolCase) {
        let deltas = testCase.deltas.map { "data: \(chunk(#"{"tool_calls":\#($0)}"#))\n\n" }.joined()
        let decoded = decode(deltas + stream(chunk("{}", finish: #""tool_calls""#)))
        let calls = decoded.response.choices[0].message.toolCalls
        #expect(calls.map(\.name) == ["f", "g"])
        #expect(calls.map(\.arguments) == [#"{"x":1}"#, "{}"])
        #expect(Set(calls.map(\.id)).count == 2 && calls.allSatisfy { !$0.id.isEmpty })
        #expect(decoded.events.last == .finish(choice: 0, .toolCalls))
    }

    @Test("Custom tools and the deprecated call keep their kind")
    func otherCalls() {
        let custom = decode(
            stream(
                chunk(#"{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":""}}]}"#),
                chunk(#"{"tool_calls":[{"index":0,"custom":{"input":"free"}}]}"#), chunk("{}", finish: #""stop""#)))
        #expect(calls(custom) == ["a f free"] && custom.response.choices[0].message.toolCalls[0].isCustom)
        #expect(custom.events.last == .finish(choice: 0, .toolCalls))
        let legacy = decode(
            stream(
                chunk(#"{"function_call":{"name":"f","arguments":""}}"#),
                chunk(#"{"function_call":{"arguments":"{}"}}"#),
                chunk("{}", finish: #""function_call""#)))
        #expect(legacy.response.choices[0].message.toolCalls.map(\.arguments) == ["{}"])
        #expect(legacy.events.last == .finish(choice: 0, .functionCall))
        let text = encode(legacy.events)
        #expect(text.contains(#""function_call":{"name":"f","arguments":""}"#) && !text.contains("tool_calls"))
    }

    @Test("Usage is found in every place and counted once")
    func usage() {
        let usage = #"{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}"#
        let last = chunk("{}", finish: #""stop""#)
        for frames in [
            stream(chunk(#"{"content":"a"}"#), last, #"{"choices":[],"usage":\#(usage)}"#),
            stream(chunk(#"{"content":"a"}"#), chunk("{}", finish: #""stop""#, more: #","usage":\#(usage)"#)),
            stream(
                chunk(#"{"content":"a"}"#, more: #","usage":{"prompt_tokens":4,"completion_tokens":1}"#),
                chunk("{}", finish: #""stop""#, more: #","usage":\#(usage)"#)),
            stream(chunk(#"{"content":"a"}"#, finish: #""stop","usage":\#(usage)"#)),
            stream(chunk("{}", finish: #""stop""#, more: #","x_groq":{"id":"r","usage":\#(usage)},"usage":\#(usage)"#)),
        ] {
            #expect(decode(frames).response.usage == Usage(input: 4, output: 2), "\(frames)")
        }
    }

    @Test("A cumulative message and a repeated answer count once")
    func repeats() {
        let perplexity = decode(
            stream(
                #"{"choices":[{"index":0,"message":{"content":"a"},"delta":{"content":"a"}}]}"#,
                #"{"choices":[{"index":0,"message":{"content":"ab"},"delta":{"content":"b"},"finish_reason":"stop"}]}"#)
        )
        #expect(texts(perplexity) == "ab")
        var quirks = Quirks()
        quirks.repeatsAnswer = true
        let whole =
            #"{"object":"chat.completion","choices":[{"index":0,"message":{"content":"ab"},"finish_reason":"stop"}]}"#
        #expect(
            texts(decode(stream(chunk(#"{"content":"a"}"#), chunk(#"{"content":"b"}"#), whole), quirks: quirks)) == "ab"
        )
        let again = chunk(#"{"content":"ab"}"#, finish: #""stop""#)
        #expect(
            texts(decode(stream(chunk(#"{"content":"a"}"#), chunk(#"{"content":"b"}"#), again), quirks: quirks)) == "ab"
        )
        #expect(texts(decode(stream(whole))) == "ab")
    }

    @Test(
        "Finish reasons of all vendors are mapped",
        arguments: [
            ("stop", FinishReason.stop), ("eos", .stop), ("end_turn", .stop), ("surprise", .stop), ("length", .length),
            ("model_length", .length), ("MAX_TOKENS", .length), ("tool_use", .toolCalls),
            ("content_filter", .contentFilter),
            ("sensitive", .contentFilter), ("model_context_window_exceeded", .length),
        ])
    func finishReasons(_ word: String, _ reason: FinishReason) {
        let decoded = decode(stream(chunk(#"{"content":"a"}"#, finish: "\"\(word)\"")))
        #expect(decoded.events.last == .finish(choice: 0, reason))
    }

    @Test("An empty finish reason is none", arguments: [#""""#, #""null""#, "null", "5"])
    func noFinishReason(_ word: String) {
        let decoded = decode(stream(chunk(#"{"content":"a"}"#, finish: word), done: false))
        #expect(decoded.failure?.kind == .upstreamUnavailable)
    }

    @Test(
        "A failure inside the stream is thrown after what came before it",
        arguments: [
            (#"{"error":{"message":"m","type":"server_error"}}"#, ParleyError.Kind.upstreamUnavailable, 502),
            (#"{"error":"text"}"#, .upstreamUnavailable, 502),
            (#"{"error":{"code":429,"message":"slow"}}"#, .rateLimited, 429),
            (#"{"choices":[{"index":0,"delta":{},"error":{"code":503,"message":"x"}}]}"#, .upstreamUnavailable, 503),
            (#"{"base_resp":{"status_code":1002,"status_msg":"x"}}"#, .rateLimited, 429),
            (#"{"code":20012,"message":"bad parameter","data":null}"#, .upstreamUnavailable, 502),
            (#"{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#, .upstreamUnavailable, 502),
            (#"{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#, .upstreamUnavailable, 503),
            (#"{"error":{"message":"long","code":"context_length_exceeded"}}"#, .contextExceeded, 400),
            ("not json", .upstreamUnavailable, 502), ("[1]", .upstreamUnavailable, 502),
        ])
    func failures(_ frame: String, _ kind: ParleyError.Kind, _ status: Int) {
        let decoded = decode(stream(chunk(#"{"content":"a"}"#), frame))
        #expect(texts(decoded) == "a")
        #expect(decoded.failure?.kind == kind && decoded.failure?.httpStatus == status)
        #expect(!decoded.isComplete)
    }

    @Test("An event named error is a failure whatever its shape")
    func errorEvent() {
        let text = stream(chunk(#"{"content":"a"}"#), done: false)
        let groq = decode(
            text
                + "event: error\n"
                + stream(#"{"error":{"message":"m","code":"tool_use_failed","status_code":400}}"#, done: false)
        )
        #expect(groq.failure?.kind == .upstreamRejected && groq.failure?.code == "tool_use_failed")
        #expect(decode(text + "event: error\ndata: oops\n\n").failure?.message == "oops")
    }

    @Test("A null error and a status of zero are no failures")
    func noFailure() {
        let frame = chunk(
            #"{"content":"a"}"#, finish: #""stop""#, more: #","error":null,"base_resp":{"status_code":0}"#)
        #expect(decode(stream(frame)).failure == nil)
    }

    @Test("Null and missing members, comments, CRLF and a mark at the start do no harm")
    func noise() {
        let frames = [
            #"{"choices":[{"delta":null}]}"#, #"{"choices":[{"delta":{"content":null,"tool_calls":null}}]}"#,
            #"{"choices":[{"delta":{"role":"assistant","content":"a"},"finish_reason":""}]}"#, #"{"choices":null}"#,
            #"{"choices":[{"delta":{"content":"b","role":"assistant"},"finish_reason":"stop"}]}"#,
        ].map { ": keep-alive\r\n\r\ndata:\($0)\r\n\r\n" }.joined()
        let decoded = decode("\u{FEFF}" + frames + "data:\r\n\r\ndata: [DONE]\r\n\r\n")
        #expect(texts(decoded) == "ab" && decoded.failure == nil)
    }
}
