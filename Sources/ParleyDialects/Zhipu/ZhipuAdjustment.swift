// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
public import ParleyWire

/// What Zhipu's version 4 wants changed in a request of OpenAI's chat.
///
/// Source: the SDKs zhipuai and zai-sdk.
public struct ZhipuAdjustment: ChatAdjustment {
    /// Zhipu's changes.
    public init() {}

    /// What is lost by it.
    public var losses: [Loss] {
        [
            Loss("temperature", .emulated, "Zero is `do_sample: false`; 1 and more is 0.99."),
            Loss("top_p", .emulated, "From 0.01 to 0.99."),
            Loss("stop", .dropped, "All but the first."),
            Loss("tool_choice", .emulated, "`none` offers no tools."),
            Loss("response_format", .emulated, "A JSON schema is an instruction in a system prompt."),
            Loss("reasoning_effort", .emulated, "`thinking`; models from GLM-5 on get the word, too."),
        ]
    }

    private static let concerned = [
        "temperature", "top_p", "stop", "tool_choice", "response_format", "reasoning_effort",
    ]

    /// Whether a value is outside of what the service takes.
    public func concerns(_ scan: JSONScan, model: String, stream: Bool, overrides: [FieldOverride]) -> Bool {
        if overrides.contains(where: { Self.concerned.contains($0.name) }) { return true }
        for name in ["temperature", "top_p"] where scan.says(name) {
            guard let number = scan.number(name), number > 0, number < 1 else { return true }
        }
        if scan.says("tool_choice"), scan.member(named: "tool_choice").flatMap({ scan.string($0) }) != "auto" {
            return true
        }
        return ["stop", "response_format", "reasoning_effort"].contains { scan.says($0) }
            || scan.bytes.contains("\"image_url\"")
    }

    /// Changes a request.
    ///
    /// - Throws: `invalid` for a response format that only another vendor knows.
    public func adjust(_ request: inout ChatRequest, dropped: inout [String]) throws(ParleyError) -> JSONObject {
        var more = JSONObject()
        if let temperature = request.temperature {
            if temperature <= 0 { more["do_sample"] = false }
            request.temperature = temperature <= 0 ? 0.01 : temperature >= 1 ? 0.99 : temperature
        }
        if let topP = request.topP { request.topP = topP <= 0 ? 0.01 : topP >= 1 ? 0.99 : topP }
        if request.stop.count > 1 {
            request.stop = [request.stop[0]]
            dropped.append("stop")
        }
        choose(&request, &dropped)
        if case .jsonSchema? = request.responseFormat,
            let instruction = try FormatInstruction.text(for: request.responseFormat)
        {
            request.responseFormat = .jsonObject
            request.messages.insert(Message(.system, text: instruction), at: 0)
        }
        for index in request.messages.indices { Self.bare(&request.messages[index]) }
        think(&request, &more)
        return more
    }

    /// The service takes `auto` and nothing else.
    private func choose(_ request: inout ChatRequest, _ dropped: inout [String]) {
        switch request.toolChoice {
        case nil, .auto?: return
        case ToolChoice.none?: request.tools = []
        case .required?, .named?, .opaque?: dropped.append("tool_choice")
        }
        request.toolChoice = nil
    }

    /// Images go as bare base64.
    private static func bare(_ message: inout Message) {
        for index in message.content.indices {
            guard case .image(let url, let detail) = message.content[index], let data = DataURL(url) else { continue }
            message.content[index] = .image(url: data.base64, detail: detail)
        }
    }

    private func think(_ request: inout ChatRequest, _ more: inout JSONObject) {
        guard request.reasoningWord != nil else { return }
        let isOff = request.reasoningTokens == 0
        if request.extras.of(.openAIChat)["thinking"] == nil {
            more["thinking"] = ["type": isOff ? "disabled" : "enabled"]
        }
        if isOff || !Self.takesEffort(request.model) {
            request.reasoningEffort = nil
            request.reasoningBudget = nil
        }
    }

    /// Whether a model has levels of effort: `glm-5`, `glm-5.2`, and what comes after.
    private static func takesEffort(_ model: String) -> Bool {
        let name = model.lowercased()
        guard name.hasPrefix("glm-") else { return false }
        return Int(name.dropFirst(4).prefix { $0.isNumber }) ?? 0 >= 5
    }
}
