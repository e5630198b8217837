// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads a ConverseStream: binary messages whose headers say what the JSON in them is.
///
/// The stream's end is `messageStop` and `metadata` with the usage, mostly in this order.
struct ConverseStreamDecoder: StreamDecoder {
    /// An open content block: what arrives for it goes where its start said.
    private enum Block {
        case tool(index: Int, hasArguments: Bool)
        case redacted(String)
        /// A tool that Bedrock calls itself, and that tool's result.
        case ignored
    }

    private var messages = EventStream()
    private var blocks: [Int: Block] = [:]
    private var calls = 0
    private var hasStarted = false
    private var hasFinished = false
    private var hasMetadata = false

    var isComplete: Bool { hasFinished && hasMetadata }

    /// The most blocks that may be open at once; a model has one or two.
    private static let blockLimit = 1024

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        messages.push(bytes)
        while !isComplete, let message = try messages.next() { try read(message, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        guard hasFinished else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
        // The reason is there; only the usage is missing.
        hasMetadata = true
    }

    private mutating func read(_ message: EventStream.Message, into events: inout [Event]) throws(ParleyError) {
        switch message.string(":message-type") {
        case "exception":
            var failure = ConverseFailure(body: message.payload)
            failure.type = ConverseFailure.name(message.string(":exception-type") ?? failure.type)
            // The status of a model's own error, of which the stream knows only the number.
            throw failure.error()
        case "error":
            throw ConverseFailure(
                type: message.string(":error-code") ?? "", message: message.string(":error-message") ?? ""
            ).error()
        case "event", nil: break
        default: return
        }
        guard let type = message.string(":event-type"), message.payload.readableBytes > 0 else { return }
        let value: JSONValue
        do {
            value = try JSON.parse(message.payload)
        } catch {
            throw ParleyError(
                .upstreamUnavailable, "The upstream sent a stream event that is not JSON (at byte \(error.offset)).")
        }
        try read(type, value, into: &events)
    }

    private mutating func read(
        _ type: String, _ value: JSONValue, into events: inout [Event]
    ) throws(ParleyError) {
        if !hasStarted {
            hasStarted = true
            events.append(.start(AnswerIdentity()))
        }
        let number = value["contentBlockIndex"]?.int ?? 0
        switch type {
        case "contentBlockStart": open(number, value["start"], into: &events)
        case "contentBlockDelta": add(value["delta"], to: number, into: &events)
        case "contentBlockStop": close(number, into: &events)
        case "messageStop":
            for number in blocks.keys.sorted() { close(number, into: &events) }
            guard !hasFinished else { return }
            let reason = try ConverseWords.finish(value["stopReason"]?.string ?? "end_turn", hasCalls: calls > 0)
            hasFinished = true
            events.append(.finish(choice: 0, reason ?? .stop))
        case "metadata":
            hasMetadata = true
            let usage = ConverseWords.usage(value["usage"])
            if !usage.isEmpty { events.append(.usage(usage)) }
        default: break
        }
    }

    private mutating func open(_ number: Int, _ start: JSONValue?, into events: inout [Event]) {
        guard blocks.count < Self.blockLimit else { return }
        if let use = start?["toolUse"] {
            guard !ConverseWords.isServerTool(use) else {
                blocks[number] = .ignored
                return
            }
            let id = use["toolUseId"]?.string ?? ""
            let call = ToolCall(
                id: id.isEmpty ? ConverseWords.id(ofCall: calls) : id, name: use["name"]?.string ?? "", arguments: "")
            events.append(.toolCall(choice: 0, index: calls, call))
            blocks[number] = .tool(index: calls, hasArguments: false)
            calls += 1
        } else if start?["toolResult"] != nil || start?["image"] != nil {
            blocks[number] = .ignored
        }
    }

    private mutating func add(_ delta: JSONValue?, to number: Int, into events: inout [Event]) {
        guard let delta else { return }
        if let text = delta["text"]?.string {
            if !text.isEmpty { events.append(.text(choice: 0, text)) }
        } else if let use = delta["toolUse"] {
            guard case .tool(let index, _)? = blocks[number], let piece = use["input"]?.string, !piece.isEmpty else {
                return
            }
            events.append(.arguments(choice: 0, index: index, piece))
            blocks[number] = .tool(index: index, hasArguments: true)
        } else if let reasoning = delta["reasoningContent"] {
            if let text = reasoning["text"]?.string {
                if !text.isEmpty { events.append(.reasoning(choice: 0, Reasoning(text, origin: .anthropic))) }
            } else if let signature = reasoning["signature"]?.string {
                events.append(.reasoning(choice: 0, Reasoning("", signature: signature, origin: .anthropic)))
            } else if let data = reasoning["redactedContent"]?.string {
                var whole = data
                if case .redacted(let before)? = blocks[number] { whole = before + data }
                if blocks.count < Self.blockLimit { blocks[number] = .redacted(whole) }
            }
        }
    }

    private mutating func close(_ number: Int, into events: inout [Event]) {
        switch blocks.removeValue(forKey: number) {
        case .tool(let index, hasArguments: false)?:
            // A tool without parameters is called with nothing, which is no JSON.
            events.append(.arguments(choice: 0, index: index, "{}"))
        case .redacted(let data)?: events.append(.reasoning(choice: 0, ConverseWords.redacted(data)))
        default: break
        }
    }
}
