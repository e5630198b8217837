// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads the frames of an answer of Spark, one per line.
struct SparkStreamDecoder: StreamDecoder {
    private var lines = JSONLines()
    /// Bytes so far, near enough to find a frame in a recording.
    private var received = 0
    private var isStarted = false
    /// What the ids of calls start from.
    private var seed = ""
    private var calls = 0
    private(set) var isComplete = false

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        received = received.clampedSum(bytes.readableBytes)
        lines.push(bytes)
        while !isComplete, let line = try lines.next() { try read(line, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let line = lines.finish() { try read(line, into: &events) }
        guard isComplete else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
    }

    private mutating func read(_ line: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        let value: JSONValue
        do {
            value = try JSON.parse(line)
        } catch {
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a frame that is not JSON (before byte \(received): \(error.message)).")
        }
        guard let header = value["header"]?.object else {
            // A gateway before the service words its errors otherwise.
            throw UpstreamFailure(value).error()
        }
        let code = header["code"]?.int ?? 0
        if !isStarted, code == 0 || code == SparkFailure.filteredAnswer { start(header, into: &events) }
        guard code == 0 else { return try end(code, header, into: &events) }
        let choices = value["payload"]?["choices"]
        // What a search found comes in a frame without choices.
        for text in choices?["text"]?.array ?? [] { read(text, into: &events) }
        let isLast = header["status"]?.int == 2 || choices?["status"]?.int == 2
        if isLast { end(value["payload"]?["usage"]?["text"], into: &events) }
    }

    private mutating func start(_ header: JSONObject, into events: inout [Event]) {
        isStarted = true
        let id = header["sid"]?.string ?? ""
        seed = id.isEmpty ? String(UInt64.random(in: .min ... .max)) : id
        events.append(.start(AnswerIdentity(id: id)))
    }

    private mutating func read(_ text: JSONValue, into events: inout [Event]) {
        if let thoughts = text["reasoning_content"]?.string, !thoughts.isEmpty {
            events.append(.reasoning(choice: 0, Reasoning(thoughts)))
        }
        if let content = text["content"]?.string, !content.isEmpty { events.append(.text(choice: 0, content)) }
        // A call comes whole, and has no id.
        guard let name = text["function_call"]?["name"]?.string, !name.isEmpty else { return }
        let id = ToolDeltas.madeUpID(seed, 0, calls)
        events.append(.toolCall(choice: 0, index: calls, ToolCall(id: id, name: name, arguments: "")))
        let arguments: String =
            switch text["function_call"]?["arguments"] {
            case nil, .null?: "{}"
            case .string(let text)?: text.isEmpty ? "{}" : text
            case let value?: JSON.text(value)
            }
        events.append(.arguments(choice: 0, index: calls, arguments))
        calls += 1
    }

    private mutating func end(_ usage: JSONValue?, into events: inout [Event]) {
        events.append(.finish(choice: 0, FinishWord.reason(.stop, calls: calls > 0 ? false : nil)))
        func count(_ name: String) -> Int? { usage?[name]?.int.flatMap { $0 >= 0 ? $0 : nil } }
        let used = Usage(input: count("prompt_tokens"), output: count("completion_tokens"))
        if !used.isEmpty { events.append(.usage(used)) }
        isComplete = true
    }

    /// A frame with a code is the last one.
    private mutating func end(
        _ code: Int, _ header: JSONObject, into events: inout [Event]
    ) throws(ParleyError) {
        guard code == SparkFailure.filteredAnswer else {
            throw UpstreamFailure(spark: code, message: header["message"]?.string ?? "").error()
        }
        events.append(.finish(choice: 0, .contentFilter))
        isComplete = true
    }
}
