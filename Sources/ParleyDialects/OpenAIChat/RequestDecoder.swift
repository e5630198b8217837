// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads a client's chat request; the input is hostile, and every fault names the field by its path.
///
/// Normalised on the way: a null field is a field not said, `stop` is a list, a bare-string `image_url` is an object,
/// and of two length fields `max_completion_tokens` wins.
enum ChatRequestDecoder {
    static func decode(_ body: JSONObject) throws(ParleyError) -> ChatRequest {
        var fields = FieldReader(body)
        var request = ChatRequest(model: try fields.string("model") ?? "", messages: [])
        guard let messages = try fields.array("messages", expected: "an array of objects") else {
            throw RequestFault.missing("messages")
        }
        guard !messages.isEmpty else { throw RequestFault.empty("messages") }
        request.messages = try MessageDecoder.decode(messages)
        try readSampling(&fields, into: &request)
        try readTools(&fields, into: &request)
        request.responseFormat = try readFormat(&fields)
        request.reasoningEffort = try fields.string("reasoning_effort")
        request.user = try fields.string("user")
        request.stream = try fields.bool("stream") ?? false
        try readStreamOptions(&fields, into: &request)
        try checkShapes(fields.rest)
        if !fields.rest.isEmpty { request.extras = Extras(.openAIChat, fields.rest) }
        return request
    }

    private static func readSampling(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        let legacy = try fields.int("max_tokens")
        let current = try fields.int("max_completion_tokens")
        request.maxTokens = current ?? legacy
        request.maxTokensIsLegacy = current == nil && legacy != nil
        request.temperature = try fields.double("temperature")
        request.topP = try fields.double("top_p")
        request.frequencyPenalty = try fields.double("frequency_penalty")
        request.presencePenalty = try fields.double("presence_penalty")
        request.n = try fields.int("n")
        if let n = request.n, n < 1 { throw RequestFault.below("n", minimum: 1, got: n) }
        request.logprobs = try fields.bool("logprobs")
        request.topLogprobs = try fields.int("top_logprobs")
        request.seed = try fields.int("seed")
        // Not OpenAI's, but many vendors': it stays among the extras, so that they get it as it came.
        request.topK = fields.rest["top_k"]?.int
        switch fields.take("stop") {
        case nil: break
        case .string(let text)?: request.stop = [text]
        case .array(let list)?:
            for (index, element) in list.enumerated() {
                guard let text = element.string else {
                    throw RequestFault.type("stop[\(index)]", expected: "a string", got: element)
                }
                request.stop.append(text)
            }
        case let other?: throw RequestFault.type("stop", expected: ChatField.Shape.textOrArray.expected, got: other)
        }
    }

    private static func readStreamOptions(
        _ fields: inout FieldReader, into request: inout ChatRequest
    ) throws(ParleyError) {
        guard var options = try fields.object("stream_options") else { return }
        switch options.remove("include_usage") {
        case nil, .null?: break
        case .bool(let include)?: request.includeUsage = include
        case let other?:
            throw RequestFault.type("stream_options.include_usage", expected: "a boolean", got: other)
        }
        if !options.isEmpty { fields.rest["stream_options"] = .object(options) }
    }

    private static func readTools(_ fields: inout FieldReader, into request: inout ChatRequest) throws(ParleyError) {
        request.parallelToolCalls = try fields.bool("parallel_tool_calls")
        if let tools = try fields.array("tools", expected: "an array of objects") {
            for (index, tool) in tools.enumerated() {
                request.tools.append(try ToolDecoder.tool(tool, "tools[\(index)]"))
            }
        }
        if let choice = fields.take("tool_choice") {
            request.toolChoice = try ToolDecoder.choice(choice, "tool_choice")
        }
        // The deprecated pair says the same as tools; it stays among the extras so that it can be sent as it came.
        if request.tools.isEmpty, let functions = fields.rest["functions"], !functions.isNull {
            guard let list = functions.array else {
                throw RequestFault.type("functions", expected: "an array of objects", got: functions)
            }
            for (index, function) in list.enumerated() {
                request.tools.append(try ToolDecoder.function(function, "functions[\(index)]"))
            }
            if request.toolChoice == nil, let call = fields.rest["function_call"] {
                request.toolChoice = try ToolDecoder.legacyChoice(call)
            }
        }
    }

    private static func readFormat(_ fields: inout FieldReader) throws(ParleyError) -> ResponseFormat? {
        guard let format = try fields.object("response_format") else { return nil }
        guard let type = format["type"] else { throw RequestFault.missing("response_format.type") }
        guard let word = type.string else {
            throw RequestFault.type("response_format.type", expected: "a string", got: type)
        }
        switch word {
        case "text" where format.members.count == 1: return .text
        case "json_object" where format.members.count == 1: return .jsonObject
        case "json_schema": return try readSchema(format)
        default: return .opaque(.openAIChat, .object(format))
        }
    }

    private static func readSchema(_ format: JSONObject) throws(ParleyError) -> ResponseFormat {
        let path = "response_format.json_schema"
        guard let value = format["json_schema"] else { throw RequestFault.missing(path) }
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        guard let name = try fields.string("name") else { throw RequestFault.missing(path + ".name") }
        let description = try fields.string("description")
        let strict = try fields.bool("strict")
        let schema = fields.take("schema")
        guard fields.rest.isEmpty, format.members.count == 2 else { return .opaque(.openAIChat, .object(format)) }
        return .jsonSchema(name: name, description: description, schema: schema, strict: strict)
    }

    /// Checks the documented fields that are only passed on.
    private static func checkShapes(_ rest: JSONObject) throws(ParleyError) {
        for member in rest.members where !member.value.isNull {
            guard let shape = ChatField.shape(named: member.key) else { continue }
            let fits =
                switch (shape, member.value) {
                case (.string, .string), (.bool, .bool), (.integer, .number), (.decimal, .number), (.array, .array),
                    (.object, .object), (.textOrArray, .string), (.textOrArray, .array), (.textOrObject, .string),
                    (.textOrObject, .object):
                    true
                default: false
                }
            guard fits else { throw RequestFault.type(member.key, expected: shape.expected, got: member.value) }
        }
    }
}

/// Takes the members of an object one by one; what is left at the end has no neutral meaning.
struct FieldReader {
    /// What was not taken yet, in order.
    var rest: JSONObject
    private let path: String

    init(_ object: JSONObject, path: String = "") {
        self.rest = object
        self.path = path
    }

    func name(_ key: String) -> String { path.isEmpty ? key : path + "." + key }

    /// Takes a member; null is as good as none.
    mutating func take(_ key: String) -> JSONValue? {
        guard let value = rest.remove(key), !value.isNull else { return nil }
        return value
    }

    mutating func string(_ key: String) throws(ParleyError) -> String? {
        guard let value = take(key) else { return nil }
        guard let text = value.string else { throw RequestFault.type(name(key), expected: "a string", got: value) }
        return text
    }

    mutating func bool(_ key: String) throws(ParleyError) -> Bool? {
        guard let value = take(key) else { return nil }
        guard let truth = value.bool else { throw RequestFault.type(name(key), expected: "a boolean", got: value) }
        return truth
    }

    mutating func int(_ key: String) throws(ParleyError) -> Int? {
        guard let value = take(key) else { return nil }
        guard let number = value.int else { throw RequestFault.type(name(key), expected: "an integer", got: value) }
        return number
    }

    mutating func double(_ key: String) throws(ParleyError) -> Double? {
        guard let value = take(key) else { return nil }
        guard let number = value.double, number.isFinite else {
            throw RequestFault.type(name(key), expected: "a decimal", got: value)
        }
        return number
    }

    mutating func array(_ key: String, expected: String = "an array") throws(ParleyError) -> [JSONValue]? {
        guard let value = take(key) else { return nil }
        guard let list = value.array else { throw RequestFault.type(name(key), expected: expected, got: value) }
        return list
    }

    mutating func object(_ key: String) throws(ParleyError) -> JSONObject? {
        guard let value = take(key) else { return nil }
        guard let object = value.object else { throw RequestFault.type(name(key), expected: "an object", got: value) }
        return object
    }

    /// Takes a string that must be there.
    mutating func required(_ key: String) throws(ParleyError) -> String {
        guard let text = try string(key) else { throw RequestFault.missing(name(key)) }
        return text
    }
}
