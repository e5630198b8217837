// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// How hard to think, said in words (OpenAI) and in tokens (Anthropic, Gemini).
///
/// The tokens of a word are those of Google's own OpenAI face, and they fit Anthropic's least of 1,024.
enum ReasoningBudget {
    /// The tokens that a word stands for; 0 for `none`, nil for an unknown word.
    static func tokens(_ effort: String) -> Int? {
        switch effort {
        case "none": 0
        case "minimal", "low": 1024
        case "medium": 8192
        case "high": 24576
        case "xhigh", "max": 32768
        default: nil
        }
    }

    /// The word nearest to a number of tokens; a negative number leaves it to the model and is `medium`.
    static func effort(_ tokens: Int) -> String {
        switch tokens {
        case 0: "none"
        case ..<0: "medium"
        case ..<4096: "low"
        case ..<16384: "medium"
        default: "high"
        }
    }
}

extension ChatRequest {
    /// The tokens to think with, from the number or the word, whichever was said.
    var reasoningTokens: Int? {
        reasoningBudget ?? reasoningEffort.flatMap(ReasoningBudget.tokens)
    }

    /// The word for how hard to think, from the word or the number, whichever was said.
    var reasoningWord: String? {
        reasoningEffort ?? reasoningBudget.map(ReasoningBudget.effort)
    }

    /// The name of the tool that a call's id belongs to, as earlier turns say it.
    func toolName(ofCall id: String) -> String? {
        for message in messages.reversed() {
            if let call = message.toolCalls.first(where: { $0.id == id }) { return call.name }
        }
        return nil
    }
}
