// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One neutral step of a streamed answer.
public enum Event: Sendable, Equatable {
    /// The answer begins; comes first, once.
    case start(AnswerIdentity)
    case text(choice: Int, String)
    case refusal(choice: Int, String)
    /// A piece of reasoning; pieces of one choice join in order.
    case reasoning(choice: Int, Reasoning)
    /// A tool call begins; `index` counts the calls of the choice from zero.
    case toolCall(choice: Int, index: Int, ToolCall)
    /// More of the arguments of the call `index`.
    case arguments(choice: Int, index: Int, String)
    /// Audio: the dialect's own object with id, data, transcript or expiry.
    case audio(choice: Int, JSONValue)
    /// Log probabilities of what came just before, in OpenAI's shape.
    case logprobs(choice: Int, JSONValue)
    /// Fields of a delta with no neutral meaning, e.g. annotations or citations.
    case extra(choice: Int, Extras)
    /// The choice is complete.
    case finish(choice: Int, FinishReason)
    /// Tokens so far; merged by the larger number per class.
    case usage(Usage)

    /// Whether a client has been given something it would have to take back: after such an event nothing starts over.
    public var isMeaningful: Bool {
        switch self {
        case .start, .usage, .extra, .logprobs: false
        case .text(_, let text), .refusal(_, let text), .arguments(_, _, let text): !text.isEmpty
        case .reasoning(_, let reasoning):
            !reasoning.text.isEmpty || reasoning.signature != nil || reasoning.opaque != nil
        case .toolCall, .audio, .finish: true
        }
    }
}

/// What an answer calls itself.
public struct AnswerIdentity: Sendable, Equatable {
    /// The answer's id, e.g. `chatcmpl-…`; empty when the upstream gave none.
    public var id: String
    /// The model as the upstream calls it.
    public var model: String
    /// When it was made, in seconds since 1970; zero when the upstream did not say.
    public var created: Int
    /// Top-level fields with no neutral meaning, e.g. `system_fingerprint`, `service_tier`.
    public var extras = Extras()

    /// An identity.
    public init(id: String = "", model: String = "", created: Int = 0) {
        self.id = id
        self.model = model
        self.created = created
    }
}

/// A whole answer in the neutral form.
public struct ChatResponse: Sendable, Equatable {
    /// One of the answer's choices.
    public struct Choice: Sendable, Equatable {
        /// The choice's number.
        public var index: Int
        /// What the assistant said; role is always assistant.
        public var message: Message
        /// Audio in the dialect's own shape.
        public var audio: JSONValue?
        /// Log probabilities in OpenAI's shape.
        public var logprobs: JSONValue?
        /// Why it ended; nil when the upstream did not say.
        public var finish: FinishReason?

        /// A choice.
        public init(index: Int, message: Message, finish: FinishReason?) {
            self.index = index
            self.message = message
            self.finish = finish
        }
    }

    /// What the answer calls itself.
    public var identity: AnswerIdentity
    /// The choices in order.
    public var choices: [Choice]
    /// Tokens used; empty when not reported.
    public var usage: Usage

    /// A whole answer.
    public init(identity: AnswerIdentity, choices: [Choice], usage: Usage = Usage()) {
        self.identity = identity
        self.choices = choices
        self.usage = usage
    }
}
