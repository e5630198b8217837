// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// What an upstream says when no script applies: OpenAI's Chat Completions, small but complete.
enum BuiltInAnswers {
    /// The pieces that make up "Hello from upstream.".
    private static let pieces = ["Hello", " from", " up", "stream", "."]

    /// The answer to a request.
    static func answer(to head: HTTPRequestHead, _ body: ByteBuffer) -> [Script.Step] {
        let path = String(head.uri.prefix { $0 != "?" })
        if head.headers["authorization"].contains("Bearer wrong") {
            return error(
                401, "invalid_request_error", code: "invalid_api_key", "Incorrect API key provided: wrong.")
        }
        switch (head.method, path) {
        case (.GET, let path) where path.hasSuffix("/models"): return models()
        case (.POST, let path) where path.hasSuffix("/chat/completions"): return chat(body)
        default:
            return error(404, "invalid_request_error", code: nil, "Invalid URL (\(head.method) \(path))")
        }
    }

    private static func models() -> [Script.Step] {
        let names = ["upstream-small", "upstream-large", "bench-json", "bench-stream", "bench-paced"]
        let data = names.map { Wire.ModelObject(id: $0) }
        return whole(200, Wire.ModelList(data: data))
    }

    private static func chat(_ body: ByteBuffer) -> [Script.Step] {
        guard let request = try? JSONDecoder().decode(Wire.Request.self, from: Data(body.readableBytesView)) else {
            return error(400, "invalid_request_error", code: nil, "We could not parse the JSON body of your request.")
        }
        guard let model = request.model else {
            return error(400, "invalid_request_error", code: nil, "you must provide a model parameter")
        }
        let call = request.wantsCall ? request.tools?.first?.function?.name : nil
        let choices = max(1, min(request.n ?? 1, 16))
        return request.stream == true
            ? stream(model, call: call, choices: choices, usage: request.streamOptions?.includeUsage == true)
            : whole(200, completion(model, call: call, choices: choices))
    }

    private static func completion(_ model: String, call: String?, choices: Int) -> Wire.Completion {
        let message =
            call.map { Wire.Message(content: nil, toolCalls: [Wire.Call(name: $0)]) }
            ?? Wire.Message(content: pieces.joined(), toolCalls: nil)
        return Wire.Completion(
            model: model,
            choices: (0..<choices).map {
                Wire.Choice(index: $0, message: message, finishReason: call == nil ? "stop" : "tool_calls")
            },
            usage: usage(choices))
    }

    private static func usage(_ choices: Int) -> Wire.Usage {
        Wire.Usage(promptTokens: 11, completionTokens: pieces.count * choices)
    }

    private static func stream(_ model: String, call: String?, choices: Int, usage wanted: Bool) -> [Script.Step] {
        var events: [String] = []
        func add(_ index: Int, _ delta: String, finish: String? = nil) {
            let finish = finish.map { "\"\($0)\"" } ?? "null"
            events.append(
                chunk(
                    model, #"[{"index":\#(index),"delta":\#(delta),"logprobs":null,"finish_reason":\#(finish)}]"#,
                    usage: wanted ? #","usage":null"# : ""))
        }
        for index in 0..<choices {
            if let call {
                let function = #"{"name":\#(quoted(call)),"arguments":""}"#
                add(index, #"{"role":"assistant","content":null,"refusal":null}"#)
                add(
                    index,
                    #"{"tool_calls":[{"index":0,"id":"call_upstream1","type":"function","function":\#(function)}]}"#)
                add(index, #"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#)
            } else {
                add(index, #"{"role":"assistant","content":"","refusal":null}"#)
            }
        }
        if call == nil {
            // With several choices their chunks interleave, as OpenAI's do.
            for piece in pieces {
                for index in 0..<choices { add(index, #"{"content":\#(quoted(piece))}"#) }
            }
        }
        for index in 0..<choices { add(index, "{}", finish: call == nil ? "stop" : "tool_calls") }
        if wanted {
            let numbers = usage(choices)
            events.append(
                chunk(
                    model, "[]",
                    usage: #","usage":{"prompt_tokens":\#(numbers.promptTokens),"#
                        + #""completion_tokens":\#(numbers.completionTokens),"total_tokens":\#(numbers.totalTokens),"#
                        + #""prompt_tokens_details":{"cached_tokens":0},"#
                        + #""completion_tokens_details":{"reasoning_tokens":0}}"#))
        }
        let headers = ["content-type": "text/event-stream; charset=utf-8", "x-request-id": "req_upstream1"]
        return [.head(.init(200, headers: headers)), .sse(.init(events))]
    }

    private static func chunk(_ model: String, _ choices: String, usage: String) -> String {
        #"{"id":"chatcmpl-upstream1","object":"chat.completion.chunk","created":1735689600,"model":\#(quoted(model)),"#
            + #""service_tier":"default","system_fingerprint":"fp_upstream","choices":\#(choices)\#(usage)}"#
    }

    /// A JSON string.
    private static func quoted(_ text: String) -> String {
        guard let data = try? JSONEncoder().encode(text) else { return "\"\"" }
        return String(decoding: data, as: UTF8.self)
    }

    /// An error in OpenAI's envelope.
    private static func error(_ status: Int, _ type: String, code: String?, _ message: String) -> [Script.Step] {
        whole(status, Wire.Failure(error: .init(message: message, type: type, code: code)))
    }

    private static func whole(_ status: Int, _ value: some Encodable) -> [Script.Step] {
        let body = (try? JSONEncoder().encode(value)).map { [UInt8]($0) } ?? []
        let headers = ["content-type": "application/json", "x-request-id": "req_upstream1"]
        return [.head(.init(status, headers: headers, framing: .length)), .writeBytes(body)]
    }
}
