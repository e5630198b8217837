// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

extension CohereRequestEncoder {
    /// Writes one turn.
    mutating func encode(_ message: Message, _ path: String) throws(ParleyError) -> JSONObject {
        var object: JSONObject = ["role": .string(Self.word(for: message.role))]
        switch message.role {
        case .tool, .function:
            if let id = message.toolCallID { object["tool_call_id"] = .string(id) }
            dropped.add("messages[].is_error", if: message.isError)
        case .assistant: putPlan(of: message, into: &object)
        case .system, .developer, .user: break
        }
        // A result may say the name of its tool, which its call has said.
        let isResult = message.role == .tool || message.role == .function
        dropped.add("messages[].name", if: message.name != nil && !isResult)
        dropped.add("cache_control", if: !message.cacheMarks.isEmpty)
        if let content = try content(of: message, path) { object["content"] = content }
        return object
    }

    private static func word(for role: Message.Role) -> String {
        switch role {
        case .system, .developer: "system"
        case .tool, .function: "tool"
        case .user, .assistant: role.rawValue
        }
    }

    /// The calls of a turn, and what led to them: Cohere wants the plan back with the calls.
    private mutating func putPlan(of message: Message, into object: inout JSONObject) {
        let thoughts = message.reasoning.reduce(into: "") { $0 += $1.text }
        guard !message.toolCalls.isEmpty else {
            dropped.add("messages[].reasoning_content", if: !thoughts.isEmpty)
            return
        }
        if !thoughts.isEmpty { object["tool_plan"] = .string(thoughts) }
        object["tool_calls"] = .array(
            message.toolCalls.map { call in
                let arguments = call.arguments.isEmpty ? "{}" : call.arguments
                return [
                    "id": .string(call.id), "type": "function",
                    "function": ["name": .string(call.name), "arguments": .string(arguments)],
                ]
            })
    }

    /// The content; nil where a turn that calls tools says nothing besides.
    private func content(of message: Message, _ path: String) throws(ParleyError) -> JSONValue? {
        var parts: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            parts.append(try encode(part, "\(path).content[\(index)]", of: message.role))
        }
        if let refusal = message.refusal { parts.append(Self.text(refusal)) }
        if message.contentIsText, parts.count == 1, let text = parts[0]["text"] {
            if text == "", !message.toolCalls.isEmpty { return nil }
            return text
        }
        if parts.isEmpty { return message.toolCalls.isEmpty ? "" : nil }
        return .array(parts)
    }

    private static func text(_ text: String) -> JSONValue { ["type": "text", "text": .string(text)] }

    private func encode(_ part: Part, _ path: String, of role: Message.Role) throws(ParleyError) -> JSONValue {
        switch part {
        case .text(let text), .refusal(let text): return Self.text(text)
        case .image(let url, let detail):
            guard role == .user else {
                throw RequestFault.unsupported("\(path).image_url", "takes images in user turns only")
            }
            var image: JSONObject = ["url": .string(url)]
            if let detail { image["detail"] = .string(detail) }
            return ["type": "image_url", "image_url": .object(image)]
        case .audio: throw RequestFault.unsupported("\(path).input_audio", "takes no audio")
        case .file(let file):
            guard let text = file.plainText else {
                throw RequestFault.unsupported("\(path).file", "takes files of text only")
            }
            guard role == .tool else { return Self.text(text) }
            // A tool's documents can be cited.
            var data: JSONObject = ["text": .string(text)]
            if let name = file.name { data["title"] = .string(name) }
            return ["type": "document", "document": ["data": .object(data)]]
        case .opaque(.cohere, let value): return value
        case .opaque: throw RequestFault.unsupported(path, "has no such content part")
        }
    }
}
