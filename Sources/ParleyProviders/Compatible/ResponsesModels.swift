// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// OpenAI's models that Chat Completions does not have.
enum ResponsesModels {
    /// Whether a model answers in Responses only (OpenAI's model pages, "Endpoints": `o1-pro`, `o3-pro`, `gpt-5-pro`,
    /// `gpt-5-codex` and its successors, `codex-mini-latest`, `computer-use-preview`, `o3-deep-research`, …). Dated
    /// snapshots count as their model.
    static func isOnlyThere(_ model: String) -> Bool {
        if ["codex-", "computer-use-preview"].contains(where: { model.hasPrefix($0) }) { return true }
        if model.hasPrefix("gpt-5"), model.contains("-codex") { return true }
        let isReasoner = model.hasPrefix("o") && model.dropFirst().first?.isNumber == true
        if isReasoner, model.contains("-deep-research") { return true }
        return (isReasoner || model.hasPrefix("gpt-5")) && hasWord("pro", in: model)
    }

    private static func hasWord(_ word: String, in model: String) -> Bool {
        model.split(separator: "-").dropFirst().contains { $0 == word }
    }
}
