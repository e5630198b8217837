// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Shows what a thought says as it comes.
struct ThoughtReader {
    private let form: Thought.Form
    private var steps = StepReader()
    private var hasText = false

    init(_ thought: Thought) {
        form = thought.form
    }

    /// Whether a step is expected.
    var readsStep: Bool {
        if case .step = form { return true }
        return false
    }

    /// The step, once all has come.
    func step() throws(StepFault) -> Step { try steps.step() }

    /// Shows an event of the inner call. What the model thinks before it speaks is shown where the thought is.
    mutating func show(_ event: Event, in view: inout ReasonView, _ out: inout [Event]) {
        guard case .text(0, let text) = event else { return }
        switch form {
        case .hidden: break
        case .text: content(text, in: &view, &out)
        case .step:
            for piece in steps.push(text) {
                switch piece {
                case .title(let title): if !hasText { view.title(title, &out) }
                case .content(let content): self.content(content, in: &view, &out)
                }
            }
        }
    }

    private mutating func content(_ text: String, in view: inout ReasonView, _ out: inout [Event]) {
        guard !text.isEmpty else { return }
        view.text(text, isFirst: !hasText, &out)
        hasText = true
    }
}

/// Passes the final answer on as it comes.
struct AnswerReader {
    private var final: FinalReader?
    private var ends: [Event] = []
    /// Whether the client has something of the answer.
    private(set) var hasShown = false

    /// - Parameter unwraps: whether an answer in the form of a step is shown as its content.
    init(unwraps: Bool) {
        final = unwraps ? FinalReader() : nil
    }

    /// Takes an event of the inner call. Usage is told at the end, for all calls at once.
    mutating func show(_ event: Event, _ out: inout [Event]) {
        guard event.isOfAnswer else { return }
        switch event {
        case .text(0, let text) where final != nil:
            let shown = final?.push(text) ?? ""
            if !shown.isEmpty { pass(.text(choice: 0, shown), &out) }
        case .finish: ends.append(event)
        default: pass(event, &out)
        }
    }

    private mutating func pass(_ event: Event, _ out: inout [Event]) {
        if event.isMeaningful { hasShown = true }
        out.append(event)
    }

    /// The answer is complete.
    mutating func finish(_ out: inout [Event]) {
        let rest = final?.finish() ?? ""
        if !rest.isEmpty { out.append(.text(choice: 0, rest)) }
        out += ends
        ends = []
    }

    /// The same for a whole answer.
    func unwrapped(_ response: ChatResponse) -> ChatResponse {
        guard final != nil, let choice = response.choices.first, !choice.message.text.isEmpty else { return response }
        var reader = FinalReader()
        let shown = reader.push(choice.message.text)
        var changed = response
        changed.choices[0].message.content = [.text(shown + reader.finish())]
        changed.choices[0].message.contentIsText = true
        return changed
    }
}

extension Event {
    /// Whether an event of an inner answer is one of the client's answer as well: its beginning and its usage are not.
    var isOfAnswer: Bool {
        switch self {
        case .start, .usage: false
        default: true
        }
    }
}
