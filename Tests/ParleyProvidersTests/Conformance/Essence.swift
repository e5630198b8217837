// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit
import ParleyWire

@testable import ParleyDialects

/// What an answer says, as far as a dialect can keep it.
struct Essence: Equatable, CustomStringConvertible {
    struct Choice: Equatable {
        var text: String
        var reasoning = ""
        var signatures: [String] = []
        var calls: [String] = []
        var finish: FinishReason?
    }

    var choices: [Choice] = []
    var usage: [String: Int] = [:]

    var description: String { "\(choices) \(usage)" }

    /// Dialects whose answers have one choice.
    static let singleChoice: Set<DialectID> = [.openAIResponses, .anthropic]

    /// What `dialect` can keep of a response. Classes of usage that nobody reported are not compared: some dialects
    /// must write zero.
    init(_ response: ChatResponse, in dialect: DialectID, like usage: Usage) {
        let all = Self.singleChoice.contains(dialect) ? Array(response.choices.prefix(1)) : response.choices
        for choice in all.sorted(by: { $0.index < $1.index }) { choices.append(Self.choice(choice, dialect)) }
        // The input contains what was cached, also where an upstream counts otherwise.
        let input = response.usage.input.map { max($0, response.usage.cacheRead ?? 0) }
        for (name, count, said) in [
            ("input", input, usage.input), ("output", response.usage.output, usage.output),
            ("cache", response.usage.cacheRead, usage.cacheRead),
        ] where said != nil && said != 0 { self.usage[name] = count }
    }

    private static func choice(_ choice: ChatResponse.Choice, _ dialect: DialectID) -> Choice {
        let message = choice.message
        // Where a dialect has no word for a refusal, it is text.
        var essence = Choice(text: message.text + (message.refusal ?? ""))
        let isRefused = !(message.refusal ?? "").isEmpty
        if dialect != .openAICompletions {
            essence.reasoning = message.reasoning.map(\.text).joined()
            essence.calls = message.toolCalls.map { "\($0.name) \(arguments($0.arguments))" }
        }
        if dialect == .anthropic || dialect == .gemini {
            essence.signatures = message.reasoning.filter { $0.origin == dialect }.compactMap(\.signature)
                // Other vendors' signatures pass through Gemini's clients under a seal; read as Gemini's own it says so.
                .filter { !$0.hasPrefix("cGFybGV5L") }
        }
        essence.finish = finish(choice.finish, isRefused: isRefused, calls: essence.calls)
        return essence
    }

    /// The arguments in one layout; ones that are no object may have become the member `input` of one.
    private static func arguments(_ text: String) -> String {
        guard let value = try? JSON.parse(text.isEmpty ? "{}" : text) else { return text }
        if let object = value.object, object.members.count == 1, let input = object["input"]?.string { return input }
        return JSON.text(value)
    }

    /// The reason without what dialects word differently: a refusal may end as a filter does, and calls end as calls.
    private static func finish(_ reason: FinishReason?, isRefused: Bool, calls: [String]) -> FinishReason? {
        switch reason {
        case .length, .contentFilter: reason
        default: calls.isEmpty ? .stop : .toolCalls
        }
    }
}

/// Answers on their way into a dialect and back.
enum RoundTrip {
    static let context = AnswerContext(id: "own", model: "asked", created: 99, includeUsage: true)

    static func collected(_ events: [Event]) -> ChatResponse {
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// The stream that a client gets.
    static func stream(_ events: [Event], in dialect: any Dialect, asArray: Bool = false) -> [UInt8] {
        var context = context
        context.asArray = asArray
        var encoder = dialect.makeStreamEncoder(context)
        var out = ByteBuffer()
        for event in events { encoder.push(event, into: &out) }
        encoder.finish(into: &out)
        return Array(out.readableBytesView)
    }

    /// A stream that fails after some of its events.
    static func failing(_ events: ArraySlice<Event>, in dialect: any Dialect) -> [UInt8] {
        var encoder = dialect.makeStreamEncoder(context)
        var out = ByteBuffer()
        for event in events { encoder.push(event, into: &out) }
        encoder.fail(ParleyError(.upstreamUnavailable, "gone \"away\"\n"), into: &out)
        return Array(out.readableBytesView)
    }

    /// The events of a stream that comes in pieces.
    static func decode(_ pieces: [[UInt8]], in dialect: any Dialect) throws(ParleyError) -> [Event] {
        var decoder = dialect.makeStreamDecoder()
        var events: [Event] = []
        for piece in pieces { try decoder.push(ByteBuffer(bytes: piece), into: &events) }
        try decoder.finish(into: &events)
        return events
    }

    /// How a stream is cut: whole, at random, and byte by byte where it is short.
    static func plans(_ count: Int, seed: UInt64) -> [Splits.Plan] {
        // What one byte is cut into is the whole.
        let plans = [Splits.bytewise(forBytes: 1), Splits.manyPart(forBytes: count, seed: seed)]
        return count <= 6_000 ? plans + [Splits.bytewise(forBytes: count)] : plans
    }

    /// Whether every frame of a stream of events is JSON or the terminator.
    static func isWellFormed(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        return text.utf8.split(separator: 0x0A).allSatisfy { line in
            var line = String(decoding: line, as: UTF8.self)
            if line.unicodeScalars.last == "\r" { line.unicodeScalars.removeLast() }
            guard line.hasPrefix("data: ") else { return true }
            let data = String(line.dropFirst(6))
            return data == "[DONE]" || (try? JSON.parse(data)) != nil
        }
    }
}
