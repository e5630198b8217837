// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Writes a Messages stream exactly as Anthropic does: `message_start`, blocks one after the other with dense numbers,
/// a ping behind the first block's start, `message_delta` with the usage, `message_stop`.
///
/// The start waits for the first event that says something, so that the usage it has to name is known where the upstream
/// says it early. Calls whose pieces come mixed wait for each other, since only one block can be open. Deltas are
/// written without a tree.
struct AnthropicStreamEncoder: StreamEncoder {
    private enum Open: Equatable {
        case none, text, thinking
        case tool(Int)
    }

    private let context: AnswerContext
    private var identity = AnswerIdentity()
    private var usage = Usage()
    private var hasStarted = false
    private var isEnded = false
    private var open = Open.none
    private var blocks = 0
    /// What came while the open call's arguments were not whole.
    private var waiting: [Event] = []
    private var balance = ArgumentBalance()
    private var finish: FinishReason?
    private var hasCalls = false
    /// Citations that wait for their text.
    private var citations: [JSONValue] = []
    /// What the end says beside the reason.
    private var ending = JSONObject()

    init(_ context: AnswerContext) {
        self.context = context
    }

    mutating func push(_ event: Event, into out: inout ByteBuffer) {
        switch event {
        case .start(let identity): if !hasStarted { self.identity = identity }
        case .usage(let more): usage.merge(more)
        case .finish(0, let reason): if finish == nil { finish = reason }
        default:
            accept(event, into: &out)
            if !waiting.isEmpty { release(into: &out) }
        }
    }

    mutating func finish(into out: inout ByteBuffer) {
        guard !isEnded else { return }
        isEnded = true
        start(into: &out)
        drain(into: &out)
        close(into: &out)
        writeEnd(into: &out)
    }

    private func writeEnd(into out: inout ByteBuffer) {
        out.writeStaticString("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":")
        let reason = finish ?? (hasCalls ? .toolCalls : .stop)
        out.writeJSON(AnthropicWhole.stopReason(reason, ending))
        out.writeStaticString(",\"stop_sequence\":")
        out.writeJSON(ending["stop_sequence"] ?? .null)
        for name in ["stop_details", "container"] {
            guard let value = ending[name] else { continue }
            out.writeStaticString(",")
            out.writeJSONString(name)
            out.writeStaticString(":")
            out.writeJSON(value)
        }
        out.writeStaticString("},\"usage\":")
        AnthropicUsage.write(usage, hasDetails: false, into: &out)
        if let management = ending["context_management"] {
            out.writeStaticString(",\"context_management\":")
            out.writeJSON(management)
        }
        out.writeStaticString("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        guard !isEnded else { return }
        isEnded = true
        AnthropicFailure.writeEvent(error, into: &out)
    }

    // MARK: - Order

    /// Whether nothing else may be written: the open call's arguments are not whole.
    private var isHolding: Bool {
        if case .tool = open { return balance.isOpen || balance.isEmpty }
        return false
    }

    /// Writes an event, or keeps it while something before it is not whole.
    private mutating func accept(_ event: Event, into out: inout ByteBuffer) {
        if case .arguments(0, let index, let text) = event, open == .tool(index) {
            return writeArguments(text, into: &out)
        }
        if isHolding || !waiting.isEmpty {
            waiting.append(event)
        } else {
            write(event, into: &out)
        }
    }

    /// Writes what waits, as far as it may be.
    private mutating func release(into out: inout ByteBuffer) {
        while !isHolding, !waiting.isEmpty {
            let pending = waiting
            waiting = []
            for event in pending { accept(event, into: &out) }
        }
    }

    /// Writes everything that waits: nothing more comes.
    private mutating func drain(into out: inout ByteBuffer) {
        while !waiting.isEmpty {
            close(into: &out)
            release(into: &out)
        }
    }

    private mutating func write(_ event: Event, into out: inout ByteBuffer) {
        switch event {
        case .text(0, let text):
            guard !text.isEmpty else { return }
            openText(into: &out)
            writeDelta("text_delta\",\"text\":", text, into: &out)
        case .refusal(0, let text):
            // Where the refusal has Anthropic's own details, its text is among them.
            guard !text.isEmpty, ending["stop_details"] == nil else { return }
            openText(into: &out)
            writeDelta("text_delta\",\"text\":", text, into: &out)
        case .reasoning(0, let reasoning): write(reasoning, into: &out)
        case .toolCall(0, let index, let call): write(call, index, into: &out)
        case .extra(0, let extras): add(extras.of(.anthropic), into: &out)
        // A piece of a call that is closed, and what has no place here.
        default: break
        }
    }

    // MARK: - Reasoning and text

    private mutating func write(_ reasoning: Reasoning, into out: inout ByteBuffer) {
        let isOwn = reasoning.origin == .anthropic
        if isOwn, let opaque = reasoning.opaque, opaque["type"] == "redacted_thinking" {
            return writeWhole(opaque, into: &out)
        }
        if !reasoning.text.isEmpty {
            openThinking(into: &out)
            writeDelta("thinking_delta\",\"thinking\":", reasoning.text, into: &out)
        }
        // Another vendor's signature would only be refused when it comes back.
        guard isOwn, let signature = reasoning.signature, !signature.isEmpty else { return }
        openThinking(into: &out)
        writeDelta("signature_delta\",\"signature\":", signature, into: &out)
        close(into: &out)
    }

    private mutating func openText(into out: inout ByteBuffer) {
        guard open != .text else { return }
        close(into: &out)
        openBlock(.text, into: &out)
        out.writeStaticString("{\"type\":\"text\",\"text\":\"\"}}\n\n")
        ping(into: &out)
        cite(into: &out)
    }

    private mutating func openThinking(into out: inout ByteBuffer) {
        guard open != .thinking else { return }
        close(into: &out)
        openBlock(.thinking, into: &out)
        // The SDKs want a signature to be there, be it empty; a client sends it back as it got it.
        out.writeStaticString("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n")
        ping(into: &out)
    }

    private mutating func add(_ extras: JSONObject, into out: inout ByteBuffer) {
        for member in extras.members {
            switch member.key {
            case "citations":
                // They come before the text they are of, or with it.
                citations += member.value.array ?? []
                if open == .text { cite(into: &out) }
            case AnthropicWhole.blocks:
                for block in member.value.array ?? [] { writeWhole(block, into: &out) }
            case StopReason.own, "stop_sequence", "stop_details", "container", "context_management":
                ending[member.key] = member.value
            default: break
            }
        }
    }

    /// Writes the citations of the text that is open; those that no text follows are lost.
    private mutating func cite(into out: inout ByteBuffer) {
        for citation in citations {
            beginDelta(into: &out)
            out.writeStaticString("citations_delta\",\"citation\":")
            out.writeJSON(citation)
            out.writeStaticString("}}\n\n")
        }
        citations.removeAll()
    }

    // MARK: - Calls

    private mutating func write(_ call: ToolCall, _ index: Int, into out: inout ByteBuffer) {
        hasCalls = true
        close(into: &out)
        openBlock(.tool(index), into: &out)
        balance = ArgumentBalance()
        out.writeStaticString("{\"type\":\"tool_use\",\"id\":")
        out.writeJSONString(call.id)
        out.writeStaticString(",\"name\":")
        out.writeJSONString(call.name)
        out.writeStaticString(",\"input\":{}}}\n\n")
        ping(into: &out)
        writeArguments(call.arguments, into: &out)
    }

    private mutating func writeArguments(_ text: String, into out: inout ByteBuffer) {
        guard !text.isEmpty else { return }
        balance.add(text)
        writeDelta("input_json_delta\",\"partial_json\":", text, into: &out)
    }

    // MARK: - Frames

    private mutating func start(into out: inout ByteBuffer) {
        guard !hasStarted else { return }
        hasStarted = true
        out.writeStaticString("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":")
        out.writeJSONString(AnthropicWhole.id(identity, context))
        out.writeStaticString(",\"type\":\"message\",\"role\":\"assistant\",\"model\":")
        out.writeJSONString(identity.model.isEmpty ? context.model : identity.model)
        out.writeStaticString(",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":")
        AnthropicUsage.write(usage, hasDetails: true, into: &out)
        for member in identity.extras.of(.anthropic).members {
            out.writeStaticString(",")
            out.writeJSONString(member.key)
            out.writeStaticString(":")
            out.writeJSON(member.value)
        }
        out.writeStaticString("}}\n\n")
    }

    /// Begins a block's start; the block itself and the frame's end follow.
    private mutating func openBlock(_ kind: Open, into out: inout ByteBuffer) {
        start(into: &out)
        open = kind
        out.writeStaticString("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":")
        out.writeString(String(blocks))
        out.writeStaticString(",\"content_block\":")
        blocks += 1
    }

    private func ping(into out: inout ByteBuffer) {
        guard blocks == 1 else { return }
        out.writeStaticString("event: ping\ndata: {\"type\": \"ping\"}\n\n")
    }

    private mutating func close(into out: inout ByteBuffer) {
        guard open != .none else { return }
        open = .none
        writeStop(into: &out)
    }

    private func writeStop(into out: inout ByteBuffer) {
        out.writeStaticString("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":")
        out.writeString(String(blocks - 1))
        out.writeStaticString("}\n\n")
    }

    private func beginDelta(into out: inout ByteBuffer) {
        out.writeStaticString("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":")
        out.writeString(String(blocks - 1))
        out.writeStaticString(",\"delta\":{\"type\":\"")
    }

    private func writeDelta(_ member: StaticString, _ text: String, into out: inout ByteBuffer) {
        beginDelta(into: &out)
        out.writeStaticString(member)
        out.writeJSONString(text)
        out.writeStaticString("}}\n\n")
    }

    /// Writes a block that came whole; input is streamed, as Anthropic does it.
    private mutating func writeWhole(_ block: JSONValue, into out: inout ByteBuffer) {
        guard case .object(var object) = block else { return }
        close(into: &out)
        let input = object["input"]
        if input != nil { object["input"] = [:] }
        openBlock(.none, into: &out)
        out.writeJSON(.object(object))
        out.writeStaticString("}\n\n")
        ping(into: &out)
        if let input, input.object?.isEmpty != true {
            writeDelta("input_json_delta\",\"partial_json\":", JSON.text(input), into: &out)
        }
        writeStop(into: &out)
    }
}
