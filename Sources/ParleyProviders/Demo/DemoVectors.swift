// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyDialects

/// The demo's vectors: words and pairs of neighbours hashed into a few dimensions, so that texts with words in common
/// are near each other and the same text is always the same vector.
enum DemoVectors {
    private static let standardLength = 64
    private static let longest = 4096

    /// One vector per input, of length one.
    static func response(to request: EmbeddingRequest, model: String) throws(ParleyError) -> EmbeddingResponse {
        let length = request.dimensions ?? standardLength
        guard (1...longest).contains(length) else {
            throw ParleyError(
                .invalid, "Invalid 'dimensions': the demo's vectors have 1 to \(longest) numbers.",
                code: "invalid_value", parameter: "dimensions")
        }
        var response = EmbeddingResponse([], model: model, usage: Usage(input: 0))
        for input in request.inputs {
            let words: [String]
            switch input {
            case .text(let text):
                words = text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
            case .tokens(let tokens): words = tokens.map { String($0) }
            }
            response.vectors.append(vector(words, length: length))
            response.usage.input = (response.usage.input ?? 0) + max(1, words.count)
        }
        return response
    }

    private static func vector(_ words: [String], length: Int) -> [Float] {
        var sums = [Float](repeating: 0, count: length)
        func add(_ word: String, weight: Float) {
            let hash = hash(word)
            let index = Int(hash % UInt64(length))
            sums[index] += hash >> 63 == 0 ? weight : -weight
        }
        for (index, word) in words.enumerated() {
            add(word, weight: 1)
            if index > 0 { add(words[index - 1] + " " + word, weight: 0.5) }
        }
        let size = sums.reduce(0) { $0 + $1 * $1 }.squareRoot()
        guard size > 0 else {
            sums[0] = 1
            return sums
        }
        return sums.map { $0 / size }
    }

    /// FNV-1a, with its bits mixed once more so that the lowest ones and the highest one are good.
    private static func hash(_ word: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in word.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash ^= hash >> 33
        hash = hash &* 0xFF51_AFD7_ED55_8CCD
        return hash ^ hash >> 33
    }
}

extension DemoModel {
    /// Vectors for the call's texts.
    func vectors(for call: Call) async throws(ParleyError) -> Reply {
        let client = try EmbeddingDialects.dialect(call.dialect)
        let request: EmbeddingRequest
        if let given = call.embedding { request = given } else { request = try client.decodeRequest(call.body) }
        try await begin(call)
        let response = try DemoVectors.response(to: request, model: call.model)
        let body = client.encodeResponse(response, for: request, AnswerContext(call))
        let observed = Observation(embedding: response.usage)
        return Reply(.client(ReadyBody(body, contentType: "application/json", observed: observed)))
    }
}
