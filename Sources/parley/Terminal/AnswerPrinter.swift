// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Shows an answer while it arrives and keeps what the next question needs of it.
struct AnswerPrinter {
    /// The answer's text so far.
    private(set) var text = ""
    private var isReasoning = false
    private var hasOutput = false
    private var endsLine = true
    private var model: String?
    private var usage: ChatUsage?
    private var finish: String?

    private let output: Output
    private let showsReasoning: Bool
    private let start = ContinuousClock.now

    /// - Parameter showsReasoning: false prints the answer only.
    init(_ output: Output, showsReasoning: Bool) {
        self.output = output
        self.showsReasoning = showsReasoning
    }

    /// Shows one event; the spinner goes away with the first that is visible.
    mutating func show(_ event: ChatEvent, _ spinner: Spinner? = nil) {
        switch event {
        case .reasoning(let words):
            guard showsReasoning else { return }
            spinner?.stop()
            isReasoning = true
            // Styled piece by piece, so that nothing stays dim when the answer breaks off.
            print(output.dim(output.safe(words)), endsLine: words.last == "\n")
        case .text(let words):
            spinner?.stop()
            if isReasoning {
                isReasoning = false
                print(endsLine ? "\n" : "\n\n", endsLine: true)
            }
            text += words
            print(output.safe(words), endsLine: words.last == "\n")
        case .finish(let reason): finish = reason
        case .usage(let tokens): usage = tokens
        case .model(let name): model = name
        }
    }

    /// Ends the last line, if there is one.
    mutating func endLine() {
        if hasOutput, !endsLine { print("\n", endsLine: true) }
    }

    /// One line about the answer: the model, tokens, time, and why it ended if not by itself.
    var summary: String {
        var parts: [String] = []
        if let model { parts.append(output.safe(model)) }
        if let usage {
            if let input = usage.input {
                let cached = usage.cached ?? 0
                parts.append("\(input) in" + (cached > 0 ? " (\(cached) cached)" : ""))
            }
            if let tokens = usage.output {
                let reasoning = usage.reasoning ?? 0
                parts.append("\(tokens) out" + (reasoning > 0 ? " (\(reasoning) reasoning)" : ""))
            }
        }
        let elapsed = (ContinuousClock.now - start).components
        parts.append("\(elapsed.seconds).\(elapsed.attoseconds / 100_000_000_000_000_000) s")
        switch finish {
        case "length": parts.append("cut at the token limit")
        case "content_filter": parts.append("cut by a content filter")
        default: break
        }
        return parts.joined(separator: " · ")
    }

    private mutating func print(_ words: String, endsLine: Bool) {
        guard !words.isEmpty else { return }
        output.write(words)
        hasOutput = true
        self.endsLine = endsLine
    }
}
