// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// The `usage` object: read in every vendor's spelling, written in OpenAI's.
enum WireUsage {
    /// Reads a usage object; anything else reports nothing.
    ///
    /// DeepSeek counts cache hits in `prompt_cache_hit_tokens`, Moonshot in a top-level `cached_tokens`. xAI leaves the
    /// reasoning out of `completion_tokens`, and Gemini's compatible face shows it in the total only.
    static func read(_ value: JSONValue?, quirks: Quirks) -> Usage {
        guard let object = value?.object else { return Usage() }
        func count(_ value: JSONValue?) -> Int? {
            guard let number = value?.int, number >= 0 else { return nil }
            return number
        }
        var usage = Usage()
        usage.input = count(object["prompt_tokens"]) ?? count(object["input_tokens"])
        usage.output = count(object["completion_tokens"]) ?? count(object["output_tokens"])
        let input = object["prompt_tokens_details"] ?? object["input_tokens_details"]
        usage.cacheRead =
            count(input?["cached_tokens"]) ?? count(object["cached_tokens"])
            ?? count(object["prompt_cache_hit_tokens"])
        usage.cacheWrite = count(input?["cache_write_tokens"])
        usage.inputAudio = count(input?["audio_tokens"])
        let output = object["completion_tokens_details"] ?? object["output_tokens_details"]
        usage.reasoning = count(output?["reasoning_tokens"]) ?? count(object["reasoning_tokens"])
        usage.outputAudio = count(output?["audio_tokens"])
        usage.acceptedPrediction = count(output?["accepted_prediction_tokens"])
        usage.rejectedPrediction = count(output?["rejected_prediction_tokens"])
        let total = count(object["total_tokens"])
        if quirks.reasoningOutsideOutput { addReasoning(total: total, to: &usage) }
        if let total, total != usage.total, usage.input != nil || usage.output != nil { usage.statedTotal = total }
        return usage
    }

    /// Moves reasoning that is counted apart into the output.
    private static func addReasoning(total: Int?, to usage: inout Usage) {
        let missing = (total ?? .max) - min(usage.total, total ?? .max)
        if let reasoning = usage.reasoning {
            // A total that is the sum already says that the reasoning is inside.
            if reasoning <= missing { usage.output = (usage.output ?? 0).clampedSum(reasoning) }
        } else if total != nil, missing > 0 {
            usage.reasoning = missing
            usage.output = (usage.output ?? 0).clampedSum(missing)
        }
    }

    /// Usage wherever a chunk or an answer has it: at the top, in a choice, or in Groq's own object.
    static func merge(from object: JSONObject, into usage: inout Usage, quirks: Quirks) {
        usage.merge(read(object["usage"], quirks: quirks))
        usage.merge(read(object["x_groq"]?["usage"], quirks: quirks))
        for choice in object["choices"]?.array ?? [] where choice["usage"] != nil {
            usage.merge(read(choice["usage"], quirks: quirks))
        }
    }

    /// Writes usage in OpenAI's shape; a class nobody reported is left out.
    static func write(_ usage: Usage, into out: inout ByteBuffer) {
        out.writeStaticString("{\"prompt_tokens\":")
        out.writeString(String(usage.input ?? 0))
        out.writeStaticString(",\"completion_tokens\":")
        out.writeString(String(usage.output ?? 0))
        out.writeStaticString(",\"total_tokens\":")
        out.writeString(String(usage.statedTotal ?? usage.total))
        writeDetails(
            "prompt_tokens_details",
            [
                ("cached_tokens", usage.cacheRead), ("audio_tokens", usage.inputAudio),
                ("cache_write_tokens", usage.cacheWrite),
            ], into: &out)
        writeDetails(
            "completion_tokens_details",
            [
                ("reasoning_tokens", usage.reasoning), ("audio_tokens", usage.outputAudio),
                ("accepted_prediction_tokens", usage.acceptedPrediction),
                ("rejected_prediction_tokens", usage.rejectedPrediction),
            ], into: &out)
        out.writeStaticString("}")
    }

    private static func writeDetails(_ name: String, _ classes: [(String, Int?)], into out: inout ByteBuffer) {
        var isFirst = true
        for (key, count) in classes {
            guard let count else { continue }
            out.writeString(isFirst ? ",\"\(name)\":{\"\(key)\":" : ",\"\(key)\":")
            out.writeString(String(count))
            isFirst = false
        }
        if !isFirst { out.writeStaticString("}") }
    }
}

/// Finish reasons in every vendor's words.
enum FinishWord {
    /// What a word of an upstream means.
    enum Meaning: Equatable {
        case none
        case finish(FinishReason)
        /// The vendor broke off: not a clean end.
        case failure(String)
    }

    static func read(_ value: JSONValue?) -> Meaning {
        guard case .string(let word)? = value else { return .none }
        switch word.lowercased() {
        case "", "null": return .none
        case "length", "model_length", "max_tokens", "max_output_tokens", "max_length",
            "model_context_window_exceeded":
            return .finish(.length)
        case "tool_calls", "tool_call", "tool_use": return .finish(.toolCalls)
        case "function_call": return .finish(.functionCall)
        case "content_filter", "content_filtered", "sensitive", "safety", "refusal": return .finish(.contentFilter)
        // Mistral and OpenRouter say `error`, DeepSeek and Zhipu name the cause.
        case "error", "insufficient_system_resource", "network_error", "timeout": return .failure(word)
        // `stop`, `eos` (Together), `end_turn`, `stop_sequence`, and whatever comes next.
        default: return .finish(.stop)
        }
    }

    /// The reason with the calls that were made: several vendors say `stop` after them, or nothing at all.
    static func reason(_ reason: FinishReason?, calls isLegacy: Bool?) -> FinishReason {
        guard let isLegacy, reason ?? .stop == .stop else { return reason ?? .stop }
        return isLegacy ? .functionCall : .toolCalls
    }

    /// The failure that a broken-off answer is.
    static func failure(_ word: String) -> ParleyError {
        let isOverload = word == "insufficient_system_resource"
        return ParleyError(
            .upstreamUnavailable, "The upstream broke off its answer (finish reason '\(word.prefix(40))').",
            code: isOverload ? "overloaded" : nil, status: isOverload ? 503 : nil)
    }
}
