// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Writes a neutral request as Ollama's `/api/chat` wants it.
struct OllamaRequestEncoder {
    /// Fields that were left out.
    private(set) var dropped = DroppedNames()

    static let losses = own + Loss.unknown(to: "Ollama")

    private static let own = [
        Loss("n", .refused, "An answer of Ollama has one choice; n above 1 is refused."),
        Loss("messages[].content[].image_url", .refused, "Images come as base64; an address is refused."),
        Loss("messages[].content[].input_audio", .refused, "There is no audio."),
        Loss("messages[].content[].file", .refused, "A file goes as text or as an image; any other is refused."),
        Loss("tools", .refused, "Only functions; another vendor's kind of tool is refused."),
        Loss("response_format", .refused, "A format that only another vendor knows is refused."),
        Loss("tool_choice", .dropped, "The model decides. `none` is said by leaving the tools out."),
        Loss("parallel_tool_calls", .dropped, "The model decides."),
        Loss("user", .dropped, "There is none."),
        Loss("messages[].name", .dropped, "Speakers have no names."),
        Loss("tools[].function.strict", .dropped, "Arguments are not held to their schema."),
        Loss("messages[].is_error", .dropped, "A tool's failure is told by its text alone."),
        Loss("image_url.detail", .dropped, "Images have no level of detail."),
        Loss("cache_control", .dropped, "The server caches prompts by itself."),
        Loss("reasoning_effort", .emulated, "`think`: a level, false for none; tokens become the nearest level."),
        Loss("messages[].content", .emulated, "Text parts are joined by line feeds, and images stand beside the text."),
    ]

    mutating func encode(_ request: ChatRequest) throws(ParleyError) -> JSONObject {
        if let n = request.n, n > 1 { throw ChatRequestEncoder.singleChoiceOnly }
        var body: JSONObject = ["model": .string(request.model)]
        var messages: [JSONValue] = []
        for (index, message) in request.messages.enumerated() {
            messages.append(.object(try encode(message, "messages[\(index)]", in: request)))
        }
        body["messages"] = .array(messages)
        try putTools(request, into: &body)
        if let format = request.responseFormat { body["format"] = try encode(format) }
        if let think = think(request) { body["think"] = think }
        body["logprobs"] = request.logprobs.map { .bool($0) }
        body["top_logprobs"] = request.topLogprobs.map { .int($0) }
        var options = options(request)
        putExtras(request.extras, into: &body, options: &options)
        if !options.isEmpty { body["options"] = .object(options) }
        body["stream"] = .bool(request.stream)
        dropped.add("user", if: request.user != nil)
        return body
    }

    // MARK: - Fields

    private func options(_ request: ChatRequest) -> JSONObject {
        var options = JSONObject()
        options["num_predict"] = request.maxTokens.map { .int($0) }
        options["temperature"] = request.temperature.map { .double($0) }
        options["top_p"] = request.topP.map { .double($0) }
        options["top_k"] = request.topK.map { .int($0) }
        options["seed"] = request.seed.map { .int($0) }
        options["frequency_penalty"] = request.frequencyPenalty.map { .double($0) }
        options["presence_penalty"] = request.presencePenalty.map { .double($0) }
        if !request.stop.isEmpty { options["stop"] = .array(request.stop.map { .string($0) }) }
        return options
    }

    /// Fields of the request itself that a client or the configuration may say in Ollama's own words.
    private static let ownFields: Set<String> = ["keep_alive", "think", "truncate", "shift", "format"]
    /// Members of `options` that may also be said at the top level, as OpenAI's clients do.
    private static let ownOptions: Set<String> = [
        "num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "min_p",
        "typical_p", "tfs_z", "repeat_last_n", "repeat_penalty", "mirostat", "mirostat_tau", "mirostat_eta",
        "penalize_newline", "numa", "low_vram",
    ]

    /// Fields that stay among the extras of OpenAI's dialect although the neutral form has them too.
    private static let saidElsewhere: Set<String> = ["top_k", "functions", "function_call"]

    /// Takes Ollama's own fields from the extras, which come from configuration or from a client that knows where its
    /// words end up.
    private mutating func putExtras(_ extras: Extras, into body: inout JSONObject, options: inout JSONObject) {
        let (own, foreign) = extras.fields(for: .ollama)
        for name in foreign { dropped.add(name) }
        for member in own.members {
            if member.key == "options", case .object(let given) = member.value {
                for option in given.members { options[option.key] = option.value }
            } else if member.key == "repetition_penalty" {
                options["repeat_penalty"] = member.value
            } else if Self.ownFields.contains(member.key) {
                body[member.key] = member.value
            } else if Self.ownOptions.contains(member.key) {
                options[member.key] = member.value
            } else if !Self.saidElsewhere.contains(member.key) {
                dropped.add(member.key)
            }
        }
    }

    /// Levels are for models that have them; the others take any as yes.
    private func think(_ request: ChatRequest) -> JSONValue? {
        if let budget = request.reasoningBudget, request.reasoningEffort == nil, budget < 0 { return true }
        return switch request.reasoningWord {
        case nil: nil
        case "none"?: false
        case "minimal"?, "low"?: "low"
        case "high"?, "xhigh"?, "max"?: "high"
        case "medium"?: "medium"
        default: true
        }
    }

    private func encode(_ format: ResponseFormat) throws(ParleyError) -> JSONValue? {
        switch format {
        case .text: nil
        case .jsonObject: "json"
        case .jsonSchema(_, _, let schema, _): schema ?? "json"
        case .opaque: throw RequestFault.unsupportedFormat
        }
    }

    // MARK: - Tools

    private mutating func putTools(_ request: ChatRequest, into body: inout JSONObject) throws(ParleyError) {
        dropped.add("parallel_tool_calls", if: request.parallelToolCalls == false)
        switch request.toolChoice {
        case nil, .auto?: break
        case ToolChoice.none?: return
        case .required?, .named?, .opaque?: dropped.add("tool_choice")
        }
        guard !request.tools.isEmpty else { return }
        var tools: [JSONValue] = []
        for tool in request.tools {
            guard tool.opaque == nil else { throw RequestFault.unsupportedTool(tool) }
            dropped.add("tools[].function.strict", if: tool.strict == true)
            dropped.add("cache_control", if: tool.cacheMark != nil)
            var function: JSONObject = ["name": .string(tool.name)]
            function["description"] = tool.description.map { .string($0) }
            function["parameters"] = tool.parameters ?? ["type": "object", "properties": [:]]
            tools.append(["type": "function", "function": .object(function)])
        }
        body["tools"] = .array(tools)
    }

    private func encode(_ call: ToolCall, _ path: String) throws(ParleyError) -> JSONValue {
        var arguments: JSONValue = [:]
        if call.isCustom {
            arguments = ["input": .string(call.arguments)]
        } else if call.arguments.utf8.contains(where: { $0 > 0x20 }) {
            guard let value = try? JSON.parse(call.arguments), value.object != nil else {
                throw RequestFault.unsupported("\(path).function.arguments", "takes arguments that are a JSON object")
            }
            arguments = value
        }
        var object = JSONObject()
        if !call.id.isEmpty { object["id"] = .string(call.id) }
        object["function"] = ["name": .string(call.name), "arguments": arguments]
        return .object(object)
    }

    // MARK: - Messages

    private mutating func encode(
        _ message: Message, _ path: String, in request: ChatRequest
    ) throws(ParleyError) -> JSONObject {
        var object: JSONObject = ["role": .string(Self.word(for: message.role))]
        var texts: [String] = []
        var images: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            try read(part, "\(path).content[\(index)]", &texts, &images)
        }
        if let refusal = message.refusal { texts.append(refusal) }
        object["content"] = .string(texts.joined(separator: "\n"))
        let thoughts = message.reasoning.reduce(into: "") { $0 += $1.text }
        if !thoughts.isEmpty { object["thinking"] = .string(thoughts) }
        if !images.isEmpty { object["images"] = .array(images) }
        if !message.toolCalls.isEmpty {
            var calls: [JSONValue] = []
            for (index, call) in message.toolCalls.enumerated() {
                calls.append(try encode(call, "\(path).tool_calls[\(index)]"))
            }
            object["tool_calls"] = .array(calls)
        }
        if message.role == .tool || message.role == .function {
            let id = message.toolCallID ?? ""
            if let name = request.toolName(ofCall: id) ?? message.name { object["tool_name"] = .string(name) }
            if !id.isEmpty { object["tool_call_id"] = .string(id) }
            dropped.add("messages[].is_error", if: message.isError)
        } else {
            dropped.add("messages[].name", if: message.name != nil)
        }
        dropped.add("cache_control", if: !message.cacheMarks.isEmpty)
        return object
    }

    private static func word(for role: Message.Role) -> String {
        switch role {
        case .system, .developer: "system"
        case .tool, .function: "tool"
        case .user, .assistant: role.rawValue
        }
    }

    private mutating func read(
        _ part: Part, _ path: String, _ texts: inout [String], _ images: inout [JSONValue]
    ) throws(ParleyError) {
        switch part {
        case .text(let text), .refusal(let text): texts.append(text)
        case .image(let url, let detail):
            if let detail, detail != "auto" { dropped.add("image_url.detail") }
            guard let image = DataURL(url) else {
                throw RequestFault.unsupported("\(path).image_url", "takes images as base64 (a data: URL) only")
            }
            images.append(.string(image.base64))
        case .audio: throw RequestFault.unsupported("\(path).input_audio", "takes no audio")
        case .file(let file):
            if let text = file.plainText {
                texts.append(text)
            } else if let data = file.data, let url = DataURL(data), url.mediaType.hasPrefix("image/") {
                images.append(.string(url.base64))
            } else {
                throw RequestFault.unsupported("\(path).file", "takes text and images only")
            }
        case .opaque: throw RequestFault.unsupported(path, "has no such content part")
        }
    }
}
