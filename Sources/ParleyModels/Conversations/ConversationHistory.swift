// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// The history of a conversation and a client's next messages: what is sent, what is kept, what goes when it is too long.
///
/// Pure: it knows neither the store nor the model.
public struct ConversationHistory: Sendable {
    /// The system messages: the request's own where it has any, else those of the turns before.
    public private(set) var system: [Message]
    /// The client's new messages, without system messages.
    public let new: [Message]
    /// Turns that can only go together: what answers a tool call stays with the call.
    private var blocks: [[Message]]
    /// How many turns were left out so far.
    public private(set) var dropped = 0

    /// The history of `record`, nil for a conversation that begins, and the messages of the client's request.
    ///
    /// A client that sends the whole history all the same is understood: what it repeats is not said twice.
    public init(_ record: ConversationRecord?, _ messages: [Message]) {
        let own = messages.filter(\.isSystem)
        system = own.isEmpty ? record?.system ?? [] : own
        let said = messages.filter { !$0.isSystem }
        let known = record?.turns.flatMap(\.messages) ?? []
        let repeats =
            !known.isEmpty && said.count > known.count && zip(known, said).allSatisfy { $0.saysTheSame(as: $1) }
        new = repeats ? Array(said[known.count...]) : said
        blocks = []
        for turn in record?.turns ?? [] where !turn.messages.isEmpty {
            let isReply = turn.messages.first.map { $0.role == .tool || $0.role == .function } ?? false
            if isReply, !blocks.isEmpty {
                blocks[blocks.count - 1] += turn.messages
            } else {
                blocks.append(turn.messages)
            }
        }
    }

    /// What is sent: system messages, history, the new messages.
    public var messages: [Message] { system + blocks.flatMap { $0 } + new }

    /// Whether there is anything left to leave out.
    ///
    /// The block that the new messages answer a tool call of stays: without it they mean nothing.
    public var canShrink: Bool { blocks.count > (isReply ? 1 : 0) }

    private var isReply: Bool { new.first.map { $0.role == .tool || $0.role == .function } ?? false }

    /// Leaves out the oldest turns, about half of them.
    public mutating func halve() {
        guard canShrink else { return }
        drop(max(1, blocks.count / 2))
    }

    /// Leaves out the oldest turns until all is within so many tokens, or nothing more can go.
    public mutating func shrink(toTokens limit: Int) {
        func tokens(_ messages: [Message]) -> Int {
            var estimate = TokenEstimate()
            estimate.add(ChatRequest(model: "", messages: messages))
            return estimate.count
        }
        guard canShrink else { return }
        var total = tokens(system + new)
        var kept = 0
        for block in blocks.reversed() {
            total = total.clampedSum(tokens(block))
            if total > limit { break }
            kept += 1
        }
        drop(blocks.count - max(kept, isReply ? 1 : 0))
    }

    private mutating func drop(_ count: Int) {
        guard count > 0 else { return }
        blocks.removeFirst(min(count, blocks.count))
        dropped += count
    }
}

extension Message {
    /// Whether it instructs the model rather than being part of the talk.
    fileprivate var isSystem: Bool { role == .system || role == .developer }

    /// Whether a client that repeats this message would send `other`; what only a server adds does not count.
    fileprivate func saysTheSame(as other: Message) -> Bool {
        role == other.role && text == other.text && toolCallID == other.toolCallID
            && toolCalls.map(\.id) == other.toolCalls.map(\.id)
    }
}
