// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads the events of Claude's web site, in either of its two ways.
struct ClaudeWebStreamDecoder: StreamDecoder {
    private var frames = ServerSentEvents()
    private var received = 0
    private var isStarted = false
    /// Why the answer ended, once that was said.
    private var reason: FinishReason?
    private(set) var isComplete = false

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        received = received.clampedSum(bytes.readableBytes)
        frames.push(bytes)
        while !isComplete, let frame = try frames.next() { try read(frame, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let frame = frames.finish() { try read(frame, into: &events) }
        guard !isComplete else { return }
        guard reason != nil else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
        end(into: &events)
    }

    private mutating func read(_ frame: ServerSentEvents.Frame, into events: inout [Event]) throws(ParleyError) {
        let value: JSONValue
        do {
            value = try JSON.parse(frame.data)
        } catch {
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a stream event that is not JSON (before byte \(received): \(error.message)).")
        }
        let type = value["type"]?.string ?? frame.event ?? ""
        if type == "error" || value["error"]?.object != nil { throw ClaudeWebFailure.error(value) }
        if let completion = value["completion"]?.string {
            try read(completion, value, into: &events)
        } else {
            read(value, type, into: &events)
        }
    }

    /// An event as in 2023: an increment of the text, with the reason in the last one.
    private mutating func read(
        _ completion: String, _ value: JSONValue, into events: inout [Event]
    ) throws(ParleyError) {
        if let exception = value["exception"], !exception.isNull {
            throw UpstreamFailure(["error": exception]).error()
        }
        start(AnswerIdentity(id: "", model: value["model"]?.string ?? ""), into: &events)
        if !completion.isEmpty { events.append(.text(choice: 0, completion)) }
        if let word = value["stop_reason"]?.string {
            note(word)
            end(into: &events)
        }
    }

    /// An event like those of Anthropic's Messages.
    private mutating func read(_ value: JSONValue, _ type: String, into events: inout [Event]) {
        switch type {
        case "message_start":
            let message = value["message"]
            start(
                AnswerIdentity(id: message?["id"]?.string ?? "", model: message?["model"]?.string ?? ""),
                into: &events)
        case "content_block_start": text(value["content_block"], into: &events)
        case "content_block_delta": text(value["delta"], into: &events)
        case "message_delta": if let word = value["delta"]?["stop_reason"]?.string { note(word) }
        case "message_stop": end(into: &events)
        // Pings, limits of messages, and whatever comes next.
        default: break
        }
    }

    private mutating func text(_ block: JSONValue?, into events: inout [Event]) {
        start(AnswerIdentity(), into: &events)
        if let thinking = block?["thinking"]?.string, !thinking.isEmpty {
            events.append(.reasoning(choice: 0, Reasoning(thinking)))
        }
        if let text = block?["text"]?.string, !text.isEmpty { events.append(.text(choice: 0, text)) }
    }

    private mutating func start(_ identity: AnswerIdentity, into events: inout [Event]) {
        guard !isStarted else { return }
        isStarted = true
        events.append(.start(identity))
    }

    private mutating func note(_ word: String) {
        reason = if case .finish(let reason) = FinishWord.read(.string(word)) { reason } else { .stop }
        // There are no tools to call.
        if reason == .toolCalls || reason == .functionCall { reason = .stop }
    }

    private mutating func end(into events: inout [Event]) {
        start(AnswerIdentity(), into: &events)
        events.append(.finish(choice: 0, reason ?? .stop))
        isComplete = true
    }
}
