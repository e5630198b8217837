// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
public import ParleyCore
public import ParleyDialects

/// The dialects there are, by id.
public enum Dialects {
    /// What clients speak whose path says nothing else. Made once: a dialect is a value of some size.
    public static let openAIChat: any Dialect = OpenAIChat()

    /// Every dialect, in the order of the documentation.
    public static let all: [any Dialect] = [
        openAIChat, OpenAIResponses(), OpenAICompletions(), Anthropic(), Gemini(), Bedrock(), Ollama(), Cohere(),
        FlowGPT(), FittenCode(), ClaudeWeb(),
        Spark(), Agent(),
        Zhipu(), Ernie(), DashScope(),
    ]

    private static let byID = Dictionary(all.map { ($0.id, $0) }) { first, _ in first }

    /// The dialect called `id`.
    ///
    /// - Throws: `notImplemented` where it is not built.
    public static func dialect(_ id: DialectID) throws(ParleyError) -> any Dialect {
        if id == .openAIChat { return openAIChat }
        guard let dialect = byID[id] else {
            throw ParleyError(.notImplemented, "The dialect \(id.name) is not built yet.")
        }
        return dialect
    }
}

/// The dialects in which clients ask for vectors, by id.
public enum EmbeddingDialects {
    /// Every dialect, in the order of the documentation.
    public static let all: [any EmbeddingDialect] = [
        OpenAIEmbeddings(), GeminiEmbeddings(), OllamaEmbeddings(), CohereEmbeddings(),
    ]

    private static let byID = Dictionary(all.map { ($0.id, $0) }) { first, _ in first }

    /// The dialect called `id`.
    ///
    /// - Throws: `invalid` where it has no embeddings.
    public static func dialect(_ id: DialectID) throws(ParleyError) -> any EmbeddingDialect {
        guard let dialect = byID[id] else {
            throw ParleyError(
                .invalid, "The dialect \(id.name) has no embeddings.", code: "unsupported_operation")
        }
        return dialect
    }
}

extension AnswerContext {
    /// What an answer to `call` is called where the upstream does not say.
    public init(_ call: Call) {
        self.init(id: call.id, model: call.model, created: time(nil), includeUsage: call.includeUsage)
        asArray = call.asArray
        request = call.original ?? call.body
    }
}
