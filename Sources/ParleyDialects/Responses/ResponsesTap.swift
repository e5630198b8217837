// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Watches a relayed stream: usage and status at its end, errors, and the number an error of ours must have.
///
/// An error before anything that matters is thrown, so that another upstream can be asked. A later one is passed on,
/// `error` event and failed response as they come, which is what a client of OpenAI would get.
struct ResponsesTap: FrameTap {
    private(set) var observed = Observation()
    /// The number behind the last one seen.
    private var next = 0
    /// The response as the upstream announced it, without the answer.
    private var announced: ByteBuffer?
    private var hasError = false

    mutating func note(_ data: ByteBuffer) throws(ParleyError) {
        let event: ResponsesEventHead
        do {
            event = try ResponsesEventHead(data)
        } catch {
            // Some servers end with a word that OpenAI does not have.
            let text = String(decoding: data.readableBytesView.prefix(16), as: UTF8.self)
            if text.contains("[DONE]"), observed.isMeaningful {
                observed.isComplete = true
                return
            }
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a stream event that is not JSON: \(error.message) (at byte \(error.offset)).")
        }
        if let number = event.number, number >= next { next = number.clampedSum(1) }
        switch event.kind {
        case .announcement:
            if announced == nil, let response = event.response {
                // A copy, so that the read it came with is not kept.
                announced = ByteBuffer(bytes: response.readableBytesView)
            }
        case .delta: observed.isMeaningful = true
        case .end: try end(event, data)
        case .error:
            if !observed.isMeaningful { throw Self.failure(data) }
            hasError = true
            observed.finish = "error"
        case .other: break
        }
    }

    private mutating func end(_ event: ResponsesEventHead, _ data: ByteBuffer) throws(ParleyError) {
        guard let response = event.response, let scan = try? JSONScan(response) else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended without its response.")
        }
        let seen = ResponsesEnd(scan)
        if seen.status == "failed", !observed.isMeaningful { throw Self.failure(data) }
        observed = seen.observation
        if hasError { observed.finish = "error" }
        observed.isComplete = true
    }

    /// The failure that an event reports.
    private static func failure(_ data: ByteBuffer) -> ParleyError {
        let value = (try? JSON.parse(data)) ?? .null
        if let error = value["response"]?["error"], !error.isNull { return ResponsesFailure.read(["error": error]) }
        return ResponsesFailure.read(value)
    }

    mutating func finish() throws(ParleyError) {
        guard hasError else {
            throw ParleyError(.upstreamUnavailable, "The upstream ended the stream before it was complete.")
        }
        observed.isComplete = true
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        var frames = ResponsesFrames()
        frames.next = next
        let words = ResponsesFailureWords(error)
        frames.writeError(words, into: &out)
        guard let announced, let scan = try? JSONScan(announced) else { return }
        let failure: JSONValue = ["code": .string(words.code), "message": .string(error.message)]
        frames.begin("response.failed", into: &out)
        out.writeStaticString(",\"response\":")
        out.writeImmutableBuffer(
            scan.applying([.set("status", json: "\"failed\""), .set("error", json: JSON.text(failure))]))
        frames.end(into: &out)
    }
}

/// The few members of an event that a tap looks at, read without a tree.
struct ResponsesEventHead {
    enum Kind {
        case announcement, delta, end, error, other
    }

    let kind: Kind
    let number: Int?
    let response: ByteBuffer?

    init(_ data: ByteBuffer) throws(JSONError) {
        var type: Range<Int>?
        var number: Int?
        var response: Range<Int>?
        var hasError = false
        kind = try data.withUnsafeReadableBytes { raw throws(JSONError) -> Kind in
            let text = JSONText(raw)
            var members = try text.members()
            while let member = try members.next() {
                if member.isNamed("type", in: text) {
                    type = member.value
                } else if member.isNamed("sequence_number", in: text) {
                    number = text.int(member.value)
                } else if member.isNamed("response", in: text) {
                    response = member.value
                } else if member.isNamed("error", in: text) {
                    hasError = !text.isBlank(member.value)
                }
            }
            try members.expectEnd()
            guard let type else { return hasError ? .error : .other }
            return Self.kind(text.string(type) ?? "")
        }
        self.number = number
        self.response = response.flatMap { data.getSlice(at: data.readerIndex + $0.lowerBound, length: $0.count) }
    }

    private static func kind(_ type: String) -> Kind {
        switch type {
        case "response.created", "response.in_progress", "response.queued": .announcement
        case "response.completed", "response.incomplete", "response.failed", "response.cancelled": .end
        case "error": .error
        // A client may act on an item as soon as it is whole.
        case "response.output_item.done": .delta
        case _ where type.hasSuffix(".delta"): .delta
        default: .other
        }
    }
}

/// What a final response says to a tap.
struct ResponsesEnd {
    let status: String?
    private(set) var observation = Observation()

    init(_ response: JSONScan) {
        let status = response.member("status").flatMap { response.string($0) }
        self.status = status
        if let member = response.member("usage"), let usage = try? response.value(member) {
            observation.usage = WireUsage.read(usage, quirks: Quirks())
        }
        observation.isMeaningful = true
        observation.isComplete = true
        observation.finish = status
        if status == "incomplete", let details = response.object("incomplete_details") {
            observation.finish = details.member("reason").flatMap { details.string($0) } ?? status
        }
    }
}
