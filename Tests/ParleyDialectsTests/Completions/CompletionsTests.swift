// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Completions")
struct CompletionsTests {
    private let dialect = OpenAICompletions()

    @Test("A prompt becomes one user message, with every field of the API")
    func decode() throws {
        let request = try dialect.decodeRequest(
            ByteBuffer(
                string: """
                    {"model":"m","prompt":["Once"],"max_tokens":7,"temperature":0.5,"top_p":1,"n":2,"stop":"x",\
                    "logprobs":3,"seed":1,"user":"u","frequency_penalty":1,"presence_penalty":-1,"echo":true,\
                    "best_of":1,"logit_bias":{"5":1},"top_k":4,"suffix":null,"stream":true,\
                    "stream_options":{"include_usage":true}}
                    """))
        #expect(request.messages == [Message(.user, [.text("Once")])])
        #expect(request.maxTokens == 7 && request.maxTokensIsLegacy && request.n == 2 && request.stop == ["x"])
        #expect(request.logprobs == true && request.topLogprobs == 3 && request.seed == 1 && request.user == "u")
        #expect(request.stream && request.includeUsage)
        #expect(request.extras.dialect == .openAICompletions)
        #expect(Set(request.extras.fields.members.map(\.key)) == ["prompt", "echo", "best_of", "logit_bias", "top_k"])
    }

    @Test(
        "What is wrong with a request is named by its path",
        arguments: [
            (#"{"model":"m"}"#, "prompt"), (#"{"prompt":null}"#, "prompt"), (#"{"prompt":5}"#, "prompt"),
            (#"{"prompt":[]}"#, "prompt"), (#"{"prompt":["a",true]}"#, "prompt[1]"),
            (#"{"prompt":["a",5]}"#, "prompt"), (#"{"prompt":[[1],["x"]]}"#, "prompt[1][0]"),
            (#"{"prompt":"a","max_tokens":"1"}"#, "max_tokens"), (#"{"prompt":"a","n":0}"#, "n"),
            (#"{"prompt":"a","stop":[1]}"#, "stop[0]"), (#"{"prompt":"a","logprobs":-1}"#, "logprobs"),
            (#"{"prompt":"a","logprobs":true}"#, "logprobs"), (#"{"prompt":"a","best_of":0}"#, "best_of"),
            (#"{"prompt":"a","echo":1}"#, "echo"), (#"{"prompt":"a","suffix":1}"#, "suffix"),
            (#"{"prompt":"a","stream_options":{"include_usage":1}}"#, "stream_options.include_usage"),
        ])
    func faults(body: String, path: String) {
        let fault = Completing.fault(body)
        #expect(fault?.kind == .invalid)
        #expect(fault?.parameter == path)
    }

    @Test("What is no JSON object is refused", arguments: ["", "[]", "{", #"{"prompt":"\u00"}"#])
    func garbage(body: String) { #expect(Completing.fault(body)?.kind == .invalid) }

    @Test(
        "What a chat cannot keep is refused by its name",
        arguments: [
            (#"{"prompt":["a","b"]}"#, "prompt"), (#"{"prompt":[1,2]}"#, "prompt"), (#"{"prompt":[[1]]}"#, "prompt"),
            (#"{"prompt":"a","suffix":"z"}"#, "suffix"), (#"{"prompt":"a","best_of":2}"#, "best_of"),
        ])
    func untranslatable(body: String, field: String) throws {
        let fault = try Completing.translationFault(body)
        #expect(fault?.kind == .invalid && fault?.parameter == field)
    }

    @Test("A request for a chat has a length, shares the vendors' fields, and says nothing of echo")
    func translation() throws {
        var request = try dialect.decodeRequest(
            ByteBuffer(
                string: #"{"prompt":["Hi"],"echo":true,"best_of":1,"suffix":"","logit_bias":{"1":2},"min_p":0.1}"#))
        try dialect.prepareForTranslation(&request)
        #expect(request.maxTokens == 16)
        var dropped: [String] = []
        let chat = try JSON.parse(OpenAIChat().encodeRequest(request, dropped: &dropped))
        #expect(dropped.isEmpty)
        #expect(
            same(
                chat,
                [
                    "messages": [["role": "user", "content": [["type": "text", "text": "Hi"]]]], "max_tokens": 16,
                    "logit_bias": ["1": 2], "min_p": .number("0.1"),
                ]))
    }

    @Test("A chat of one user turn is a prompt; anything else is refused by its name")
    func fromChat() throws {
        func encode(_ body: String, _ dropped: inout [String]) throws -> JSONValue {
            let request = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
            return try JSON.parse(OpenAICompletions(quirks: Quirks()).encodeRequest(request, dropped: &dropped))
        }
        var dropped: [String] = []
        let body = try encode(
            """
            {"model":"m","messages":[{"role":"user","content":"Hi"}],"reasoning_effort":"low","verbosity":"low",\
            "tool_choice":"auto","parallel_tool_calls":true,"max_completion_tokens":9}
            """, &dropped)
        #expect(same(body, ["model": "m", "prompt": "Hi", "max_tokens": 9]))
        #expect(Set(dropped) == ["reasoning_effort", "verbosity", "tool_choice", "parallel_tool_calls"])
        let user = #"{"role":"user","content":"Hi"}"#
        let refused = [
            (#""messages":[{"role":"system","content":"a"},\#(user)]"#, "messages"),
            (#""messages":[\#(user)],"tools":[{"type":"function","function":{"name":"f"}}]"#, "tools"),
            (#""messages":[\#(user)],"response_format":{"type":"json_object"}"#, "response_format"),
            (
                #""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b"}}]}]"#,
                "messages[0].content"
            ),
        ]
        for (members, field) in refused {
            do {
                _ = try encode("{\(members)}", &dropped)
                Issue.record("\(field) was not refused")
            } catch let error as ParleyError {
                #expect(error.kind == .invalid && error.parameter == field)
            }
        }
    }

    @Test("The top level is spliced, every other byte stays")
    func splice() throws {
        let body = ByteBuffer(string: #"{ "model" : "a", "prompt":[1, 2],  "max_completion_tokens":5, "x": 1.50}"#)
        var dropped: [String] = []
        let overrides = [
            FieldOverride(name: "temperature", json: "0", force: true),
            FieldOverride(name: "tools", json: "[]", force: true),
        ]
        let spliced = try OpenAICompletions(quirks: Quirks()).splice(
            body, reading: nil, model: "b", stream: false, overrides: overrides, dropped: &dropped)
        #expect(
            spliced.map { String(buffer: $0) }
                == #"{ "model" : "b", "prompt":[1, 2], "x": 1.50,"temperature":0,"max_tokens":5}"#)
    }

    @Test("Usage that only the gateway asked for is kept from the client")
    func stripsUsage() {
        let usage = #"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"# + "\n\n"
        let text = #"data: {"choices":[{"text":"Hi","index":0,"finish_reason":"stop"}]}"# + "\n\n"
        let bytes = ArraySlice((text + usage + "data: [DONE]\n\n").utf8)
        let stripped = Completing.relayed([bytes], stripUsage: true)
        #expect(stripped.output == text + "data: [DONE]\n\n")
        #expect(stripped.observed.usage == Usage(input: 3, output: 1))
        #expect(Completing.relayed([bytes]).output.contains("usage"))
    }

    @Test("Echo is the prompt before the first text of each choice")
    func echo() throws {
        let request = #"{"prompt":["Say"],"echo":true}"#
        let events: [Event] = [
            .start(AnswerIdentity(id: "chatcmpl-1", model: "m", created: 5)), .text(choice: 0, " a"),
            .text(choice: 1, " b"), .text(choice: 0, "!"), .finish(choice: 0, .stop), .finish(choice: 1, .toolCalls),
        ]
        let stream = Completing.encode(events, Completing.context(request: request))
        let texts = frames(stream).map { $0["choices"]?.array?.first?["text"]?.string }
        #expect(texts == ["Say", " a", "Say", " b", "!", "", ""])
        let response = Completing.decode([ArraySlice(stream.utf8)]).response
        #expect(response.choices.map(\.message.text) == ["Say a!", "Say b"])
        #expect(response.identity.id == "cmpl-own")
        let whole = dialect.encodeWhole(response, Completing.context(request: request))
        #expect(try JSON.parse(whole)["choices"]?.array?.first?["text"] == "SaySay a!")
        // A service that completes has written it itself.
        let native = OpenAICompletions(quirks: Quirks()).encodeWhole(response, Completing.context(request: request))
        #expect(try JSON.parse(native)["choices"]?.array?.first?["text"] == "Say a!")
    }

    @Test("A chat's log probabilities are lists with offsets, counted behind the prompt")
    func logprobs() throws {
        func entry(_ token: String) -> JSONValue {
            [
                "token": .string(token), "logprob": .number("-0.5"), "bytes": [],
                "top_logprobs": [["token": .string(token), "logprob": .number("-0.5"), "bytes": []]],
            ]
        }
        let events: [Event] = [
            .start(AnswerIdentity()), .text(choice: 0, "é€"), .logprobs(choice: 0, ["content": [entry("é€")]]),
            .text(choice: 0, "b"), .logprobs(choice: 0, ["content": [entry("b")]]), .finish(choice: 0, .length),
        ]
        let stream = Completing.encode(events, Completing.context(request: #"{"prompt":"abc","echo":true}"#))
        let lists = frames(stream).compactMap { $0["choices"]?.array?.first?["logprobs"]?.object }
        #expect(lists.map { $0["text_offset"] } == [[3], [5]])
        #expect(lists.first?["tokens"] == ["é€"] && lists.first?["token_logprobs"] == [.number("-0.5")])
        #expect(lists.first?["top_logprobs"] == [["é€": .number("-0.5")]])
    }

    @Test("A stream has OpenAI's exact shape")
    func shape() {
        let events: [Event] = [
            .start(AnswerIdentity(id: "cmpl-1", model: "m", created: 5)), .reasoning(choice: 0, Reasoning("hm")),
            .text(choice: 0, "Hi"), .finish(choice: 0, .stop), .usage(Usage(input: 1, output: 2)),
        ]
        let head = #"data: {"id":"cmpl-1","object":"text_completion","created":5,"choices":["#
        let tail = #"],"model":"m""#
        let plain =
            head + #"{"text":"Hi","index":0,"logprobs":null,"finish_reason":null}"# + tail + "}\n\n"
            + head + #"{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}"# + tail + "}\n\ndata: [DONE]\n\n"
        #expect(Completing.encode(events, Completing.context(includeUsage: false)) == plain)
        let usage = Completing.encode(events)
        #expect(usage.contains(tail + #","usage":null}"#))
        #expect(usage.contains(head + tail + #","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#))
    }

    @Test("A failure is the last frame, well-formed whatever was open")
    func fails() {
        var encoder = dialect.makeStreamEncoder(Completing.context())
        var out = ByteBuffer()
        encoder.push(.text(choice: 0, "Hi"), into: &out)
        encoder.fail(ParleyError(.timeout, "too slow"), into: &out)
        encoder.finish(into: &out)
        let text = String(buffer: out)
        #expect(frames(text).last?["error"]?["message"] == "too slow")
        #expect(!text.contains("[DONE]"))
    }

    @Test("Noise in a stream is a failure that does not quote it", arguments: ["data: {oops\n\n", "data: [1]\n\n"])
    func noise(frame: String) {
        let decoded = Completing.decode([ArraySlice(frame.utf8)])
        #expect(decoded.failure?.kind == .upstreamUnavailable && decoded.failure?.message.contains("oops") == false)
        #expect(Completing.relayed([ArraySlice(frame.utf8)]).failure?.kind == .upstreamUnavailable)
    }
}
