// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

extension DashScopeRequestEncoder {
    /// Writes one turn.
    mutating func encode(
        _ message: Message, _ path: String, in request: ChatRequest
    ) throws(ParleyError) -> JSONObject {
        var object: JSONObject = ["role": .string(Self.word(for: message.role))]
        object["content"] = try content(of: message, path)
        if !message.toolCalls.isEmpty {
            object["tool_calls"] = .array(
                message.toolCalls.enumerated().map { index, call in
                    let arguments = call.arguments.isEmpty ? "{}" : call.arguments
                    return [
                        "index": .int(index), "id": .string(call.id), "type": "function",
                        "function": ["name": .string(call.name), "arguments": .string(arguments)],
                    ]
                })
        }
        if message.role == .tool || message.role == .function {
            let id = message.toolCallID ?? ""
            if !id.isEmpty { object["tool_call_id"] = .string(id) }
            if let name = request.toolName(ofCall: id) ?? message.name { object["name"] = .string(name) }
            dropped.add("messages[].is_error", if: message.isError)
        } else {
            dropped.add("messages[].name", if: message.name != nil)
        }
        dropped.add("messages[].reasoning_content", if: message.reasoning.contains { !$0.text.isEmpty })
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

    /// The content: text, or a list of parts where the API is the one for images and audio.
    private mutating func content(of message: Message, _ path: String) throws(ParleyError) -> JSONValue {
        guard isMultimodal else {
            noteDetails(message)
            return .string(try PlainTurn.text(of: message, path))
        }
        var parts: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            parts.append(try encode(part, "\(path).content[\(index)]", of: message.role))
        }
        if let refusal = message.refusal { parts.append(["text": .string(refusal)]) }
        noteDetails(message)
        return .array(parts)
    }

    private mutating func noteDetails(_ message: Message) {
        for case .image(_, let detail?) in message.content { dropped.add("image_url.detail", if: detail != "auto") }
    }

    private func encode(_ part: Part, _ path: String, of role: Message.Role) throws(ParleyError) -> JSONValue {
        switch part {
        case .image(let url, _):
            guard role == .user else {
                throw RequestFault.unsupported("\(path).image_url", "takes images in user turns only")
            }
            return ["image": .string(url)]
        case .audio(let data, let format):
            guard role == .user else {
                throw RequestFault.unsupported("\(path).input_audio", "takes audio in user turns only")
            }
            return ["audio": .string(DataURL(mediaType: MediaType.audio(format), base64: data).text)]
        case .text, .refusal, .file, .opaque: return ["text": .string(try PlainTurn.text(of: part, path))]
        }
    }
}
