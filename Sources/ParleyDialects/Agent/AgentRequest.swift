// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// A conversation on its way to an agent: who said what, as content blocks of the Agent Client Protocol.
///
/// An agent remembers what was said in its session, so a prompt is either the whole conversation or only what is new.
public struct AgentRequest: Sendable, Equatable {
    /// What one speaker said.
    public struct Turn: Sendable, Equatable {
        /// `system`, `user`, `assistant` or `tool`.
        public var role: String
        /// Content blocks.
        public var blocks: [JSONValue]

        /// A turn.
        public init(_ role: String, _ blocks: [JSONValue]) {
            self.role = role
            self.blocks = blocks
        }

        /// All that is said in words.
        public var text: String {
            blocks.reduce(into: "") { text, block in text += block["text"]?.string ?? "" }
        }
    }

    /// A content block that not every agent takes.
    public enum Need: String, Sendable, CaseIterable {
        case image, audio
    }

    /// The model the client asked for.
    public var model: String
    /// The turns, in order.
    public var turns: [Turn]

    /// A conversation.
    public init(model: String, turns: [Turn]) {
        self.model = model
        self.turns = turns
    }

    /// Reads what `body` wrote.
    ///
    /// - Throws: `internalError` where it is something else.
    public init(_ body: ByteBuffer) throws(ParleyError) {
        guard let value = try? JSON.parse(body), let list = value["turns"]?.array else {
            throw ParleyError(.internalError, "The request to the agent is not one.")
        }
        model = value["model"]?.string ?? ""
        turns = list.map { Turn($0["role"]?.string ?? "user", $0["content"]?.array ?? []) }
    }

    /// The conversation as JSON.
    public var body: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON([
            "model": .string(model),
            "turns": .array(turns.map { ["role": .string($0.role), "content": .array($0.blocks)] }),
        ])
        return buffer
    }

    /// What the agent must be able to read for the turns from `start` on.
    public func needs(from start: Int) -> Set<Need> {
        var needs: Set<Need> = []
        for turn in turns.dropFirst(start) {
            for block in turn.blocks {
                if let need = block["type"]?.string.flatMap(Need.init(rawValue:)) { needs.insert(need) }
            }
        }
        return needs
    }

    /// The prompt that says the turns from `start` on: the content blocks of `session/prompt`.
    ///
    /// Each turn begins with who speaks, since a prompt has one speaker; a user's turn alone needs no such word.
    public func prompt(from start: Int) -> [JSONValue] {
        let said = Array(turns.dropFirst(start))
        if said.count == 1, let only = said.first, only.role == "user", !only.blocks.isEmpty { return only.blocks }
        var prompt: [JSONValue] = []
        for (index, turn) in said.enumerated() {
            var blocks = turn.blocks
            let label = Self.labels[turn.role] ?? "User"
            let text = blocks.first?["type"]?.string == "text" ? blocks.removeFirst()["text"]?.string ?? "" : ""
            let isLast = index == said.count - 1
            prompt.append(Self.text("\(label):\n\(text)" + (isLast || !blocks.isEmpty ? "" : "\n\n")))
            prompt += blocks
            if !isLast, !blocks.isEmpty { prompt.append(Self.text("\n\n")) }
        }
        return prompt
    }

    /// A block of text.
    static func text(_ text: String) -> JSONValue { ["type": "text", "text": .string(text)] }

    private static let labels = ["system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool result"]
}
