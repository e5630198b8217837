// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Writes the turns of a request: the system prompt apart, turns of one role merged, results before anything else.
struct AnthropicTurnEncoder {
    private struct Turn {
        var role: String
        /// Tool results, which come first.
        var results: [JSONValue] = []
        var blocks: [JSONValue] = []
        /// Whether it is one message that was plain text.
        var isText = false
        var isSystem = false
    }

    private var systemBlocks: [JSONValue] = []
    private var systemIsText = true
    private var turns: [Turn] = []
    /// Fields that were left out.
    private(set) var dropped: [String] = []

    mutating func drop(_ name: String) {
        if !dropped.contains(name) { dropped.append(name) }
    }

    mutating func encode(_ messages: [Message]) throws(ParleyError) {
        for (index, message) in messages.enumerated() { try encode(message, "messages[\(index)]") }
    }

    private mutating func encode(_ message: Message, _ path: String) throws(ParleyError) {
        // The name of a result is that of its call, which is there already.
        if message.name != nil, message.role != .tool, message.role != .function { drop("messages[].name") }
        switch message.role {
        case .system, .developer: try encode(system: message, path)
        case .user:
            let blocks = try blocks(of: message, path)
            add(blocks, to: "user", isText: message.contentIsText && message.cacheMarks.isEmpty)
        case .assistant:
            let blocks = try assistant(message, path)
            add(blocks, to: "assistant", isText: message.contentIsText && message.isPlain)
        case .tool, .function: try encode(result: message, path)
        }
    }

    private mutating func encode(system message: Message, _ path: String) throws(ParleyError) {
        let blocks = try blocks(of: message, path)
        guard turns.isEmpty else { return add(blocks, to: "user", isText: false) }
        systemIsText = systemIsText && message.contentIsText && message.cacheMarks.isEmpty
        systemBlocks += blocks
    }

    private mutating func add(_ blocks: [JSONValue], to role: String, isText: Bool) {
        guard !blocks.isEmpty else { return }
        if let last = turns.indices.last, turns[last].role == role {
            turns[last].blocks += blocks
            turns[last].isText = false
        } else {
            turns.append(Turn(role: role, blocks: blocks, isText: isText))
        }
    }

    private mutating func encode(result message: Message, _ path: String) throws(ParleyError) {
        guard let id = message.toolCallID else { throw RequestFault.missing(path + ".tool_call_id") }
        var block: JSONObject = ["type": "tool_result", "tool_use_id": .string(Self.toolID(id))]
        let last = max(0, message.content.count - 1)
        var inner = message
        inner.cacheMarks[last] = nil
        let blocks = try blocks(of: inner, path)
        if message.contentIsText, blocks.count == 1, let text = blocks.first?["text"] {
            block["content"] = text
        } else if !blocks.isEmpty {
            block["content"] = .array(blocks)
        }
        if message.isError { block["is_error"] = true }
        if let mark = message.cacheMarks[last] { block["cache_control"] = .object(CacheControl.object(mark)) }
        for member in message.extras.of(.anthropic).members where member.key != AnthropicTurnDecoder.partExtras {
            block.members.append(member)
        }
        if let last = turns.indices.last, turns[last].role == "user" {
            turns[last].results.append(.object(block))
            turns[last].isText = false
        } else {
            turns.append(Turn(role: "user", results: [.object(block)]))
        }
    }

    // MARK: - The whole

    /// The `system` member: text where all of it was, else blocks.
    func system(adding instruction: String?) -> JSONValue? {
        var blocks = systemBlocks
        if let instruction { blocks.append(["type": "text", "text": .string(instruction)]) }
        guard !blocks.isEmpty else { return nil }
        guard systemIsText else { return .array(blocks) }
        return .string(blocks.compactMap { $0["text"]?.string }.joined(separator: "\n\n"))
    }

    /// The `messages` member.
    func messages() throws(ParleyError) -> [JSONValue] {
        var turns = turns
        if let last = turns.indices.last, turns[last].role == "assistant" {
            // White space at the end of what the model is to go on from is refused.
            Self.trimEnd(of: &turns[last].blocks)
            if turns[last].blocks.isEmpty { turns.removeLast() }
        }
        guard let first = turns.first else { throw RequestFault.empty("messages") }
        if first.role == "assistant" {
            turns.insert(Turn(role: "user", blocks: [["type": "text", "text": "Begin."]], isText: true), at: 0)
        }
        return turns.map { turn in
            let blocks = turn.results + turn.blocks
            if turn.isText, blocks.count == 1, let text = blocks.first?["text"] {
                return ["role": .string(turn.role), "content": text]
            }
            return ["role": .string(turn.role), "content": .array(blocks)]
        }
    }

    private static func trimEnd(of blocks: inout [JSONValue]) {
        guard let last = blocks.last, case .object(var object) = last, object["type"] == "text",
            var text = object["text"]?.string, text.last?.isWhitespace == true
        else { return }
        while text.last?.isWhitespace == true { text.removeLast() }
        blocks.removeLast()
        guard !text.isEmpty else { return }
        object["text"] = .string(text)
        blocks.append(.object(object))
    }

    // MARK: - Words

    static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// The id of a call as the API takes it: the same for the call and for its result.
    static func toolID(_ id: String) -> String {
        if !id.isEmpty, id.utf8.count <= 256, id.utf8.allSatisfy(isNameByte) { return id }
        var hash = StableHash()
        hash.combine(id)
        return "toolu_" + hash.letters(11)
    }

    /// Whether Claude gave this reasoning and will know it again.
    static func isOwn(_ reasoning: Reasoning) -> Bool {
        guard reasoning.origin == .anthropic else { return false }
        return reasoning.signature?.isEmpty == false || reasoning.opaque?["data"]?.string != nil
    }
}

extension Message {
    /// Whether it says nothing but its text.
    fileprivate var isPlain: Bool {
        reasoning.isEmpty && toolCalls.isEmpty && refusal == nil && cacheMarks.isEmpty
    }
}
