// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Writes a neutral request as the one frame that asks Spark.
struct SparkRequestEncoder {
    /// Fields that were left out.
    var dropped = DroppedNames()
    let request: ChatRequest
    let model: SparkModel

    static let losses = own + Loss.unknown(to: "Spark")

    private static let own = [
        Loss("n", .refused, "An answer of Spark has one choice; n above 1 is refused."),
        Loss("messages[].content[].image_url", .refused, "There are no images."),
        Loss("messages[].content[].input_audio", .refused, "There is no audio."),
        Loss("messages[].content[].file", .refused, "A file goes as text; any other is refused."),
        Loss("tools", .refused, "Functions only, of Max and Ultra only; other kinds and versions are refused."),
        Loss("response_format", .refused, "A format that only another vendor knows is refused."),
        Loss("response_format", .emulated, "An instruction in the system turn."),
        Loss("temperature", .emulated, "Halved: Spark's goes from 0 to 1, and 0 itself is 0.01."),
        Loss("max_tokens", .emulated, "At most what the version can write."),
        Loss("top_k", .emulated, "At least 1 and at most 6."),
        Loss("user", .emulated, "The first 32 characters, as `header.uid`."),
        Loss("messages", .emulated, "Turns of one side in a row are joined, since sides must alternate."),
        Loss(
            "messages[].role", .emulated,
            "A first system turn is one on Max and Ultra; elsewhere, and later, it is a turn of the user's."),
        Loss("messages[].tool_calls", .emulated, "Earlier calls and their results are told in words."),
        Loss("tool_choice", .dropped, "The model decides; a named tool is the only one on offer."),
        Loss("tools[].function.strict", .dropped, "Arguments are not held to their schema."),
        Loss("top_p", .dropped, "There is `top_k` only."),
        Loss("stop", .dropped, "There is none."),
        Loss("seed", .dropped, "There is none."),
        Loss("frequency_penalty", .dropped, "There is none."),
        Loss("presence_penalty", .dropped, "There is none."),
        Loss("logprobs", .dropped, "There are none."),
        Loss("top_logprobs", .dropped, "There are none."),
        Loss("reasoning_effort", .dropped, "X1 thinks as much as it likes, the others not at all."),
        Loss("messages[].reasoning_content", .dropped, "Earlier thoughts are not wanted back."),
        Loss("messages[].name", .dropped, "Speakers have no names."),
        Loss("cache_control", .dropped, "The service caches nothing that one could mark."),
    ]

    /// Members of `parameter.chat` that a client or the configuration may say in Spark's own words.
    private static let ownFields: Set<String> = ["auditing", "chat_id", "question_type"]
    /// Fields that stay among the extras of OpenAI's dialect although the neutral form has them too.
    private static let saidElsewhere: Set<String> = ["top_k", "functions", "function_call"]
    /// The least temperature above zero.
    private static let coldest = 0.01
    private static let longestUser = 32

    init(_ request: ChatRequest) {
        self.request = request
        model = SparkModel(request.model)
    }

    mutating func encode() throws(ParleyError) -> JSONObject {
        if let n = request.n, n > 1 { throw ChatRequestEncoder.singleChoiceOnly }
        var header = JSONObject()
        if let user = request.user, !user.isEmpty { header["uid"] = .string(String(user.prefix(Self.longestUser))) }
        var chat: JSONObject = ["domain": .string(model.domain)]
        chat["temperature"] = request.temperature.map { .double(max(Self.coldest, min(1, $0 / 2))) }
        chat["max_tokens"] = request.maxTokens.map { .int(max(1, min($0, model.longestAnswer ?? $0))) }
        chat["top_k"] = request.topK.map { .int(max(1, min($0, 6))) }
        putExtras(into: &chat, header: &header)
        var payload: JSONObject = ["message": ["text": .array(try messages())]]
        if let functions = try self.functions() { payload["functions"] = ["text": .array(functions)] }
        dropUnsaid()
        var body: JSONObject = header.isEmpty ? [:] : ["header": .object(header)]
        body["parameter"] = ["chat": .object(chat)]
        body["payload"] = .object(payload)
        return body
    }

    private mutating func dropUnsaid() {
        dropped.add("top_p", if: request.topP != nil)
        dropped.add("stop", if: !request.stop.isEmpty)
        dropped.add("seed", if: request.seed != nil)
        dropped.add("frequency_penalty", if: request.frequencyPenalty != nil)
        dropped.add("presence_penalty", if: request.presencePenalty != nil)
        dropped.add("logprobs", if: request.logprobs == true)
        dropped.add("top_logprobs", if: request.topLogprobs != nil)
        dropped.add("reasoning_effort", if: request.reasoningWord != nil)
    }

    /// Takes Spark's own fields from the extras, which come from configuration or from a client that knows where its
    /// words end up.
    private mutating func putExtras(into chat: inout JSONObject, header: inout JSONObject) {
        let (own, foreign) = request.extras.fields(for: .spark)
        for name in foreign { dropped.add(name) }
        for member in own.members {
            switch member.key {
            case "web_search": chat["tools"] = [["type": "web_search", "web_search": member.value]]
            // The tuned models to use.
            case "patch_id": header["patch_id"] = member.value.array == nil ? .array([member.value]) : member.value
            case let key where Self.ownFields.contains(key): chat[key] = member.value
            case let key where !Self.saidElsewhere.contains(key): dropped.add(key)
            default: break
            }
        }
    }

    // MARK: - Tools

    private mutating func functions() throws(ParleyError) -> [JSONValue]? {
        guard !request.tools.isEmpty else { return nil }
        var offered = request.tools
        switch request.toolChoice {
        case nil, .auto?: break
        case ToolChoice.none?: return nil
        case .named(let name)?:
            dropped.add("tool_choice")
            offered = offered.filter { $0.name == name }
            guard !offered.isEmpty else {
                throw RequestFault.unsupported("tool_choice", "was given no tool of that name")
            }
        case .required?, .opaque?: dropped.add("tool_choice")
        }
        guard model.hasFunctions else {
            throw RequestFault.unsupported("tools", "has tools for Max and Ultra only, not for \(model.domain)")
        }
        var functions: [JSONValue] = []
        for tool in offered {
            guard tool.opaque == nil else { throw RequestFault.unsupportedTool(tool) }
            dropped.add("tools[].function.strict", if: tool.strict == true)
            dropped.add("cache_control", if: tool.cacheMark != nil)
            functions.append([
                "name": .string(tool.name), "description": .string(tool.description ?? ""),
                "parameters": tool.parameters ?? ["type": "object", "properties": [:]],
            ])
        }
        return functions
    }
}
