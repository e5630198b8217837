// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

// Facts: the vendors' own references of their OpenAI-compatible paths.
extension Catalogue {
    /// What the vendors have beside chats where the paths are OpenAI's, by kind of provider: requests for it are passed
    /// on. With another path where it has one: below the base URL, or from the host's root when it begins with `//`.
    static let passed: [String: [PassedRequest.Kind: String?]] = [
        "openai": has([.moderations, .images, .audio, .files, .batches]),
        "openai-compatible": has(PassedRequest.Kind.allCases),
        "groq": has([.audio, .files, .batches]),
        // Its batches are jobs at a path of their own.
        "mistral": has([.moderations, .audio, .files]),
        "xai": has([.images, .files]),
        "together": has([.images, .audio, .rerank, .files, .batches]),
        "fireworks": has([.rerank]),
        "moonshot": has([.files]),
        "siliconflow": has([.images, .audio, .rerank, .files, .batches]),
        "deepinfra": has([.images, .audio]),
        "volcengine": has([.images]),
        "stepfun": has([.images, .audio, .files]),
        "gpustack": has([.images, .audio, .rerank]),
        "gemini-openai": has([.images]),
        "zai": has([.images, .audio]),
        "bigmodel": has([.moderations, .images, .audio, .rerank, .files, .batches]),
        "dashscope-compatible": has([.files, .batches]),
        "qianfan-v2": has([.images], [.rerank: "/rerankers"]),
        "cohere-compatible": has([], [.rerank: "//v2/rerank"]),
        "vllm": has([.audio, .rerank]),
        "llamacpp": has([.rerank]),
    ]

    private static func has(
        _ kinds: [PassedRequest.Kind], _ elsewhere: [PassedRequest.Kind: String] = [:]
    ) -> [PassedRequest.Kind: String?] {
        var all: [PassedRequest.Kind: String?] = elsewhere.mapValues { $0 }
        for kind in kinds { all[kind] = .some(nil) }
        return all
    }
}
