// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Writes a stream of Responses as OpenAI does: numbered events, every item announced, told and ended, and response
/// objects with the request's settings at both ends.
///
/// One item is open at a time, but for calls whose arguments are still coming. Deltas are written without a tree.
struct ResponsesStreamEncoder: StreamEncoder {
    private let context: AnswerContext
    private var object: ResponseObject?
    private var frames = ResponsesFrames()
    /// The items by `output_index`; nil while one is open.
    private var output: [JSONValue?] = []
    private var message: ResponsesOpenMessage?
    private var reasoning: ResponsesOpenReasoning?
    private var calls: [ResponsesOpenCall] = []
    /// Text that waits for its log probabilities, which come as the next event.
    private var held: String?
    private var finish: FinishReason?
    private var usage = Usage()
    private var isEnded = false

    init(_ context: AnswerContext) {
        self.context = context
    }

    mutating func push(_ event: Event, into out: inout ByteBuffer) {
        guard !isEnded else { return }
        switch event {
        case .start(let identity): start(identity, into: &out)
        case .text(0, let text): write(text: text, into: &out)
        case .refusal(0, let text): write(refusal: text, into: &out)
        case .reasoning(0, let reasoning): write(reasoning, into: &out)
        case .toolCall(0, let index, let call): begin(call, index, into: &out)
        case .arguments(0, let index, let text): write(arguments: text, index, into: &out)
        case .logprobs(0, let value): write(logprobs: value, into: &out)
        case .extra(0, let extras): write(extras, into: &out)
        case .finish(0, let reason):
            start(AnswerIdentity(), into: &out)
            finish = finish ?? reason
            closeAll(into: &out)
        case .usage(let more): usage.merge(more)
        // There is one answer here, and no audio in it.
        case .text, .refusal, .reasoning, .toolCall, .arguments, .logprobs, .extra, .finish, .audio: break
        }
    }

    mutating func finish(into out: inout ByteBuffer) {
        guard !isEnded else { return }
        start(AnswerIdentity(), into: &out)
        closeAll(into: &out)
        isEnded = true
        let isIncomplete = incompleteReason != nil
        frames.begin(isIncomplete ? "response.incomplete" : "response.completed", into: &out)
        out.writeStaticString(",\"response\":")
        writeResponse(into: &out)
        frames.end(into: &out)
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        guard !isEnded else { return }
        start(AnswerIdentity(), into: &out)
        isEnded = true
        let failure = ResponsesFailureWords(error)
        frames.writeError(failure, into: &out)
        frames.begin("response.failed", into: &out)
        out.writeStaticString(",\"response\":")
        object?.write(
            .failed, output: finished(openAs: "incomplete"), usage: usage, failure: (failure.code, error.message),
            into: &out)
        frames.end(into: &out)
    }

    /// The final response, once everything was pushed.
    func writeResponse(into out: inout ByteBuffer) {
        let status: ResponseObject.Status = incompleteReason == nil ? .completed : .incomplete
        object?.write(
            status, output: output.compactMap { $0 }, usage: usage, reason: incompleteReason, into: &out)
    }

    private var incompleteReason: String? {
        switch finish {
        case .length?: "max_output_tokens"
        case .contentFilter?: "content_filter"
        default: nil
        }
    }

    private mutating func start(_ identity: AnswerIdentity, into out: inout ByteBuffer) {
        guard object == nil else { return }
        let object = ResponseObject(identity, context)
        self.object = object
        for type in ["response.created", "response.in_progress"] as [StaticString] {
            frames.begin(type, into: &out)
            out.writeStaticString(",\"response\":")
            object.write(.inProgress, output: [], into: &out)
            frames.end(into: &out)
        }
    }

    // MARK: - Text

    private mutating func write(text: String, into out: inout ByteBuffer) {
        guard !text.isEmpty else { return }
        openMessage(into: &out)
        guard object?.wantsLogprobs == true else {
            message?.writeText(text, [], &frames, into: &out)
            return
        }
        flushHeld(into: &out)
        held = text
    }

    private mutating func write(logprobs value: JSONValue, into out: inout ByteBuffer) {
        guard object?.wantsLogprobs == true, let list = value["content"]?.array, !list.isEmpty else { return }
        let text = held ?? ""
        held = nil
        openMessage(into: &out)
        message?.writeText(text, list.map { Self.complete(logprob: $0) }, &frames, into: &out)
    }

    /// A token with the members that the official SDK's model requires, where a vendor left them out.
    private static func complete(logprob value: JSONValue, isInner: Bool = false) -> JSONValue {
        guard case .object(var object) = value else { return value }
        if object["bytes"]?.array == nil {
            object["bytes"] = .array((object["token"]?.string ?? "").utf8.map { .int(Int($0)) })
        }
        guard !isInner else { return .object(object) }
        let others = object["top_logprobs"]?.array ?? []
        object["top_logprobs"] = .array(others.map { complete(logprob: $0, isInner: true) })
        return .object(object)
    }

    /// Writes text whose log probabilities did not come.
    private mutating func flushHeld(into out: inout ByteBuffer) {
        guard let text = held else { return }
        held = nil
        message?.writeText(text, [], &frames, into: &out)
    }

    private mutating func write(refusal: String, into out: inout ByteBuffer) {
        guard !refusal.isEmpty else { return }
        flushHeld(into: &out)
        openMessage(into: &out)
        message?.writeRefusal(refusal, &frames, into: &out)
    }

    private mutating func openMessage(into out: inout ByteBuffer) {
        start(AnswerIdentity(), into: &out)
        guard message == nil else { return }
        closeReasoning(into: &out)
        closeCalls(all: false, into: &out)
        message = ResponsesOpenMessage(id: "msg_\(newItem())", index: output.count - 1, &frames, into: &out)
    }

    /// Makes room for an item and gives what its id ends in.
    private mutating func newItem() -> String {
        output.append(nil)
        return "\(object?.base ?? context.id)_\(output.count - 1)"
    }

    private mutating func write(_ extras: Extras, into out: inout ByteBuffer) {
        let annotations = (extras.fields["annotations"]?.array ?? []).compactMap {
            extras.dialect == .openAIChat ? Self.annotation(ofChat: $0) : extras.dialect == .openAIResponses ? $0 : nil
        }
        if !annotations.isEmpty {
            flushHeld(into: &out)
            openMessage(into: &out)
            for annotation in annotations { message?.write(annotation: annotation, &frames, into: &out) }
        }
        for item in extras.of(.openAIResponses)["output_items"]?.array ?? [] {
            closeOthers(into: &out)
            _ = newItem()
            frames.writeItem(item, index: output.count - 1, isDone: false, into: &out)
            end(item, at: output.count - 1, into: &out)
        }
    }

    /// Chat keeps a citation's fields one level further down.
    private static func annotation(ofChat value: JSONValue) -> JSONValue? {
        guard let type = value["type"]?.string, let inner = value[type]?.object else { return nil }
        return .object(JSONObject([.init("type", .string(type))] + inner.members))
    }

    // MARK: - Reasoning

    private mutating func write(_ piece: Reasoning, into out: inout ByteBuffer) {
        guard piece != Reasoning("") else { return }
        if reasoning == nil {
            closeOthers(into: &out)
            let id = ReasoningSeal.itemPrefix + newItem()
            reasoning = ResponsesOpenReasoning(id: id, index: output.count - 1, &frames, into: &out)
        }
        reasoning?.write(piece.text, &frames, into: &out)
        guard piece.signature != nil || piece.opaque != nil else { return }
        reasoning?.bind(piece)
        closeReasoning(into: &out)
    }

    /// Sends what binds a call to its reasoning in an item of its own, before the call.
    private mutating func writeSeal(of call: ToolCall, into out: inout ByteBuffer) {
        guard let signature = call.signature else { return }
        let content = ReasoningSeal.Content(origin: call.origin, signature: signature, call: call.id)
        let id = ReasoningSeal.itemPrefix + newItem()
        let item: JSONValue = [
            "id": .string(id), "type": "reasoning", "summary": [],
            "encrypted_content": .string(ReasoningSeal.seal(content)),
        ]
        frames.writeItem(item, index: output.count - 1, isDone: false, into: &out)
        end(item, at: output.count - 1, into: &out)
    }

    // MARK: - Calls

    private mutating func begin(_ call: ToolCall, _ index: Int, into out: inout ByteBuffer) {
        closeMessage(into: &out)
        closeReasoning(into: &out)
        closeCalls(all: false, into: &out)
        start(AnswerIdentity(), into: &out)
        writeSeal(of: call, into: &out)
        let id = (call.isCustom ? "ctc_" : "fc_") + newItem()
        calls.append(
            ResponsesOpenCall(call, number: index, id: id, index: output.count - 1, &frames, into: &out))
        write(arguments: call.arguments, index, into: &out)
    }

    private mutating func write(arguments text: String, _ index: Int, into out: inout ByteBuffer) {
        guard !text.isEmpty, let slot = calls.lastIndex(where: { $0.number == index }) else { return }
        calls[slot].write(text, &frames, into: &out)
    }

    // MARK: - Ends

    private mutating func end(_ item: JSONValue, at index: Int, into out: inout ByteBuffer) {
        frames.writeItem(item, index: index, isDone: true, into: &out)
        output[index] = item
    }

    private mutating func closeMessage(into out: inout ByteBuffer) {
        flushHeld(into: &out)
        guard var open = message else { return }
        message = nil
        let item = open.close(incompleteReason == nil ? "completed" : "incomplete", &frames, into: &out)
        end(item, at: open.index, into: &out)
    }

    private mutating func closeReasoning(into out: inout ByteBuffer) {
        guard var open = reasoning else { return }
        reasoning = nil
        end(open.close(&frames, into: &out), at: open.index, into: &out)
    }

    /// Ends the calls whose arguments are whole, or every call.
    private mutating func closeCalls(all: Bool, into out: inout ByteBuffer) {
        for slot in calls.indices where calls[slot].isOpen && (all || calls[slot].isWhole) {
            let isBroken = incompleteReason != nil && !calls[slot].isWhole
            let item = calls[slot].close(isBroken ? "incomplete" : "completed", &frames, into: &out)
            end(item, at: calls[slot].index, into: &out)
        }
    }

    private mutating func closeOthers(into out: inout ByteBuffer) {
        start(AnswerIdentity(), into: &out)
        closeMessage(into: &out)
        closeReasoning(into: &out)
        closeCalls(all: false, into: &out)
    }

    private mutating func closeAll(into out: inout ByteBuffer) {
        closeMessage(into: &out)
        closeReasoning(into: &out)
        closeCalls(all: true, into: &out)
    }

    /// The items so far, open ones with the given status.
    private func finished(openAs status: String) -> [JSONValue] {
        var items = output
        if let message { items[message.index] = message.item(status) }
        if let reasoning { items[reasoning.index] = reasoning.item }
        for call in calls where call.isOpen { items[call.index] = call.item(status) }
        return items.compactMap { $0 }
    }
}
