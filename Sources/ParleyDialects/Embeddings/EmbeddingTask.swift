// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What vectors are for, in the words of the services; the neutral form has Gemini's.
///
/// Sources: Google's reference of `TaskType`, Cohere's and Voyage's of `input_type`, Jina's of `task`.
enum EmbeddingTask {
    /// Voyage's `input_type`.
    static func voyage(_ task: String) -> String? {
        switch task {
        case "RETRIEVAL_QUERY", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY": "query"
        case "RETRIEVAL_DOCUMENT": "document"
        default: nil
        }
    }

    /// Jina's `task`.
    static func jina(_ task: String) -> String? {
        switch task {
        case "RETRIEVAL_QUERY", "QUESTION_ANSWERING", "FACT_VERIFICATION": "retrieval.query"
        case "RETRIEVAL_DOCUMENT": "retrieval.passage"
        case "SEMANTIC_SIMILARITY": "text-matching"
        case "CLASSIFICATION": "classification"
        case "CLUSTERING": "separation"
        case "CODE_RETRIEVAL_QUERY": "code.query"
        default: nil
        }
    }

    /// Cohere's `input_type`.
    static func cohere(_ task: String) -> String? {
        switch task {
        case "RETRIEVAL_QUERY", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY": "search_query"
        case "RETRIEVAL_DOCUMENT": "search_document"
        case "CLASSIFICATION": "classification"
        case "CLUSTERING": "clustering"
        default: nil
        }
    }

    /// The neutral word for what a client calls it in any of these.
    static func neutral(_ word: String) -> String? {
        switch word {
        case "query", "search_query", "retrieval.query": "RETRIEVAL_QUERY"
        case "document", "passage", "search_document", "retrieval.passage": "RETRIEVAL_DOCUMENT"
        case "text-matching": "SEMANTIC_SIMILARITY"
        case "classification": "CLASSIFICATION"
        case "clustering", "separation": "CLUSTERING"
        case "code.query": "CODE_RETRIEVAL_QUERY"
        default: nil
        }
    }
}
