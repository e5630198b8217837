// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// A turn of a Converse request.
struct ConverseTurn {
    /// Whether the user speaks, else the assistant.
    var isUser: Bool
    var blocks: [JSONValue] = []
    /// How many of the blocks, at the front, belong to results of tools.
    var results = 0

    var json: JSONValue { ["role": isUser ? "user" : "assistant", "content": .array(blocks)] }
}

extension ConverseRequestEncoder {
    /// The turns: they alternate, the user speaks first, and the results of tools stand before any text.
    mutating func encodeTurns() throws(ParleyError) -> [ConverseTurn] {
        var turns: [ConverseTurn] = []
        for (index, message) in request.messages.enumerated() where !message.isSystem {
            if message.name != nil, message.role == .user || message.role == .assistant { drop("messages[].name") }
            let path = "messages[\(index)]"
            switch message.role {
            case .system, .developer: break
            case .user: Self.append(try contentBlocks(message, path), isUser: true, to: &turns)
            case .assistant: Self.append(try assistantBlocks(message, path), isUser: false, to: &turns)
            case .tool, .function:
                let blocks = try resultBlocks(message, path)
                if turns.last?.isUser != true { turns.append(ConverseTurn(isUser: true)) }
                let last = turns.count - 1
                turns[last].blocks.insert(contentsOf: blocks, at: turns[last].results)
                turns[last].results += blocks.count
            }
        }
        guard !turns.isEmpty else {
            throw ParleyError(
                .invalid, "Invalid 'messages': Amazon Bedrock needs at least one turn of the user that is not blank.",
                code: "unsupported_value", parameter: "messages")
        }
        if turns.first?.isUser == false {
            turns.insert(ConverseTurn(isUser: true, blocks: [["text": "Please begin."]]), at: 0)
        }
        for index in turns.indices where turns[index].needsText {
            turns[index].blocks.append(["text": "See the document."])
        }
        Self.trimPrefill(&turns)
        return turns
    }

    private static func append(_ blocks: [JSONValue], isUser: Bool, to turns: inout [ConverseTurn]) {
        guard !blocks.isEmpty else { return }
        if turns.last?.isUser != isUser { turns.append(ConverseTurn(isUser: isUser)) }
        turns[turns.count - 1].blocks += blocks
    }

    /// The beginning of an answer that the model is to continue must not end in white space.
    private static func trimPrefill(_ turns: inout [ConverseTurn]) {
        guard let turn = turns.last, !turn.isUser, let text = turn.blocks.last?["text"]?.string else { return }
        var trimmed = text[...]
        while trimmed.last?.isWhitespace == true { trimmed.removeLast() }
        turns[turns.count - 1].blocks[turn.blocks.count - 1] = ["text": .string(String(trimmed))]
    }

    private mutating func contentBlocks(_ message: Message, _ path: String) throws(ParleyError) -> [JSONValue] {
        var blocks: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            if let block = try block(part, "\(path).content[\(index)]") { blocks.append(block) }
            if let mark = message.cacheMarks[index], !blocks.isEmpty, let point = cachePoint(mark) {
                blocks.append(point)
            }
        }
        return blocks
    }

    private mutating func assistantBlocks(_ message: Message, _ path: String) throws(ParleyError) -> [JSONValue] {
        var blocks: [JSONValue] = []
        for reasoning in message.reasoning {
            // Claude refuses reasoning that it did not sign; no other model wants any back.
            if family.mayBeClaude, reasoning.isClaudes {
                blocks.append(["reasoningContent": ConverseWords.reasoning(reasoning)])
            } else if !reasoning.text.isEmpty || reasoning.signature != nil || reasoning.opaque != nil {
                drop("messages[].reasoning_content")
            }
        }
        blocks += try contentBlocks(message, path)
        if let refusal = message.refusal, !refusal.isBlank { blocks.append(["text": .string(refusal)]) }
        for (index, call) in message.toolCalls.enumerated() {
            blocks.append(try toolUse(call, "\(path).tool_calls[\(index)].function.arguments"))
        }
        return blocks
    }

    private func toolUse(_ call: ToolCall, _ path: String) throws(ParleyError) -> JSONValue {
        let input: JSONValue
        if call.arguments.isBlank {
            input = [:]
        } else if let value = try? JSON.parse(call.arguments), case .object = value {
            input = value
        } else {
            throw Self.noPart(path, "Amazon Bedrock takes a call's arguments as a JSON object only.")
        }
        return [
            "toolUse": ["toolUseId": .string(Self.callID(call.id)), "name": .string(call.name), "input": input]
        ]
    }

    /// The id as it is where Bedrock takes it, else the same other one each time.
    static func callID(_ id: String) -> String {
        let isFine = id.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
        }
        if isFine, (1...64).contains(id.utf8.count) { return id }
        var hash = StableHash()
        hash.combine(id)
        return "tooluse_" + hash.letters(11)
    }

    // MARK: - Results of tools

    private mutating func resultBlocks(_ message: Message, _ path: String) throws(ParleyError) -> [JSONValue] {
        guard let id = message.toolCallID else {
            throw Self.noPart(path + ".tool_call_id", "a tool's result must say which call it answers.")
        }
        var content: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            let place = "\(path).content[\(index)]"
            if case .audio = part { throw Self.noPart(place, "a tool's result cannot have audio.") }
            if let block = try block(part, place) { content.append(block) }
        }
        if message.isError, !family.takesResultStatus { content.insert(["text": "The tool failed:"], at: 0) }
        if family.vendor == .mistral { content = Self.asJSON(content) }
        // Blank text is refused, and a result without any content says no less.
        if content.isEmpty { content = [["text": "(no output)"]] }
        var result: JSONObject = ["toolUseId": .string(Self.callID(id)), "content": .array(content)]
        if message.isError, family.takesResultStatus { result["status"] = "error" }
        var blocks: [JSONValue] = [["toolResult": .object(result)]]
        if let mark = message.cacheMarks.values.first, let point = cachePoint(mark) { blocks.append(point) }
        return blocks
    }

    /// Mistral's models take results as JSON objects only.
    private static func asJSON(_ content: [JSONValue]) -> [JSONValue] {
        content.map { block in
            guard let text = block["text"]?.string else { return block }
            if let value = try? JSON.parse(text), case .object = value { return ["json": value] }
            return ["json": ["result": .string(text)]]
        }
    }
}

extension ConverseTurn {
    /// Whether it has a document of the user's and no word about it, which Bedrock refuses.
    fileprivate var needsText: Bool {
        isUser && blocks.contains { $0["document"] != nil } && !blocks.contains { $0["text"] != nil }
    }
}
