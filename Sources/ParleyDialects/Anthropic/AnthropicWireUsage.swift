// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// The counts of a `usage` object as they are on the wire, where `input_tokens` leaves out what a cache had to do with.
///
/// A stream says them at its start and again at its end, each time with some members missing: so each is kept apart,
/// the larger number of each counts, and only then are they put together.
struct AnthropicUsage: Equatable {
    private(set) var input: Int?
    private(set) var cacheRead: Int?
    private(set) var cacheWrite: Int?
    private(set) var cacheWriteHour: Int?
    private(set) var output: Int?
    private(set) var reasoning: Int?

    /// Takes in a `usage` object; anything else says nothing.
    mutating func merge(_ value: JSONValue?) {
        guard let object = value?.object else { return }
        Self.raise(&input, object["input_tokens"]?.int)
        Self.raise(&cacheRead, object["cache_read_input_tokens"]?.int)
        Self.raise(&cacheWrite, object["cache_creation_input_tokens"]?.int)
        Self.raise(&cacheWriteHour, object["cache_creation"]?["ephemeral_1h_input_tokens"]?.int)
        Self.raise(&output, object["output_tokens"]?.int)
        Self.raise(&reasoning, object["output_tokens_details"]?["thinking_tokens"]?.int)
    }

    /// Takes in the `usage` object of a scanned text.
    mutating func merge(_ object: JSONScan) {
        Self.raise(&input, object.int("input_tokens"))
        Self.raise(&cacheRead, object.int("cache_read_input_tokens"))
        Self.raise(&cacheWrite, object.int("cache_creation_input_tokens"))
        Self.raise(&output, object.int("output_tokens"))
        Self.raise(&cacheWriteHour, object.object("cache_creation")?.int("ephemeral_1h_input_tokens"))
        Self.raise(&reasoning, object.object("output_tokens_details")?.int("thinking_tokens"))
    }

    private static func raise(_ count: inout Int?, _ value: Int?) {
        guard let value, value >= 0 else { return }
        count = max(count ?? 0, value)
    }

    /// The neutral counts: input with everything that came from or went to a cache.
    var neutral: Usage {
        var usage = Usage()
        if input != nil || cacheRead != nil || cacheWrite != nil {
            usage.input = (input ?? 0).clampedSum(cacheRead ?? 0).clampedSum(cacheWrite ?? 0)
        }
        usage.cacheRead = cacheRead
        usage.cacheWrite = cacheWrite
        usage.cacheWriteHour = cacheWriteHour
        usage.output = output
        usage.reasoning = reasoning
        return usage
    }

    /// Writes neutral counts as a `usage` object. Its input and output are always there: SDKs count on them.
    ///
    /// - Parameter hasDetails: whether to add what only the start of a stream and a whole answer have.
    static func write(_ usage: Usage, hasDetails: Bool, into out: inout ByteBuffer) {
        let cached = (usage.cacheRead ?? 0).clampedSum(usage.cacheWrite ?? 0)
        out.writeStaticString("{\"input_tokens\":")
        out.writeString(String(max(0, (usage.input ?? 0) - min(cached, usage.input ?? 0))))
        if let count = usage.cacheWrite {
            out.writeStaticString(",\"cache_creation_input_tokens\":")
            out.writeString(String(count))
        }
        if let count = usage.cacheRead {
            out.writeStaticString(",\"cache_read_input_tokens\":")
            out.writeString(String(count))
        }
        if hasDetails, let hour = usage.cacheWriteHour {
            out.writeStaticString(",\"cache_creation\":{\"ephemeral_5m_input_tokens\":")
            out.writeString(String(max(0, (usage.cacheWrite ?? hour) - min(hour, usage.cacheWrite ?? hour))))
            out.writeStaticString(",\"ephemeral_1h_input_tokens\":")
            out.writeString(String(hour))
            out.writeStaticString("}")
        }
        out.writeStaticString(",\"output_tokens\":")
        out.writeString(String(usage.output ?? 0))
        if let count = usage.reasoning {
            out.writeStaticString(",\"output_tokens_details\":{\"thinking_tokens\":")
            out.writeString(String(count))
            out.writeStaticString("}")
        }
        out.writeStaticString("}")
    }
}

/// Why an answer ended, in Anthropic's words.
enum StopReason {
    /// What a word means; nil where there is none yet.
    static func read(_ word: String?, calls: Bool) -> FinishReason? {
        switch word {
        case nil, "": nil
        case "max_tokens", "model_context_window_exceeded": .length
        case "tool_use": .toolCalls
        case "refusal": .contentFilter
        // `end_turn`, `stop_sequence`, `pause_turn`, `compaction`, and whatever comes next.
        default: calls ? .toolCalls : .stop
        }
    }

    /// The word of a reason.
    static func word(_ reason: FinishReason?) -> String {
        switch reason {
        case nil, .stop?: "end_turn"
        case .length?: "max_tokens"
        case .toolCalls?, .functionCall?: "tool_use"
        case .contentFilter?: "refusal"
        }
    }

    /// The member of an answer's extras that says the reason in Anthropic's own word, where it has no neutral one.
    static let own = "stop_reason"

    /// The extras of an answer's end: what says more than the neutral reason does.
    static func extras(_ delta: JSONObject) -> JSONObject {
        var extras = JSONObject()
        for member in delta.members where !member.value.isNull {
            switch member.key {
            case own:
                guard let word = member.value.string else { continue }
                if !["end_turn", "max_tokens", "tool_use", "refusal", ""].contains(word) { extras[own] = member.value }
            case "stop_sequence", "stop_details", "container", "context_management": extras[member.key] = member.value
            default: break
            }
        }
        return extras
    }
}
