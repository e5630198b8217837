// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Turns as ERNIE wants them: an odd number that alternates between the user (or a function) and the assistant, with
/// what the system says apart.
struct ErnieTurns {
    /// One turn on its way.
    private struct Turn {
        var role: String
        var text = ""
        var name: String?
        var call: ToolCall?
        var thoughts = ""

        var isAssistant: Bool { role == "assistant" }

        var value: JSONValue {
            var object: JSONObject = ["role": .string(role)]
            if let call {
                var function: JSONObject = ["name": .string(call.name)]
                function["arguments"] = .string(call.arguments.isEmpty ? "{}" : call.arguments)
                if !thoughts.isEmpty { function["thoughts"] = .string(thoughts) }
                if !text.isEmpty { object["content"] = .string(text) }
                object["function_call"] = .object(function)
            } else {
                object["content"] = .string(text)
            }
            object["name"] = name.map { .string($0) }
            return .object(object)
        }
    }

    /// What stands between two turns that cannot be joined.
    private static let filler = "OK"

    private(set) var system: [String] = []
    private(set) var dropped = DroppedNames()
    private var turns: [Turn] = []
    private var answered = 0

    var messages: [JSONValue] { turns.map(\.value) }

    /// Reads a request's turns.
    ///
    /// - Throws: `invalid` for what cannot be said.
    mutating func read(_ request: ChatRequest) throws(ParleyError) {
        for (index, message) in request.messages.enumerated() {
            let path = "messages[\(index)]"
            note(message)
            switch message.role {
            case .system, .developer:
                let text = try PlainTurn.text(of: message, path)
                if !text.isEmpty { system.append(text) }
            case .user: add(Turn(role: "user", text: try PlainTurn.text(of: message, path)))
            case .assistant: try add(assistant: message, path, results: request.messages[(index + 1)...])
            case .tool, .function: continue
            }
        }
        let results = request.messages.count { $0.role == .tool || $0.role == .function }
        dropped.add("messages[]", if: answered < results)
        guard turns.contains(where: { !$0.isAssistant }) else {
            throw RequestFault.unsupported("messages", "wants a turn of the user")
        }
        guard turns.last?.isAssistant == false else {
            throw RequestFault.unsupported("messages", "wants the user's turn to be the last one")
        }
    }

    private mutating func note(_ message: Message) {
        let isResult = message.role == .tool || message.role == .function
        dropped.add("messages[].name", if: message.name != nil && !isResult)
        dropped.add("messages[].is_error", if: message.isError)
        dropped.add("cache_control", if: !message.cacheMarks.isEmpty)
    }

    /// Adds a turn of the assistant; each of its calls is followed by its result.
    private mutating func add(
        assistant message: Message, _ path: String, results: ArraySlice<Message>
    ) throws(ParleyError) {
        let text = try PlainTurn.text(of: message, path)
        let thoughts = message.reasoning.reduce(into: "") { $0 += $1.text }
        guard !message.toolCalls.isEmpty else {
            dropped.add("messages[].reasoning_content", if: !thoughts.isEmpty)
            return add(Turn(role: "assistant", text: text))
        }
        let answers = results.enumerated().prefix { $1.role == .tool || $1.role == .function }
        var isFirst = true
        for call in message.toolCalls {
            // The deprecated form answers by the function's name.
            let found = answers.first { $1.toolCallID == call.id || ($1.toolCallID == nil && $1.name == call.name) }
            guard let (offset, answer) = found else {
                dropped.add("messages[].tool_calls")
                continue
            }
            var turn = Turn(role: "assistant", call: call)
            if isFirst { (turn.text, turn.thoughts) = (text, thoughts) }
            isFirst = false
            answered += 1
            add(turn)
            let place = "messages[\(results.startIndex + offset)]"
            add(Turn(role: "function", text: try PlainTurn.text(of: answer, place), name: call.name))
        }
        if isFirst, !text.isEmpty { add(Turn(role: "assistant", text: text)) }
    }

    /// Adds a turn so that they go on alternating.
    private mutating func add(_ turn: Turn) {
        guard let last = turns.last else {
            guard turn.role == "user" else { return dropped.add("messages[]") }
            turns.append(turn)
            return
        }
        guard last.isAssistant == turn.isAssistant else { return turns.append(turn) }
        let isPlain = last.call == nil && turn.call == nil && last.role != "function" && turn.role != "function"
        if isPlain {
            turns[turns.count - 1].text += "\n" + turn.text
        } else {
            turns.append(Turn(role: turn.isAssistant ? "user" : "assistant", text: Self.filler))
            turns.append(turn)
        }
    }
}
