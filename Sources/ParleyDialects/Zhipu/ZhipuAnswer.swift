// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads the events of `sse-invoke`, whose data is plain text.
struct ZhipuStreamDecoder: StreamDecoder {
    private var frames = ServerSentEvents(ownField: "meta")
    private var text = GrowingText()
    private let isCumulative: Bool
    private var isStarted = false
    private(set) var isComplete = false

    init(isCumulative: Bool) {
        self.isCumulative = isCumulative
    }

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        frames.push(bytes)
        while !isComplete, let frame = try frames.next() { try read(frame, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let frame = frames.finish() { try read(frame, into: &events) }
        guard isComplete else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
    }

    private mutating func read(_ frame: ServerSentEvents.Frame, into events: inout [Event]) throws(ParleyError) {
        switch frame.event {
        case "add"?: add(frame, into: &events)
        case "finish"?:
            add(frame, into: &events)
            end(.stop, frame, into: &events)
        case "interrupted"?:
            // A content filter, or the server stopped; the words so far stay.
            add(frame, into: &events)
            end(.contentFilter, frame, into: &events)
        case "error"?: throw failure(frame.data)
        default:
            // An error may come without a name, as it would in a whole answer.
            guard let value = try? JSON.parse(frame.data), value["success"] == false else { return }
            throw failure(frame.data)
        }
    }

    private mutating func add(_ frame: ServerSentEvents.Frame, into events: inout [Event]) {
        if !isStarted {
            isStarted = true
            events.append(.start(AnswerIdentity()))
        }
        let said = String(buffer: frame.data)
        let piece = isCumulative ? text.addition(said) : said
        if !piece.isEmpty { events.append(.text(choice: 0, piece)) }
    }

    private mutating func end(
        _ reason: FinishReason, _ frame: ServerSentEvents.Frame, into events: inout [Event]
    ) {
        events.append(.finish(choice: 0, reason))
        if let meta = frame.own.flatMap({ try? JSON.parse($0) }) {
            let usage = WireUsage.read(meta["usage"], quirks: Quirks())
            if !usage.isEmpty { events.append(.usage(usage)) }
        }
        isComplete = true
    }

    /// What an error event says: a message or JSON.
    private func failure(_ data: ByteBuffer) -> ParleyError {
        if let value = try? JSON.parse(data), value.object != nil { return ZhipuWholeDecoder.failure(value) }
        var failure = UpstreamFailure(.string(String(buffer: data)))
        failure.verdict = FailureVerdict(.upstreamUnavailable)
        return failure.error()
    }
}

/// A text of which each message has all so far.
struct GrowingText {
    private var said = ""

    /// What is new in `text`. One that does not go on from what was said is new as a whole.
    mutating func addition(_ text: String) -> String {
        guard text.utf8.starts(with: said.utf8) else {
            // A repetition of an earlier state says nothing new.
            if said.utf8.starts(with: text.utf8) { return "" }
            said = text
            return text
        }
        let new = String(decoding: text.utf8.dropFirst(said.utf8.count), as: UTF8.self)
        said = text
        return new
    }
}

/// Reads a whole answer of `invoke`.
struct ZhipuWholeDecoder {
    let isCumulative: Bool

    func decode(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        let value: JSONValue
        do {
            value = try JSON.parse(body.trimmed)
        } catch {
            if body.looksLikeEvents { return try collect(body) }
            throw ParleyError(
                .upstreamUnavailable, "The upstream's answer is not JSON (byte \(error.offset): \(error.message)).")
        }
        guard let data = value["data"]?.object, value["success"] != false, let choices = data["choices"]?.array,
            !choices.isEmpty
        else { throw Self.failure(value) }
        guard data["task_status"]?.string != "FAIL" else {
            throw ParleyError(.upstreamUnavailable, "The upstream says that its task failed.")
        }
        let request = data["request_id"]?.string ?? data["task_id"]?.string ?? ""
        let identity = AnswerIdentity(id: request.isEmpty ? "" : "chatcmpl-\(request)")
        var response = ChatResponse(identity: identity, choices: [])
        for (index, choice) in choices.enumerated() {
            let text = Self.unquoted(choice["content"]?.string ?? "")
            response.choices.append(.init(index: index, message: Message(.assistant, text: text), finish: .stop))
        }
        response.usage = WireUsage.read(data["usage"], quirks: Quirks())
        return response
    }

    static func failure(_ value: JSONValue) -> ParleyError {
        UpstreamFailure.embedded(value) { ZhipuCodes.verdict($0.code) }
    }

    /// The content without the double quotes that it is wrapped in at times, as a text of JSON or as it is.
    private static func unquoted(_ text: String) -> String {
        guard text.utf8.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") else { return text }
        if case .string(let inner)? = try? JSON.parse(text) { return inner }
        let inner = text.dropFirst().dropLast()
        // Two quotations, one at either end, wrap nothing.
        return inner.contains("\"") ? text : String(inner)
    }

    /// Reads a stream that came where a whole answer was asked for.
    private func collect(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var decoder = ZhipuStreamDecoder(isCumulative: isCumulative)
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }
}
