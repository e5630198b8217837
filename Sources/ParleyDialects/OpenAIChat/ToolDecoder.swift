// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads tools, tool choices and the tool calls of earlier turns.
enum ToolDecoder {
    /// The member of a tool call's extras that marks the deprecated single call, whose wire form has no id.
    static let legacyMark = "function_call"

    static func tool(_ value: JSONValue, _ path: String) throws(ParleyError) -> Tool {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        guard let type = object["type"] else { throw RequestFault.missing(path + ".type") }
        guard let word = type.string else { throw RequestFault.type(path + ".type", expected: "a string", got: type) }
        guard word == "function" else { return try foreign(object, word, path) }
        guard let inner = object["function"] else { throw RequestFault.missing(path + ".function") }
        var tool = try function(inner, path + ".function")
        var others = object
        others["type"] = nil
        others["function"] = nil
        if !others.isEmpty {
            if let nested = tool.extras.fields["function"] { others["function"] = nested }
            tool.extras = Extras(.openAIChat, others)
        }
        tool.cacheMark = ChatCacheControl.mark(others[ChatCacheControl.field]) ?? tool.cacheMark
        return tool
    }

    /// A function's definition; fields beside the documented ones go to `extras` under `function`.
    static func function(_ value: JSONValue, _ path: String) throws(ParleyError) -> Tool {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        var tool = Tool(name: try fields.required("name"))
        tool.description = try fields.string("description")
        if let parameters = try fields.object("parameters") { tool.parameters = .object(parameters) }
        tool.strict = try fields.bool("strict")
        fields.rest.members.removeAll { $0.value.isNull }
        tool.cacheMark = ChatCacheControl.mark(fields.rest[ChatCacheControl.field])
        if !fields.rest.isEmpty { tool.extras = Extras(.openAIChat, ["function": .object(fields.rest)]) }
        return tool
    }

    /// A custom tool or a vendor's own kind, kept whole.
    private static func foreign(_ object: JSONObject, _ type: String, _ path: String) throws(ParleyError) -> Tool {
        var tool = Tool(name: type)
        if type == "custom" {
            guard let custom = object["custom"]?.object else { throw RequestFault.missing(path + ".custom") }
            var fields = FieldReader(custom, path: path + ".custom")
            tool.name = try fields.required("name")
            tool.description = try fields.string("description")
        }
        tool.opaque = (.openAIChat, .object(object))
        return tool
    }

    static func choice(_ value: JSONValue, _ path: String) throws(ParleyError) -> ToolChoice {
        switch value {
        case .string("auto"): return .auto
        case .string("none"): return .none
        // `any` is what Mistral's own clients say.
        case .string("required"), .string("any"): return .required
        case .string(let word):
            throw RequestFault.value(path, word, supported: ["none", "auto", "required"])
        case .object(let object):
            guard let type = object["type"] else { throw RequestFault.missing(path + ".type") }
            guard let word = type.string else {
                throw RequestFault.type(path + ".type", expected: "a string", got: type)
            }
            guard word == "function" else { return .opaque(.openAIChat, value) }
            guard let function = object["function"]?.object else { throw RequestFault.missing(path + ".function") }
            var fields = FieldReader(function, path: path + ".function")
            return .named(try fields.required("name"))
        default:
            throw RequestFault.type(path, expected: ChatField.Shape.textOrObject.expected, got: value)
        }
    }

    static func legacyChoice(_ value: JSONValue) throws(ParleyError) -> ToolChoice? {
        switch value {
        case .null: return nil
        case .string("auto"): return .auto
        case .string("none"): return ToolChoice.none
        case .string(let word): throw RequestFault.value("function_call", word, supported: ["none", "auto"])
        case .object(let object):
            var fields = FieldReader(object, path: "function_call")
            return .named(try fields.required("name"))
        default:
            throw RequestFault.type("function_call", expected: ChatField.Shape.textOrObject.expected, got: value)
        }
    }

    static func call(_ value: JSONValue, _ path: String) throws(ParleyError) -> ToolCall {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(object, path: path)
        let id = try fields.required("id")
        let type = try fields.string("type") ?? "function"
        guard type == "function" || type == "custom" else {
            throw RequestFault.value(path + ".type", type, supported: ["function", "custom"])
        }
        guard let inner = try fields.object(type) else { throw RequestFault.missing(path + "." + type) }
        var innerFields = FieldReader(inner, path: path + "." + type)
        let name = try innerFields.required("name")
        let arguments = try innerFields.required(type == "custom" ? "input" : "arguments")
        var call = ToolCall(id: id, name: name, arguments: arguments)
        call.isCustom = type == "custom"
        var rest = fields.rest
        if !innerFields.rest.isEmpty { rest[type] = .object(innerFields.rest) }
        call.take(extras: rest)
        return call
    }

    /// The deprecated single call of an assistant turn.
    static func legacyCall(_ value: JSONObject, id: String, _ path: String) throws(ParleyError) -> ToolCall {
        var fields = FieldReader(value, path: path)
        let name = try fields.required("name")
        var call = ToolCall(id: id, name: name, arguments: try fields.string("arguments") ?? "")
        call.extras = Extras(.openAIChat, [legacyMark: true])
        return call
    }
}

extension ToolCall {
    /// Whether this is the deprecated `function_call`, which has no id on the wire.
    var isLegacy: Bool { extras.of(.openAIChat)[ToolDecoder.legacyMark] == .bool(true) }
}
