// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// A strategy of thinking as a plain state machine: what happened in, what to do next out. It knows no model, no clock
/// and no client.
protocol ReasonMachine {
    /// What the driver takes from here after each step: what to show, what is missing.
    var log: ReasonLog { get set }

    /// Takes an event and says what to do.
    mutating func next(_ event: ReasonEvent) -> ReasonAction
}

/// What happened.
enum ReasonEvent {
    /// The call begins.
    case started
    /// The thoughts that were asked for, in order, or the first ones where a cap forbade the rest.
    case thought([ReasonOutcome])
    /// A wait is over, after so many seconds.
    case waited(Double)
    /// A cap forbids more thinking; only an answer may follow. The text is what the answer has to do without.
    case stopped(String)
    /// The final answer failed before anything of it was shown, after so many seconds.
    case answerFailed(ParleyError)
}

/// What to do next.
enum ReasonAction {
    /// Ask for these at once; so many calls must be left afterwards.
    case think([Thought], leaving: Int)
    /// Wait, then report `waited`.
    case wait(TimeAmount)
    /// Ask for the client's answer.
    case answer(FinalAnswer)
    /// A thought is the client's answer.
    case give(ChatResponse)
    /// End with this error.
    case fail(ParleyError)
}

/// One inner call that the client sees as thinking.
struct Thought: Equatable {
    /// What it is shown as.
    enum Form: Equatable {
        /// Text under a title.
        case text
        /// A step as JSON, by its number.
        case step(Int)
        /// Not at all.
        case hidden
    }

    /// What for, in the account: `step 2`, `draft 1`, `judge`.
    var purpose: String
    /// What it is called where it is shown: `Draft 1`.
    var title: String
    /// Who is asked, by place among the models.
    var member: Int
    var request: InnerRequest
    var form = Form.text

    /// What it is, without its number.
    var kind: String { String(purpose.prefix { $0 != " " }) }
}

/// The inner call whose answer is the client's.
struct FinalAnswer: Equatable {
    /// What for, in the account.
    var purpose = "final"
    /// Who is asked, by place among the models.
    var member = 0
    var request: InnerRequest
    /// Whether an answer in the form of a step is shown as its content.
    var unwraps = false
}

/// What an inner call asks.
struct InnerRequest: Equatable {
    var request: ChatRequest
    /// The same without what we added to it, for a model that refuses that.
    var plain: ChatRequest?
}

/// How a thought ended.
struct ReasonOutcome {
    /// What was said; nil where it failed.
    var response: ChatResponse?
    /// The step, where one was asked for and came.
    var step: Step?
    /// Why it failed, also where an answer came that is no step.
    var failure: ParleyError?
    /// Whether the call itself failed, not only the form of its answer.
    var isLost: Bool { response == nil }
    /// How long it took.
    var seconds = 0.0

    /// What was said.
    var text: String { response?.choices.first?.message.text ?? "" }

    /// What was said, where it is worth reading.
    var draft: ChatResponse? {
        guard let response, let message = response.choices.first?.message else { return nil }
        return message.text.allSatisfy(\.isWhitespace) ? nil : response
    }
}

/// What a strategy leaves for the driver to show and to note.
struct ReasonLog {
    /// A part of the thinking that is complete.
    struct Section: Equatable {
        var title: String
        var text: String
        var seconds: Double
        /// Whether it is shown only together with the answer.
        var isLast = false
    }

    /// What is complete and was not taken yet.
    var sections: [Section] = []
    /// What the answer has to do without.
    var missing: [String] = []
    /// What goes on.
    var status: [String] = []

    /// Takes what is there.
    mutating func take() -> ReasonLog {
        defer { self = ReasonLog() }
        return self
    }
}
