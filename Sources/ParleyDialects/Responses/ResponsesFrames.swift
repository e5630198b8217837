// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Numbers events and writes their frames.
struct ResponsesFrames {
    /// The number of the next event.
    var next = 0

    /// Writes an event up to behind its number.
    mutating func begin(_ type: StaticString, into out: inout ByteBuffer) {
        out.writeStaticString("event: ")
        out.writeStaticString(type)
        out.writeStaticString("\ndata: {\"type\":\"")
        out.writeStaticString(type)
        out.writeStaticString("\",\"sequence_number\":")
        out.writeString(String(next))
        next += 1
    }

    func end(into out: inout ByteBuffer) {
        out.writeStaticString("}\n\n")
    }

    mutating func writeItem(_ item: JSONValue, index: Int, isDone: Bool, into out: inout ByteBuffer) {
        begin(isDone ? "response.output_item.done" : "response.output_item.added", into: &out)
        out.writeStaticString(",\"output_index\":")
        out.writeString(String(index))
        out.writeStaticString(",\"item\":")
        out.writeJSON(item)
        end(into: &out)
    }

    /// Writes the failure as OpenAI does: with the fields both where its documents have them and where its SDKs look.
    mutating func writeError(_ failure: ResponsesFailureWords, into out: inout ByteBuffer) {
        begin("error", into: &out)
        out.writeStaticString(",\"code\":")
        out.writeJSONString(failure.code)
        out.writeStaticString(",\"message\":")
        out.writeJSONString(failure.error.message)
        out.writeStaticString(",\"param\":")
        out.writeJSON(failure.error.parameter.map { .string($0) } ?? .null)
        var envelope = ByteBuffer()
        FailureEnvelope(failure.error).write(into: &envelope)
        if let inner = try? JSON.parse(envelope)["error"] {
            out.writeStaticString(",\"error\":")
            out.writeJSON(inner)
        }
        end(into: &out)
    }
}

/// The words of a failure inside a stream.
struct ResponsesFailureWords {
    let error: ParleyError
    /// OpenAI's code where there is one for it; clients decide by it.
    let code: String

    init(_ error: ParleyError) {
        self.error = error
        code =
            switch error.kind {
            case .rateLimited: "rate_limit_exceeded"
            case .quota: "insufficient_quota"
            case .contextExceeded: "context_length_exceeded"
            case .invalid, .contentFiltered, .upstreamRejected, .tooLarge: "invalid_prompt"
            default: "server_error"
            }
    }
}

/// Where the deltas of an open item or part go: the members that are the same in each of them.
struct ResponsesPlace {
    private let bytes: ByteBuffer

    init(item id: String, output index: Int, part: (name: StaticString, index: Int)? = nil) {
        var bytes = ByteBuffer()
        bytes.writeStaticString(",\"item_id\":")
        bytes.writeJSONString(id)
        bytes.writeStaticString(",\"output_index\":")
        bytes.writeString(String(index))
        if let part {
            bytes.writeStaticString(",\"")
            bytes.writeStaticString(part.name)
            bytes.writeStaticString("\":")
            bytes.writeString(String(part.index))
        }
        self.bytes = bytes
    }

    func write(into out: inout ByteBuffer) {
        out.writeImmutableBuffer(bytes)
    }
}
