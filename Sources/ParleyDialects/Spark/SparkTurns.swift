// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Turns that alternate, as Spark wants them: system, where the version has it, then user, assistant, user.
private struct SparkTurns {
    private(set) var texts: [(role: String, text: String)] = []

    /// Appends what a side says; what it says in a row is one turn.
    mutating func add(_ role: String, _ text: String) {
        guard !text.isEmpty else { return }
        if texts.last?.role == role {
            texts[texts.count - 1].text += "\n" + text
            return
        }
        let isFirst = texts.isEmpty || texts.last?.role == "system"
        if role == "assistant", isFirst { texts.append(("user", "Please begin.")) }
        texts.append((role, text))
    }

    var json: [JSONValue] { texts.map { ["role": .string($0.role), "content": .string($0.text)] } }
}

extension SparkRequestEncoder {
    /// The conversation.
    mutating func messages() throws(ParleyError) -> [JSONValue] {
        var turns = SparkTurns()
        let instruction = try self.instruction()
        var system: [String] = []
        var rest = request.messages[...]
        while let message = rest.first, message.isSystem {
            system.append(try self.text(of: message, "messages[\(rest.startIndex)]"))
            rest.removeFirst()
        }
        if let instruction { system.append(instruction) }
        say(system.filter { !$0.isEmpty }.joined(separator: "\n"), to: &turns)
        for index in rest.indices {
            let message = rest[index]
            let text = try self.text(of: message, "messages[\(index)]")
            switch message.role {
            case .system, .developer: turns.add("user", Self.told(text))
            case .user: turns.add("user", text)
            case .assistant:
                turns.add("assistant", text)
                for call in message.toolCalls {
                    turns.add("assistant", "I call the function \(call.name) with \(Self.arguments(of: call)).")
                }
            case .tool, .function: turns.add("user", result(text, of: message))
            }
        }
        guard !turns.texts.isEmpty else {
            throw ParleyError(
                .invalid, "Invalid 'messages': Spark needs at least one turn with text.", code: "unsupported_value",
                parameter: "messages")
        }
        return turns.json
    }

    /// The system's turn; a version without that role is told, and agrees (as openai-style-api did it).
    private func say(_ system: String, to turns: inout SparkTurns) {
        guard !system.isEmpty else { return }
        if model.hasSystemRole {
            turns.add("system", system)
        } else {
            turns.add("user", Self.told(system))
            turns.add("assistant", "ok")
        }
    }

    private static func told(_ system: String) -> String {
        system.isEmpty ? "" : "You need to follow the system settings:\(system)"
    }

    private static func arguments(of call: ToolCall) -> String { call.arguments.isEmpty ? "{}" : call.arguments }

    /// A tool's result in words: there is no role for it.
    private func result(_ text: String, of message: Message) -> String {
        let name = request.toolName(ofCall: message.toolCallID ?? "") ?? message.name
        let function = name.map { "The function \($0)" } ?? "The function"
        return message.isError ? "\(function) failed: \(text)" : "\(function) returned: \(text)"
    }

    /// What stands for a format of the answer.
    private func instruction() throws(ParleyError) -> String? {
        switch request.responseFormat {
        case nil, .text?: return nil
        case .jsonObject?, .jsonSchema(_, _, nil, _)?:
            return "Answer with one JSON object and nothing else: no other text, no code fence."
        case .jsonSchema(_, _, let schema?, _)?:
            return "Answer with one JSON value and nothing else: no other text, no code fence. It must be valid "
                + "against this JSON Schema:\n\(JSON.text(schema))"
        case .opaque?: throw RequestFault.unsupportedFormat
        }
    }

    private mutating func text(of message: Message, _ path: String) throws(ParleyError) -> String {
        var texts: [String] = []
        for (index, part) in message.content.enumerated() {
            let path = "\(path).content[\(index)]"
            switch part {
            case .text(let text), .refusal(let text): texts.append(text)
            case .image: throw RequestFault.unsupported("\(path).image_url", "takes no images")
            case .audio: throw RequestFault.unsupported("\(path).input_audio", "takes no audio")
            case .file(let file):
                guard let text = file.plainText else {
                    throw RequestFault.unsupported("\(path).file", "takes files of text only")
                }
                texts.append(text)
            case .opaque: throw RequestFault.unsupported(path, "has no such content part")
            }
        }
        if let refusal = message.refusal { texts.append(refusal) }
        let isResult = message.role == .tool || message.role == .function
        dropped.add("messages[].name", if: message.name != nil && !isResult)
        dropped.add("messages[].reasoning_content", if: message.reasoning.contains { !$0.text.isEmpty })
        dropped.add("cache_control", if: !message.cacheMarks.isEmpty)
        return texts.joined(separator: "\n")
    }
}
