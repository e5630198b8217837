// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A request for vectors, in the neutral form.
public struct EmbeddingRequest: Sendable, Equatable {
    /// One thing to embed.
    public enum Input: Sendable, Equatable {
        case text(String)
        /// Tokens of the model's own tokenizer.
        case tokens([Int])
    }

    /// The inputs in order.
    public var inputs: [Input]
    /// Whether the client sent one input that was not in a list.
    public var isSingle = false
    /// How long each vector is to be; nil is the model's own length.
    public var dimensions: Int?
    /// What the vectors are for, in Gemini's words, e.g. `RETRIEVAL_QUERY`.
    public var task: String?
    /// The title of the document that is embedded (Gemini).
    public var title: String?
    /// An opaque end-user id.
    public var user: String?
    /// Whether the client wants vectors as base64 of 32-bit floats (OpenAI).
    public var wantsBase64 = false
    /// Fields with no neutral meaning.
    public var extras = Extras()

    /// A request for the vectors of `inputs`.
    public init(_ inputs: [Input]) {
        self.inputs = inputs
    }
}

/// Vectors, in the neutral form.
public struct EmbeddingResponse: Sendable, Equatable {
    /// One vector per input, in order.
    public var vectors: [[Float]]
    /// The model as the upstream calls it; empty where it does not say.
    public var model: String
    /// Tokens used; empty when not reported.
    public var usage: Usage

    /// Vectors with the tokens they took.
    public init(_ vectors: [[Float]], model: String = "", usage: Usage = Usage()) {
        self.vectors = vectors
        self.model = model
        self.usage = usage
    }
}
