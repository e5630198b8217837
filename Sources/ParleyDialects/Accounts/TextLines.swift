// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads an answer that comes as lines of JSON, each with a piece of the text, and ends with its body.
///
/// Lines that are no JSON are passed over, as both services' own clients do.
struct TextLinesDecoder: StreamDecoder {
    private var lines = JSONLines()
    /// The member that has the text.
    private let member: String
    private var preamble: PreambleFilter?
    private var finish = FinishReason.stop
    private var isStarted = false
    private(set) var isComplete = false

    init(member: String, preamble: PreambleFilter? = nil) {
        self.member = member
        self.preamble = preamble
    }

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        lines.push(bytes)
        while let line = try lines.next() { try read(line, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let line = lines.finish() { try read(line, into: &events) }
        guard isStarted else {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer has no line that can be read.")
        }
        if let rest = preamble?.finish(), !rest.isEmpty { events.append(.text(choice: 0, rest)) }
        events.append(.finish(choice: 0, finish))
        isComplete = true
    }

    private mutating func read(_ line: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard let object = (try? JSON.parse(line))?.object else { return }
        if object[member] == nil, Self.isFailure(object["error"]) { throw UpstreamFailure(.object(object)).error() }
        if !isStarted {
            isStarted = true
            events.append(.start(AnswerIdentity()))
        }
        if case .finish(.length) = FinishWord.read(object["finish_reason"]) { finish = .length }
        guard var text = object[member]?.string, !text.isEmpty else { return }
        if preamble != nil { text = preamble?.push(text) ?? text }
        if !text.isEmpty { events.append(.text(choice: 0, text)) }
    }

    private static func isFailure(_ value: JSONValue?) -> Bool {
        switch value {
        case .string(let text)?: !text.isEmpty
        case .object(let object)?: !object.isEmpty
        default: false
        }
    }

    /// A whole answer, which is the same lines.
    static func whole(_ body: ByteBuffer, _ decoder: Self) throws(ParleyError) -> ChatResponse {
        var decoder = decoder
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }
}
