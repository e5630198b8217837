// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads the frames of an OpenAI chat stream, or a whole answer, into events.
struct AnswerReader {
    /// Whether the answer's proper end was seen.
    private(set) var isComplete = false
    private var events: [ChatEvent] = []
    private var failure: ClientError?
    private var model: String?

    /// Reads one frame's data.
    mutating func read(_ data: ByteBuffer) {
        if data.readableBytesView.elementsEqual("[DONE]".utf8) {
            isComplete = true
            return
        }
        guard let chunk = try? JSON.parse(data) else {
            failure = failure ?? ClientError("the server sent an event that is not JSON")
            return
        }
        read(chunk, part: "delta")
    }

    /// Reads an answer that came in one piece.
    mutating func readWhole(_ body: ByteBuffer) {
        guard let answer = try? JSON.parse(body), answer.object != nil else {
            failure = ClientError("the server's answer is not JSON; is the address right?")
            return
        }
        read(answer, part: "message")
        isComplete = true
    }

    /// Hands over what was read since the last time.
    ///
    /// - Throws: the error the stream held, after the events before it.
    mutating func deliver(_ take: (ChatEvent) throws -> Void) throws {
        let ready = events
        events = []
        for event in ready { try take(event) }
        if let failure { throw failure }
    }

    private mutating func read(_ chunk: JSONValue, part: String) {
        if let error = chunk["error"], !error.isNull {
            let message = error["message"]?.string ?? error.string
            failure = failure ?? ClientError(message ?? "the server broke the answer off with an error")
            return
        }
        if let name = chunk["model"]?.string, !name.isEmpty, name != model {
            model = name
            events.append(.model(name))
        }
        if let choice = chunk["choices"]?.array?.first {
            let words = choice[part]
            let reasoning = words?["reasoning_content"]?.string ?? words?["reasoning"]?.string
            if let reasoning, !reasoning.isEmpty { events.append(.reasoning(reasoning)) }
            if let text = words?["content"]?.string, !text.isEmpty { events.append(.text(text)) }
            if let text = words?["refusal"]?.string, !text.isEmpty { events.append(.text(text)) }
            if let reason = choice["finish_reason"]?.string { events.append(.finish(reason)) }
        }
        if let usage = chunk["usage"], usage.object != nil {
            events.append(
                .usage(
                    ChatUsage(
                        input: usage["prompt_tokens"]?.int, output: usage["completion_tokens"]?.int,
                        cached: usage["prompt_tokens_details"]?["cached_tokens"]?.int,
                        reasoning: usage["completion_tokens_details"]?["reasoning_tokens"]?.int)))
        }
    }
}
