// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads a stream of Responses, as OpenAI and others send it.
///
/// Items are told apart by their `output_index`, since proxies change ids on the way. What a delta did not say, a later
/// `.done` event, the finished item or the final response says; whatever is said twice counts once.
struct ResponsesStreamDecoder: StreamDecoder {
    private var frames = ServerSentEvents()
    private var answer = ResponsesAnswer()

    var isComplete: Bool { answer.isComplete }

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        frames.push(bytes)
        while !isComplete, let frame = try frames.next() { try read(frame, into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if let frame = frames.finish() { try read(frame, into: &events) }
        guard !isComplete else { return }
        throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
    }

    private mutating func read(_ frame: ServerSentEvents.Frame, into events: inout [Event]) throws(ParleyError) {
        let value: JSONValue
        do {
            value = try JSON.parse(frame.data)
        } catch {
            let text = String(decoding: frame.data.readableBytesView.prefix(16), as: UTF8.self)
            if text.contains("[DONE]") { return try answer.endWithoutResponse(into: &events) }
            if frame.event == "error" { throw UpstreamFailure(body: frame.data).error() }
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a stream event that is not JSON: \(error.message) (at byte \(error.offset)).")
        }
        guard let object = value.object else {
            throw ParleyError(.upstreamUnavailable, "The upstream sent a stream event that is no object.")
        }
        try answer.read(object, named: frame.event, into: &events)
    }
}

/// Errors inside an answer with status 200.
enum ResponsesFailure {
    /// The failure in an `error` event, or in a failed response's `error`.
    static func read(_ value: JSONValue) -> ParleyError {
        var failure = UpstreamFailure(value)
        failure.status = failure.status ?? status(failure.code ?? "")
        return failure.error()
    }

    /// The status an error would have had as an answer of its own: the input's faults are the client's.
    private static func status(_ code: String) -> Int? {
        switch code {
        case "invalid_prompt", "unsupported_image_media_type", "empty_image_file", "failed_to_download_image",
            "image_too_large", "image_too_small", "image_parse_error", "image_file_too_large", "image_file_not_found",
            "image_content_policy_violation", "data_residency_mismatch", "bio_policy",
            "misalignment_policy_violation", "previous_response_not_found":
            400
        case _ where code.hasPrefix("invalid_"): 400
        case "vector_store_timeout": 504
        case "server_error": 500
        default: nil
        }
    }
}
