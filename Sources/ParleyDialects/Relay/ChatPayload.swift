// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// What one chunk or one whole answer of OpenAI's chat API says to a tap, read by position and without a tree.
struct ChatPayload {
    /// Whether `choices` is there and not empty.
    private(set) var hasChoices = false
    /// Whether it is an error, in one of the shapes that come with status 200.
    private(set) var isError = false
    /// Whether it has a top-level `usage` that is not null.
    private(set) var hasUsage = false
    /// Tokens, wherever they were reported: top level, first choice (Moonshot), `x_groq` (Groq).
    private(set) var usage = Usage()
    /// The first finish reason.
    private(set) var finish: String?
    /// Whether it has any part of an answer, or its end.
    private(set) var isMeaningful = false
    private let reasoningOutsideOutput: Bool

    /// Reads a payload, which must be one JSON object.
    init(_ bytes: ByteBuffer, reasoningOutsideOutput: Bool = false) throws(JSONError) {
        self.reasoningOutsideOutput = reasoningOutsideOutput
        let scan = try JSONScan(bytes)
        for range in scan.elements("choices") ?? [] {
            hasChoices = true
            if let choice = scan.object(range) { read(choice: choice) }
        }
        if let member = scan.member("usage"), !scan.isNull(member) { hasUsage = true }
        for place in [scan.object("usage"), scan.object("x_groq")?.object("usage")] {
            note(usage: place)
        }
        if finish == "error" { isError = true }
        if let error = scan.member("error"), !scan.isBlank(error) { isError = true }
        if !hasChoices, Self.hasError(scan) { isError = true }
        if finish != nil { isMeaningful = true }
    }

    private mutating func read(choice: JSONScan) {
        if finish == nil, let member = choice.member("finish_reason"), let reason = choice.string(member),
            !reason.isEmpty, reason != "null"
        {
            finish = reason
        }
        note(usage: choice.object("usage"))
        guard !isMeaningful, let said = choice.object("delta") ?? choice.object("message") else { return }
        isMeaningful = Self.answerFields.contains { name in
            guard let member = said.member(name) else { return false }
            return !said.isBlank(member)
        }
    }

    private mutating func note(usage reported: JSONScan?) {
        guard let reported else { return }
        usage.merge(Usage(chat: reported, reasoningOutsideOutput: reasoningOutsideOutput))
    }

    /// The fields of a delta or a message that hold a part of the answer, reasoning under every name vendors give it.
    private static let answerFields = [
        "content", "reasoning_content", "reasoning", "reasoning_details", "thinking", "tool_calls", "function_call",
        "refusal", "audio", "images",
    ]

    /// An `error` that is not null; MiniMax's `base_resp` with a status; vLLM's `object: error`.
    private static func hasError(_ scan: JSONScan) -> Bool {
        if let error = scan.member("error"), !scan.isNull(error) { return true }
        if let status = scan.object("base_resp")?.int("status_code"), status != 0 { return true }
        if let object = scan.member("object"), scan.string(object) == "error" { return true }
        return false
    }
}
