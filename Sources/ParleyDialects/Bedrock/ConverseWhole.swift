// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Whole answers of Converse.
enum ConverseWhole {
    static func decode(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        let value: JSONValue
        do {
            value = try JSON.parse(body.trimmed)
        } catch {
            throw ParleyError(
                .upstreamUnavailable, "The upstream's answer is not JSON: \(error.message) (at byte \(error.offset)).")
        }
        guard let message = value["output"]?["message"]?.object else {
            let failure = ConverseFailure(value)
            if failure.message.isEmpty, failure.type.isEmpty {
                throw ParleyError(.upstreamUnavailable, "The upstream's answer is no Converse answer.")
            }
            throw failure.error()
        }
        var reply = Message(.assistant, [])
        var texts: [String] = []
        for block in message["content"]?.array ?? [] { read(block, into: &reply, texts: &texts) }
        if !texts.isEmpty {
            reply.content = [.text(texts.joined())]
            reply.contentIsText = true
        }
        let finish = try ConverseWords.finish(value["stopReason"]?.string, hasCalls: !reply.toolCalls.isEmpty)
        return ChatResponse(
            identity: AnswerIdentity(), choices: [.init(index: 0, message: reply, finish: finish)],
            usage: ConverseWords.usage(value["usage"]))
    }

    private static func read(_ block: JSONValue, into message: inout Message, texts: inout [String]) {
        if let text = block["text"]?.string {
            texts.append(text)
        } else if let cited = block["citationsContent"]?["content"]?.array {
            texts += cited.compactMap { $0["text"]?.string }
        } else if let use = block["toolUse"], !ConverseWords.isServerTool(use) {
            let id = use["toolUseId"]?.string ?? ""
            message.toolCalls.append(
                ToolCall(
                    id: id.isEmpty ? ConverseWords.id(ofCall: message.toolCalls.count) : id,
                    name: use["name"]?.string ?? "", arguments: JSON.text(use["input"] ?? [:])))
        } else if let reasoning = block["reasoningContent"] {
            if let readable = reasoning["reasoningText"] {
                message.reasoning.append(
                    Reasoning(
                        readable["text"]?.string ?? "", signature: readable["signature"]?.string, origin: .anthropic))
            } else if let data = reasoning["redactedContent"]?.string {
                message.reasoning.append(ConverseWords.redacted(data))
            }
        }
    }

    static func encode(_ response: ChatResponse) -> JSONObject {
        var blocks: [JSONValue] = []
        let choice = response.choices.first
        for reasoning in choice?.message.reasoning ?? [] {
            blocks.append(["reasoningContent": ConverseWords.reasoning(reasoning)])
        }
        if let text = choice?.message.text, !text.isEmpty { blocks.append(["text": .string(text)]) }
        for call in choice?.message.toolCalls ?? [] {
            blocks.append([
                "toolUse": [
                    "toolUseId": .string(call.id), "name": .string(call.name),
                    "input": (try? JSON.parse(call.arguments)) ?? [:],
                ]
            ])
        }
        let usage = response.usage
        let cached = (usage.cacheRead ?? 0).clampedSum(usage.cacheWrite ?? 0)
        var counts: JSONObject = [
            "inputTokens": .int(max(0, (usage.input ?? 0).clampedSum(-cached))),
            "outputTokens": .int(usage.output ?? 0),
            "totalTokens": .int(usage.total),
        ]
        if let count = usage.cacheRead { counts["cacheReadInputTokens"] = .int(count) }
        if let count = usage.cacheWrite { counts["cacheWriteInputTokens"] = .int(count) }
        return [
            "output": ["message": ["role": "assistant", "content": .array(blocks)]],
            "stopReason": .string(ConverseWords.stopReason(choice?.finish)), "usage": .object(counts),
            "metrics": ["latencyMs": 0],
        ]
    }
}

/// Converse's words that whole answers and streams share.
enum ConverseWords {
    /// The reason in the neutral form.
    ///
    /// - Throws: `upstreamUnavailable` where the model wrote something that Bedrock could not read.
    static func finish(_ word: String?, hasCalls: Bool) throws(ParleyError) -> FinishReason? {
        switch word {
        case nil: return nil
        case "max_tokens", "model_context_window_exceeded": return .length
        case "guardrail_intervened", "content_filtered": return .contentFilter
        case "malformed_model_output", "malformed_tool_use":
            throw ParleyError(
                .upstreamUnavailable, "The model's answer was malformed, as the upstream says (\(word ?? "")).")
        default: return hasCalls ? .toolCalls : .stop
        }
    }

    static func stopReason(_ finish: FinishReason?) -> String {
        switch finish {
        case .toolCalls, .functionCall: "tool_use"
        case .length: "max_tokens"
        case .contentFilter: "content_filtered"
        case .stop, nil: "end_turn"
        }
    }

    /// `inputTokens` leaves out what was read from and written to the cache.
    static func usage(_ value: JSONValue?) -> Usage {
        func count(_ name: String) -> Int? {
            guard let number = value?[name]?.int, number >= 0 else { return nil }
            return number
        }
        var usage = Usage(input: count("inputTokens"), output: count("outputTokens"))
        usage.cacheRead = count("cacheReadInputTokens")
        usage.cacheWrite = count("cacheWriteInputTokens")
        usage.input = usage.input.map { $0.clampedSum(usage.cacheRead ?? 0).clampedSum(usage.cacheWrite ?? 0) }
        for detail in value?["cacheDetails"]?.array ?? [] where detail["ttl"]?.string == "1h" {
            guard let number = detail["inputTokens"]?.int, number >= 0 else { continue }
            usage.cacheWriteHour = (usage.cacheWriteHour ?? 0).clampedSum(number)
        }
        return usage
    }

    /// Whether a tool was called and answered on Bedrock's side, so that it is no business of the client's.
    static func isServerTool(_ use: JSONValue) -> Bool { use["type"]?.string == "server_tool_use" }

    /// An id for a call that came without one.
    static func id(ofCall index: Int) -> String { "call_\(index)" }

    /// Claude's encrypted reasoning, in the shape that Anthropic's own API has for it.
    static func redacted(_ data: String) -> Reasoning {
        Reasoning(
            "", signature: data, opaque: ["type": "redacted_thinking", "data": .string(data)], origin: .anthropic)
    }

    /// The content of a `reasoningContent` block.
    static func reasoning(_ reasoning: Reasoning) -> JSONValue {
        if reasoning.text.isEmpty, let data = reasoning.signature, reasoning.opaque != nil {
            return ["redactedContent": .string(data)]
        }
        var text: JSONObject = ["text": .string(reasoning.text)]
        if let signature = reasoning.signature { text["signature"] = .string(signature) }
        return ["reasoningText": .object(text)]
    }
}
