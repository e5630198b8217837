// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
public import ParleyWire

/// What DashScope's compatible mode wants changed in a request of OpenAI's chat.
///
/// Source: the vendor's reference of the compatible mode.
public struct DashScopeAdjustment: ChatAdjustment {
    /// DashScope's changes.
    public init() {}

    /// What is lost by it.
    public var losses: [Loss] {
        [
            Loss("reasoning_effort", .emulated, "`enable_thinking`, with `thinking_budget` in tokens."),
            Loss("response_format", .emulated, "`json_object` where no turn says JSON: an instruction says it."),
        ]
    }

    private static let concerned = ["tool_choice", "response_format", "reasoning_effort"]

    /// Whether a request has a value that the service does not take, or must be a stream.
    public func concerns(_ scan: JSONScan, model: String, stream: Bool, overrides: [FieldOverride]) -> Bool {
        if !stream, Self.isStreamOnly(model) { return true }
        if overrides.contains(where: { Self.concerned.contains($0.name) }) { return true }
        if let choice = scan.member(named: "tool_choice"), scan.string(choice) == "required" { return true }
        return scan.says("response_format") || scan.says("reasoning_effort")
    }

    /// Changes a request.
    public func adjust(_ request: inout ChatRequest, dropped: inout [String]) throws(ParleyError) -> JSONObject {
        var more = JSONObject()
        if Self.isStreamOnly(request.model) { request.stream = true }
        if request.toolChoice == .required {
            request.toolChoice = nil
            dropped.append("tool_choice")
        }
        // The service refuses the format unless the conversation says the word.
        if request.responseFormat == .jsonObject, !request.messages.contains(where: Self.saysJSON),
            let instruction = try FormatInstruction.text(for: .jsonObject)
        {
            request.messages.insert(Message(.system, text: instruction), at: 0)
        }
        guard request.reasoningWord != nil else { return more }
        let tokens = request.reasoningTokens
        let own = request.extras.of(.openAIChat)
        if own["enable_thinking"] == nil {
            more["enable_thinking"] = .bool(tokens != 0)
            if let tokens, tokens > 0, own["thinking_budget"] == nil { more["thinking_budget"] = .int(tokens) }
        }
        request.reasoningEffort = nil
        request.reasoningBudget = nil
        return more
    }

    /// Those that only stream: elsewhere a whole answer could not be asked for as a stream.
    public func isChatOnly(_ model: String) -> Bool { Self.isStreamOnly(model) }

    private static func saysJSON(_ message: Message) -> Bool { message.text.lowercased().contains("json") }

    /// Whether a model answers in streams only: QwQ, QVQ, the omni models, and the open Qwen3 models, which refuse whole
    /// answers while they may think.
    static func isStreamOnly(_ model: String) -> Bool {
        let name = model.lowercased().split(separator: "/").last.map(String.init) ?? ""
        if name.hasPrefix("qwq") || name.hasPrefix("qvq") || name.contains("-omni") { return true }
        guard name.hasPrefix("qwen3-"), !name.contains("instruct") else { return false }
        // `qwen3-8b`, `qwen3-0.6b`, `qwen3-235b-a22b`, `qwen3-235b-a22b-thinking-2507`.
        let size = name.dropFirst(6).prefix { $0 != "-" }
        return size.hasSuffix("b") && size.dropLast().allSatisfy { $0.isNumber || $0 == "." } && size.count > 1
    }
}
