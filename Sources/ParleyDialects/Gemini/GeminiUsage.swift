// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Gemini's `usageMetadata`.
///
/// `candidatesTokenCount` leaves the thoughts out, and `promptTokenCount` what built-in tools added to the prompt.
enum GeminiUsage {
    static func read(_ value: JSONValue?) -> Usage {
        guard let object = value?.object else { return Usage() }
        func count(_ name: String) -> Int? {
            guard let number = object[name]?.int, number >= 0 else { return nil }
            return number
        }
        var usage = usage(
            prompt: count("promptTokenCount"), tools: count("toolUsePromptTokenCount"),
            cached: count("cachedContentTokenCount"), candidates: count("candidatesTokenCount"),
            thoughts: count("thoughtsTokenCount"))
        usage.inputAudio = audio(object["promptTokensDetails"])
        usage.outputAudio = audio(object["candidatesTokensDetails"])
        return usage
    }

    /// The same from an object by position, for the relay.
    static func read(_ scan: JSONScan) -> Usage {
        func count(_ name: String) -> Int? { scan.int(name).flatMap { $0 >= 0 ? $0 : nil } }
        return usage(
            prompt: count("promptTokenCount"), tools: count("toolUsePromptTokenCount"),
            cached: count("cachedContentTokenCount"), candidates: count("candidatesTokenCount"),
            thoughts: count("thoughtsTokenCount"))
    }

    private static func usage(prompt: Int?, tools: Int?, cached: Int?, candidates: Int?, thoughts: Int?) -> Usage {
        var usage = Usage()
        if prompt != nil || tools != nil { usage.input = (prompt ?? 0).clampedSum(tools ?? 0) }
        if candidates != nil || thoughts != nil { usage.output = (candidates ?? 0).clampedSum(thoughts ?? 0) }
        usage.cacheRead = cached
        usage.reasoning = thoughts
        return usage
    }

    private static func audio(_ details: JSONValue?) -> Int? {
        for detail in details?.array ?? [] where detail["modality"] == "AUDIO" {
            guard let count = detail["tokenCount"]?.int, count >= 0 else { continue }
            return count
        }
        return nil
    }

    static func write(_ usage: Usage) -> JSONValue {
        let thoughts = min(max(0, usage.reasoning ?? 0), usage.output ?? 0)
        var object: JSONObject = ["promptTokenCount": .int(usage.input ?? 0)]
        if let cached = usage.cacheRead { object.members.append(.init("cachedContentTokenCount", .int(cached))) }
        if let output = usage.output { object.members.append(.init("candidatesTokenCount", .int(output - thoughts))) }
        if usage.reasoning != nil { object.members.append(.init("thoughtsTokenCount", .int(thoughts))) }
        object.members.append(.init("totalTokenCount", .int(usage.total)))
        if let audio = usage.inputAudio {
            object.members.append(
                .init("promptTokensDetails", [["modality": "AUDIO", "tokenCount": .int(audio)]]))
        }
        if let audio = usage.outputAudio {
            object.members.append(
                .init("candidatesTokensDetails", [["modality": "AUDIO", "tokenCount": .int(audio)]]))
        }
        return .object(object)
    }
}

/// Log probabilities in Gemini's shape and in OpenAI's.
enum GeminiLogprobs {
    static func read(_ value: JSONValue) -> JSONValue? {
        guard let chosen = value["chosenCandidates"]?.array, !chosen.isEmpty else { return nil }
        let tops = value["topCandidates"]?.array ?? []
        var content: [JSONValue] = []
        for (index, candidate) in chosen.enumerated() {
            let others = index < tops.count ? tops[index]["candidates"]?.array ?? [] : []
            var token = Self.token(candidate)
            token.members.append(.init("top_logprobs", .array(others.map { .object(Self.token($0)) })))
            content.append(.object(token))
        }
        return ["content": .array(content), "refusal": nil]
    }

    private static func token(_ value: JSONValue) -> JSONObject {
        let text = value["token"]?.string ?? ""
        return [
            "token": .string(text), "logprob": value["logProbability"] ?? 0,
            "bytes": .array(text.utf8.map { .int(Int($0)) }),
        ]
    }

    static func write(_ value: JSONValue) -> JSONValue? {
        guard let content = value["content"]?.array, !content.isEmpty else { return nil }
        func candidate(_ token: JSONValue) -> JSONValue {
            ["token": token["token"] ?? "", "logProbability": token["logprob"] ?? 0]
        }
        return [
            "topCandidates": .array(
                content.map { ["candidates": .array(($0["top_logprobs"]?.array ?? []).map(candidate))] }),
            "chosenCandidates": .array(content.map(candidate)),
        ]
    }
}
