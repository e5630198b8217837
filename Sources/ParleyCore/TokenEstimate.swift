// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A guess at how many tokens a text is, for models whose tokenizer nobody offers; within about a fifth for prose.
///
/// Tokenizers of today take about four characters of Latin script and about one of the East Asian scripts per token.
public struct TokenEstimate: Sendable {
    private var quarters = 0

    /// Nothing counted yet.
    public init() {}

    /// What an image is taken for: a tile of 1,024 pixels or so at the vendors that say how they count.
    private static let perImage = 1000
    /// What a turn takes beside its text: role and separators.
    private static let perTurn = 4
    private static let bytesOfBase64PerToken = 16

    /// The tokens so far.
    public var count: Int { (quarters.clampedSum(3)) / 4 }

    /// Counts a text.
    public mutating func add(_ text: String) {
        for scalar in text.unicodeScalars { quarters = quarters.clampedSum(scalar.value < 0x2E80 ? 1 : 4) }
    }

    /// Counts so many tokens.
    public mutating func add(tokens: Int) {
        quarters = quarters.clampedSum(min(max(tokens, 0), 1 << 40) * 4)
    }

    /// Counts everything of a request that a model reads.
    public mutating func add(_ request: ChatRequest) {
        for message in request.messages { add(message) }
        for tool in request.tools {
            add(tool.name)
            add(tool.description ?? "")
            if let parameters = tool.parameters { add(parameters) }
            add(tokens: Self.perTurn)
        }
    }

    private mutating func add(_ message: Message) {
        add(tokens: Self.perTurn)
        for part in message.content {
            switch part {
            case .text(let text), .refusal(let text): add(text)
            case .image: add(tokens: Self.perImage)
            case .audio(let data, _): add(tokens: data.utf8.count / Self.bytesOfBase64PerToken)
            case .file(let file):
                add(file.text ?? "")
                add(tokens: (file.data?.utf8.count ?? 0) / Self.bytesOfBase64PerToken)
            case .opaque(_, let value): add(value)
            }
        }
        for piece in message.reasoning { add(piece.text) }
        for call in message.toolCalls {
            add(call.name)
            add(call.arguments)
        }
    }

    private mutating func add(_ value: JSONValue) {
        switch value {
        case .null, .bool: add(tokens: 1)
        case .number(let text): add(text)
        case .string(let text): add(text)
        case .array(let list): for element in list { add(element) }
        case .object(let object):
            for member in object.members {
                add(member.key)
                add(member.value)
            }
        }
    }
}
