// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Writes a request for Converse.
struct ConverseRequestEncoder {
    let request: ChatRequest
    let family: ModelFamily
    /// Names of fields that were left out, in OpenAI Chat's words.
    private(set) var dropped: [String] = []
    /// What the system prompt must say beside what the client said.
    private var instructions: [String] = []
    /// The names that documents have so far: none may come twice.
    var documentNames: Set<String> = []

    init(_ request: ChatRequest) {
        self.request = request
        family = ModelFamily(request.model)
    }

    mutating func drop(_ name: String) {
        if !dropped.contains(name) { dropped.append(name) }
    }

    /// The body.
    mutating func encode() throws(ParleyError) -> JSONObject {
        if let n = request.n, n > 1 {
            throw ParleyError(
                .invalid, "Invalid 'n': Amazon Bedrock gives one choice only. Leave 'n' out or set it to 1.",
                code: "unsupported_value", parameter: "n")
        }
        let turns = try encodeTurns()
        let tools = try encodeTools(turns)
        let output = try encodeFormat()
        var additional = JSONObject()
        let inference = encodeSampling(&additional)
        let system = try encodeSystem()
        var body: JSONObject = ["messages": .array(turns.map(\.json))]
        if !system.isEmpty { body["system"] = .array(system) }
        if !inference.isEmpty { body["inferenceConfig"] = .object(inference) }
        if let tools { body["toolConfig"] = .object(tools) }
        if let output { body["outputConfig"] = output }
        putExtras(into: &body, &additional)
        if !additional.isEmpty { body["additionalModelRequestFields"] = .object(additional) }
        return body
    }

    // MARK: - Fields of Bedrock's own

    /// Converse's fields that no other API has: they are sent whoever says them, since a client of any dialect and the
    /// configuration's `params` have no other way to.
    private static let ownFields: Set<String> = [
        "guardrailConfig", "additionalModelRequestFields", "additionalModelResponseFieldPaths", "performanceConfig",
        "requestMetadata", "serviceTier", "promptVariables",
    ]

    /// OpenAI's fields that are in the neutral form too.
    private static let carried: Set<String> = ["functions", "function_call", "stream_options"]

    private mutating func putExtras(into body: inout JSONObject, _ additional: inout JSONObject) {
        for member in request.extras.inChatWords(dropped: &dropped).members {
            if member.key == "additionalModelRequestFields", let fields = member.value.object {
                for field in fields.members { additional[field.key] = field.value }
            } else if Self.ownFields.contains(member.key) || request.extras.dialect == .bedrock {
                if body[member.key] == nil { body[member.key] = member.value }
            } else if !member.value.isNull, !Self.carried.contains(member.key) {
                drop(member.key)
            }
        }
    }

    // MARK: - System

    /// Every system and developer turn, wherever it stood: Converse has one place for them.
    private mutating func encodeSystem() throws(ParleyError) -> [JSONValue] {
        var blocks: [JSONValue] = []
        for (index, message) in request.messages.enumerated() where message.isSystem {
            for (place, part) in message.content.enumerated() {
                switch part {
                case .text(let text), .refusal(let text):
                    if !text.isBlank { blocks.append(["text": .string(text)]) }
                case .opaque(.bedrock, let block): blocks.append(block)
                default: throw Self.noPart("messages[\(index)].content[\(place)]", "A system prompt is text only.")
                }
                if let mark = message.cacheMarks[place], !blocks.isEmpty {
                    if let point = cachePoint(mark) { blocks.append(point) }
                }
            }
        }
        return blocks + instructions.map { ["text": .string($0)] }
    }

    /// The block that ends a cached prefix; nil where the model has none.
    mutating func cachePoint(_ mark: CacheMark) -> JSONValue? {
        guard family.hasCachePoints else {
            drop("cache_control")
            return nil
        }
        var point: JSONObject = ["type": "default"]
        if let ttl = mark.ttl, family.mayBeClaude { point["ttl"] = .string(ttl) }
        return ["cachePoint": .object(point)]
    }

    static func noPart(_ path: String, _ why: String) -> ParleyError {
        ParleyError(.invalid, "Invalid value for '\(path)': \(why)", code: "unsupported_value", parameter: path)
    }

    // MARK: - Tools

    /// The tools and the choice among them; nil where there are none.
    private mutating func encodeTools(_ turns: [ConverseTurn]) throws(ParleyError) -> JSONObject? {
        if request.parallelToolCalls == false { drop("parallel_tool_calls") }
        var tools: [JSONValue] = []
        let isForbidden = request.toolChoice == ToolChoice.none
        let isNeeded = turns.contains { turn in
            turn.blocks.contains { $0["toolUse"] != nil || $0["toolResult"] != nil }
        }
        if !isForbidden || isNeeded {
            for (index, tool) in request.tools.enumerated() {
                tools.append(try encode(tool, "tools[\(index)]"))
                if let mark = tool.cacheMark {
                    // Nova caches turns and the system prompt only.
                    if family.vendor == .nova {
                        drop("cache_control")
                    } else if let point = cachePoint(mark) {
                        tools.append(point)
                    }
                }
            }
        }
        // A history with calls is refused without tools.
        if isNeeded, request.tools.isEmpty { tools = historicTools() }
        guard !tools.isEmpty else { return nil }
        var config: JSONObject = ["tools": .array(tools)]
        if isForbidden || request.tools.isEmpty {
            instructions.append("Do not call any tool in your next answer.")
        } else if let choice = encodeChoice() {
            config["toolChoice"] = choice
        }
        return config
    }

    private func encode(_ tool: Tool, _ path: String) throws(ParleyError) -> JSONValue {
        if let (dialect, value) = tool.opaque {
            if dialect == .bedrock { return value }
            throw ParleyError(
                .invalid, "The tool '\(tool.name.prefix(64))' is of a kind that Amazon Bedrock does not have.",
                code: "unsupported_value", parameter: path)
        }
        var spec: JSONObject = ["name": .string(tool.name)]
        if let description = tool.description, !description.isBlank { spec["description"] = .string(description) }
        var schema = tool.parameters?.object ?? [:]
        if schema["type"] == nil { schema["type"] = "object" }
        if schema["properties"] == nil { schema["properties"] = [:] }
        spec["inputSchema"] = ["json": .object(schema)]
        if tool.strict == true, family.hasStructuredOutput { spec["strict"] = true }
        return ["toolSpec": .object(spec)]
    }

    /// The tools that earlier turns called, as far as those turns tell.
    private func historicTools() -> [JSONValue] {
        var names: [String] = []
        for call in request.messages.flatMap(\.toolCalls) where !names.contains(call.name) { names.append(call.name) }
        if names.isEmpty { names = ["unknown"] }
        return names.map { name in
            let schema: JSONValue = ["type": "object", "properties": [:]]
            return ["toolSpec": ["name": .string(name), "inputSchema": ["json": schema]]]
        }
    }

    private mutating func encodeChoice() -> JSONValue? {
        switch request.toolChoice {
        case nil, .auto?, ToolChoice.none?: return nil
        case .opaque(.bedrock, let value)?: return value
        case .opaque?: break
        case .required? where family.takesToolChoice: return ["any": [:]]
        case .named(let name)? where family.takesToolChoice: return ["tool": ["name": .string(name)]]
        case .required?, .named?: break
        }
        drop("tool_choice")
        return nil
    }

    // MARK: - Structured output

    private mutating func encodeFormat() throws(ParleyError) -> JSONValue? {
        switch request.responseFormat {
        case nil, .text?: return nil
        case .jsonObject?:
            instructions.append("Answer with a JSON object and nothing else: no prose and no code fence around it.")
            return nil
        case .jsonSchema(let name, let description, let schema, _)?:
            guard let schema else {
                instructions.append("Answer with JSON and nothing else: no prose and no code fence around it.")
                return nil
            }
            guard family.hasStructuredOutput else {
                instructions.append(
                    "Answer with JSON that follows this JSON Schema and nothing else: no prose and no code fence "
                        + "around it.\n" + JSON.text(schema))
                return nil
            }
            var definition: JSONObject = ["schema": .string(JSON.text(schema)), "name": .string(name)]
            if let description { definition["description"] = .string(description) }
            return [
                "textFormat": ["type": "json_schema", "structure": ["jsonSchema": .object(definition)]]
            ]
        case .opaque(.bedrock, let value)?: return value
        case .opaque?:
            throw ParleyError(
                .invalid, "This response format is one that Amazon Bedrock does not have.", code: "unsupported_value",
                parameter: "response_format")
        }
    }
}

extension Message {
    /// Whether it belongs to the system prompt.
    var isSystem: Bool { role == .system || role == .developer }
}

extension String {
    /// Whether there is nothing to read in it: Converse refuses such text.
    var isBlank: Bool { allSatisfy(\.isWhitespace) }
}
