// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Replaying exchanges with Gemini")
struct GeminiReplayTests {
    @Test("An answer comes to what its transcript expects", arguments: GeminiExchange.own.map(\.name))
    func expected(name: String) throws {
        let exchange = try #require(GeminiExchange.own.first { $0.name == name })
        let expect = try #require(exchange.expect)
        let decoded = exchange.answer()
        if let error = expect["error"] {
            let failure = try #require(decoded.failure)
            let envelope = try JSON.parse(OpenAIChat().encodeFailure(failure))["error"]
            if let status = error["status"]?.int { #expect(failure.httpStatus == status) }
            if let type = error["type"] { #expect(envelope?["type"] == type) }
            if let code = error["code"] { #expect(envelope?["code"] == code) }
        } else {
            #expect(decoded.failure == nil)
        }
        let response = decoded.response
        let message = response.choices.first?.message
        if let text = expect["text"]?.string { #expect(message?.text ?? "" == text) }
        if let texts = expect["texts"]?.array {
            #expect(response.choices.map { .string($0.message.text) } == texts)
        }
        if let reasoning = expect["reasoning"]?.string {
            #expect(message?.reasoning.map(\.text).joined() == reasoning)
        }
        if let finish = expect["finish"]?.string { #expect(response.choices.first?.finish?.rawValue == finish) }
        if let calls = expect["tool_calls"]?.array {
            #expect(message?.toolCalls.map(\.name) == calls.map { $0["name"]?.string ?? "" })
            #expect(message?.toolCalls.map(\.arguments) == calls.map { $0["arguments"]?.string ?? "" })
            #expect(Set(message?.toolCalls.map(\.id) ?? []).count == calls.count)
        }
        let usage = response.usage
        if let count = expect["usage"]?["prompt"]?.int { #expect(usage.input == count) }
        if let count = expect["usage"]?["completion"]?.int { #expect(usage.output == count) }
        if let count = expect["usage"]?["total"]?.int { #expect(usage.total == count) }
        if let count = expect["usage"]?["cached"]?.int { #expect(usage.cacheRead == count) }
        if let count = expect["usage"]?["reasoning"]?.int { #expect(usage.reasoning == count) }
    }

    @Test(
        "A stream gives the same in any pieces, and again after it was written",
        arguments: (GeminiExchange.own + GeminiExchange.recorded).filter { $0.isStream && $0.status < 400 }.map(\.name))
    func splits(name: String) throws {
        let exchange = try #require((GeminiExchange.own + GeminiExchange.recorded).first { $0.name == name })
        let bytes = exchange.body
        let whole = GeminiRun.decode([bytes[...]])
        #expect(Self.unplaced(GeminiRun.decode(bytes.indices.map { bytes[$0...$0] })) == Self.unplaced(whole))
        for seed in 0..<20 as Range<UInt64> {
            #expect(Self.unplaced(GeminiRun.decode(pieces(of: bytes, seed: seed))) == Self.unplaced(whole))
        }
        guard whole.failure == nil else { return }
        for asArray in [false, true] {
            let again = GeminiRun.decode(GeminiRun.encode(whole.events, asArray: asArray))
            #expect(again.failure == nil && again.isComplete)
            #expect(again.response.choices == whole.response.choices)
            #expect(again.response.usage == whole.response.usage)
            #expect(again.response.identity.id == whole.response.identity.id)
        }
        let written = GeminiRun.dialect.encodeWhole(whole.response, context)
        #expect(try GeminiRun.dialect.decodeWhole(written).choices == whole.response.choices)
    }

    /// Messages say up to which byte the stream was read.
    private static func unplaced(_ decoded: Decoded) -> Decoded {
        var decoded = decoded
        if decoded.failure?.message.contains("before byte") == true { decoded.failure?.message = "" }
        return decoded
    }

    @Test(
        "Recorded answers have content, an end and usage, or are errors",
        arguments: GeminiExchange.recorded.map(\.name))
    func recordings(name: String) throws {
        let exchange = try #require(GeminiExchange.recorded.first { $0.name == name })
        let decoded = exchange.answer()
        guard exchange.status < 400 else {
            #expect((decoded.failure?.httpStatus ?? 0) >= 400 && decoded.failure?.message.isEmpty == false)
            return
        }
        #expect(decoded.failure == nil)
        let response = decoded.response
        #expect(!response.choices.isEmpty && response.choices.allSatisfy { $0.finish != nil })
        #expect(response.choices.contains { !$0.message.text.isEmpty || !$0.message.toolCalls.isEmpty })
        #expect((response.usage.input ?? 0) > 0 && (response.usage.output ?? 0) > 0)
        let written = GeminiRun.dialect.encodeWhole(response, context)
        let again = try GeminiRun.dialect.decodeWhole(written)
        #expect(again.choices == response.choices && again.usage == response.usage)
    }

    @Test(
        "A request is read and written the same but for what is normalised",
        arguments: (GeminiExchange.own + GeminiExchange.recorded).filter { $0.request?.object != nil }.map(\.name))
    func requests(name: String) throws {
        let exchange = try #require((GeminiExchange.own + GeminiExchange.recorded).first { $0.name == name })
        let body = try #require(exchange.request)
        var dropped: [String] = []
        let request = try GeminiRun.request(body, model: exchange.model)
        let written = try GeminiRun.written(request, dropped: &dropped)
        #expect(dropped.isEmpty)
        #expect(same(GeminiRun.normalised(written), GeminiRun.normalised(body)), "\(JSON.text(written).prefix(2000))")
        let again = try GeminiRun.request(written, model: exchange.model)
        #expect(try GeminiRun.written(again) == written)
    }

    @Test("How many recordings there are is said")
    func count() {
        let isSet = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] != nil
        print("Gemini: \(GeminiExchange.recorded.count) recordings replayed")
        #expect(GeminiExchange.recorded.isEmpty == !isSet)
        #expect(GeminiExchange.own.count >= 15)
    }
}
