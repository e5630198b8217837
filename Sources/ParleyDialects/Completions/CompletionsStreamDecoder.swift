// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads a completion stream: the same object in every frame, its text a delta.
struct CompletionsStreamDecoder: StreamDecoder {
    private let quirks: Quirks
    private var frames = ServerSentEvents()
    private var hasBegun = false
    /// The choices that were seen, and whether each is finished.
    private var choices: [Int: Bool] = [:]
    private var usage = Usage()
    private(set) var isComplete = false

    init(quirks: Quirks) {
        self.quirks = quirks
    }

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        frames.push(bytes)
        while !isComplete, let frame = try frames.next() { try read(frame, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let frame = frames.finish() { try read(frame, into: &events) }
        guard !isComplete else { return }
        guard !choices.isEmpty, choices.values.allSatisfy(\.self) else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
        isComplete = true
    }

    private mutating func read(_ frame: ServerSentEvents.Frame, into events: inout [Event]) throws(ParleyError) {
        if frame.data.isTerminator { return try end(into: &events) }
        let value: JSONValue
        do {
            value = try JSON.parse(frame.data)
        } catch {
            if frame.event == "error" { throw UpstreamFailure(body: frame.data).error() }
            if frame.data.isBlank { return }
            throw ParleyError(
                .upstreamUnavailable, "The upstream sent a stream event that is not JSON (at byte \(error.offset)).")
        }
        if frame.event == "error" { throw UpstreamFailure(value).error() }
        guard let chunk = value.object else {
            throw ParleyError(.upstreamUnavailable, "The upstream sent a stream event that is no object.")
        }
        if let failure = UpstreamFailure(embeddedIn: chunk) { throw failure.error() }
        try read(chunk, into: &events)
    }

    private mutating func end(into events: inout [Event]) throws(ParleyError) {
        guard !choices.isEmpty else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended without an answer.")
        }
        // The terminator says that all is well, also where a vendor forgot the finish reason.
        for (number, isFinished) in choices.sorted(by: { $0.key < $1.key }) where !isFinished {
            choices[number] = true
            events.append(.finish(choice: number, .stop))
        }
        isComplete = true
    }

    private mutating func read(_ chunk: JSONObject, into events: inout [Event]) throws(ParleyError) {
        if !hasBegun {
            hasBegun = true
            events.append(.start(CompletionsWhole.identity(chunk)))
        }
        for (position, value) in (chunk["choices"]?.array ?? []).enumerated() {
            guard let choice = value.object else { continue }
            try read(choice, max(0, choice["index"]?.int ?? position), into: &events)
        }
        var merged = usage
        WireUsage.merge(from: chunk, into: &merged, quirks: quirks)
        if merged != usage {
            usage = merged
            events.append(.usage(merged))
        }
    }

    private mutating func read(
        _ choice: JSONObject, _ number: Int, into events: inout [Event]
    ) throws(ParleyError) {
        if choices[number] == nil { choices[number] = false }
        if let text = choice["text"]?.string, !text.isEmpty { events.append(.text(choice: number, text)) }
        if let logprobs = CompletionsLogprobs.decode(choice["logprobs"]) {
            events.append(.logprobs(choice: number, logprobs))
        }
        switch FinishWord.read(choice["finish_reason"]) {
        case .none: break
        case .finish(let reason):
            guard choices[number] != true else { return }
            choices[number] = true
            events.append(.finish(choice: number, reason))
        case .failure(let word): throw FinishWord.failure(word)
        }
    }
}
