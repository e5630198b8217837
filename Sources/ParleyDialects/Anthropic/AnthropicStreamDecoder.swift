// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads a Messages stream.
///
/// It copes with what was seen in the field: pings anywhere, events without names, a `message_start` that comes twice,
/// input in a block's start, no delta for a tool without arguments, a body that ends before `message_stop` but behind
/// the stop reason.
struct AnthropicStreamDecoder: StreamDecoder {
    private enum Kind { case text, thinking, tool, server }

    private struct Block {
        var wireIndex: Int
        var kind: Kind
        /// The number among the calls.
        var call = 0
        var hasInput = false
        /// Input that came with the start, which counts where no delta follows; of a server's block all of it.
        var input = ""
        /// The start of a block that only Anthropic knows.
        var start = JSONObject()
    }

    /// The most input of a server's own tools that is kept.
    private static let inputLimit = 16 << 20

    private var frames = ServerSentEvents()
    private var hasStarted = false
    private var open: [Block] = []
    private var calls = 0
    private var usage = AnthropicUsage()
    private var reported = Usage()
    private var isFinished = false
    private var seen = 0
    private(set) var isComplete = false

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        frames.push(bytes)
        while !isComplete, let frame = try frames.next() { try read(frame, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let frame = frames.finish() { try read(frame, into: &events) }
        guard !isComplete else { return }
        guard isFinished else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
        isComplete = true
    }

    private mutating func read(_ frame: ServerSentEvents.Frame, into events: inout [Event]) throws(ParleyError) {
        seen += 1
        let value: JSONValue
        do {
            value = try JSON.parse(frame.data)
        } catch {
            if frame.event == "error" { throw AnthropicFailure.inStream(frame.data) }
            // Some who copy the API end their streams as OpenAI does.
            if frame.data.readableBytesView.elementsEqual("[DONE]".utf8) { return }
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a stream event that is not JSON (event \(seen), byte \(error.offset)).")
        }
        guard let object = value.object else {
            throw ParleyError(.upstreamUnavailable, "The upstream sent a stream event that is no object.")
        }
        let type = object["type"]?.string ?? frame.event ?? ""
        if type == "error" || object["error"]?.object != nil { throw AnthropicFailure.inStream(frame.data) }
        read(object, type, into: &events)
    }

    private mutating func read(_ object: JSONObject, _ type: String, into events: inout [Event]) {
        switch type {
        case "message_start": start(object["message"]?.object ?? [:], into: &events)
        case "content_block_start":
            guard let block = object["content_block"]?.object else { return }
            begin(into: &events)
            openBlock(block, object["index"]?.int ?? 0, into: &events)
        case "content_block_delta":
            guard let delta = object["delta"]?.object else { return }
            begin(into: &events)
            read(delta: delta, object["index"]?.int ?? 0, into: &events)
        case "content_block_stop": close(object["index"]?.int ?? 0, into: &events)
        case "message_delta": end(object, into: &events)
        case "message_stop":
            begin(into: &events)
            finishAnswer(nil, into: &events)
            isComplete = true
        // `ping`, and whatever comes next.
        default: break
        }
    }

    // MARK: - The message

    private mutating func start(_ message: JSONObject, into events: inout [Event]) {
        // Proxies were seen to send it twice.
        if !hasStarted {
            hasStarted = true
            events.append(.start(AnthropicWhole.identity(message)))
        }
        usage.merge(message["usage"])
        reportUsage(into: &events)
    }

    private mutating func begin(into events: inout [Event]) {
        guard !hasStarted else { return }
        hasStarted = true
        events.append(.start(AnswerIdentity()))
    }

    private mutating func end(_ object: JSONObject, into events: inout [Event]) {
        begin(into: &events)
        var delta = object["delta"]?.object ?? [:]
        if let management = object["context_management"] { delta["context_management"] = management }
        let extras = StopReason.extras(delta)
        if !extras.isEmpty { events.append(.extra(choice: 0, Extras(.anthropic, extras))) }
        usage.merge(object["usage"])
        if let reason = StopReason.read(delta["stop_reason"]?.string, calls: calls > 0) {
            if reason == .contentFilter, let why = delta["stop_details"]?["explanation"]?.string, !why.isEmpty {
                events.append(.refusal(choice: 0, why))
            }
            finishAnswer(reason, into: &events)
        }
        reportUsage(into: &events)
    }

    private mutating func finishAnswer(_ reason: FinishReason?, into events: inout [Event]) {
        while let block = open.first { close(block.wireIndex, into: &events) }
        guard !isFinished else { return }
        isFinished = true
        events.append(.finish(choice: 0, reason ?? (calls > 0 ? .toolCalls : .stop)))
    }

    private mutating func reportUsage(into events: inout [Event]) {
        let now = usage.neutral
        guard now != reported else { return }
        reported = now
        events.append(.usage(now))
    }

    // MARK: - Blocks

    private mutating func openBlock(_ start: JSONObject, _ index: Int, into events: inout [Event]) {
        // One that was never closed ends where another takes its number.
        close(index, into: &events)
        switch start["type"]?.string {
        case "text":
            open.append(Block(wireIndex: index, kind: .text))
            if let text = start["text"]?.string, !text.isEmpty { events.append(.text(choice: 0, text)) }
            for citation in start["citations"]?.array ?? [] { cite(citation, into: &events) }
        case "thinking":
            open.append(Block(wireIndex: index, kind: .thinking))
            think(start["thinking"]?.string, start["signature"]?.string, into: &events)
        case "redacted_thinking":
            let thought = Reasoning(
                "", signature: start["data"]?.string, opaque: .object(start), origin: .anthropic)
            events.append(.reasoning(choice: 0, thought))
        case "tool_use":
            var block = Block(wireIndex: index, kind: .tool, call: calls)
            if let input = start["input"], input.object?.isEmpty == false { block.input = JSON.text(input) }
            open.append(block)
            let id = start["id"]?.string ?? ""
            let call = ToolCall(
                id: id.isEmpty ? "toolu_\(calls)" : id, name: start["name"]?.string ?? "", arguments: "")
            events.append(.toolCall(choice: 0, index: calls, call))
            calls += 1
        default:
            open.append(Block(wireIndex: index, kind: .server, start: start))
        }
    }

    private mutating func read(delta: JSONObject, _ index: Int, into events: inout [Event]) {
        switch delta["type"]?.string {
        case "text_delta":
            if let text = delta["text"]?.string, !text.isEmpty { events.append(.text(choice: 0, text)) }
        case "thinking_delta": think(delta["thinking"]?.string, nil, into: &events)
        case "signature_delta": think(nil, delta["signature"]?.string, into: &events)
        case "citations_delta":
            if let citation = delta["citation"], !citation.isNull { cite(citation, into: &events) }
        case "input_json_delta":
            guard let text = delta["partial_json"]?.string, !text.isEmpty,
                let slot = open.lastIndex(where: { $0.wireIndex == index })
            else { return }
            switch open[slot].kind {
            case .tool:
                open[slot].hasInput = true
                events.append(.arguments(choice: 0, index: open[slot].call, text))
            case .server:
                if open[slot].input.utf8.count + text.utf8.count <= Self.inputLimit { open[slot].input += text }
            case .text, .thinking: break
            }
        default: break
        }
    }

    private func think(_ text: String?, _ signature: String?, into events: inout [Event]) {
        let signature = signature.flatMap { $0.isEmpty ? nil : $0 }
        guard text?.isEmpty == false || signature != nil else { return }
        events.append(.reasoning(choice: 0, Reasoning(text ?? "", signature: signature, origin: .anthropic)))
    }

    private func cite(_ citation: JSONValue, into events: inout [Event]) {
        events.append(.extra(choice: 0, Extras(.anthropic, ["citations": [citation]])))
    }

    private mutating func close(_ index: Int, into events: inout [Event]) {
        guard let slot = open.lastIndex(where: { $0.wireIndex == index }) else { return }
        let block = open.remove(at: slot)
        switch block.kind {
        case .tool where !block.hasInput:
            // A tool without arguments may stream none, and clients read what they get as JSON.
            let input = block.input.isEmpty ? "{}" : block.input
            events.append(.arguments(choice: 0, index: block.call, input))
        case .server:
            var whole = block.start
            if !block.input.isEmpty, let input = try? JSON.parse(block.input) { whole["input"] = input }
            events.append(.extra(choice: 0, Extras(.anthropic, [AnthropicWhole.blocks: [.object(whole)]])))
        case .tool, .text, .thinking: break
        }
    }
}
