// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// An answer of any type, passed on byte for byte as it comes.
final class PassedBody: PassedAnswer {
    /// JSON up to this size is looked over for its usage once it has passed.
    static let observedLimit = 1 << 20

    let status: Int
    let length: Int?
    let contentType: String
    private(set) var observed = Observation()
    private let reader: AnswerReader
    /// A copy of what passed, where it may have usage.
    private var seen: ByteBuffer?

    init(_ reader: AnswerReader) {
        self.reader = reader
        status = reader.status
        contentType = reader.headers.first("content-type") ?? "application/octet-stream"
        let isChunked = reader.headers.first("transfer-encoding") != nil
        length = isChunked ? nil : reader.headers.first("content-length").flatMap { Int($0) }
        let isJSON = contentType.lowercased().hasPrefix("application/json")
        seen = isJSON && (length ?? 0) <= Self.observedLimit ? ByteBuffer() : nil
        observed.isMeaningful = true
    }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        guard let bytes = try await reader.next(by: deadline) else {
            observe()
            return false
        }
        if seen != nil {
            seen?.writeImmutableBuffer(bytes)
            if (seen?.readableBytes ?? 0) > Self.observedLimit { seen = nil }
        }
        if out.readableBytes == 0 { out = bytes } else { out.writeImmutableBuffer(bytes) }
        return true
    }

    func cancel() { reader.cancel() }

    /// Reads the usage of a whole answer: `input_tokens` and `output_tokens`, or the names of chats; rerank has a total.
    private func observe() {
        observed.isComplete = true
        guard let body = seen, body.readableBytes > 0, let scan = try? JSONScan(body),
            let member = scan.member(named: "usage"), let usage = try? scan.value(member)
        else { return }
        seen = nil
        observed.usage.input = usage["input_tokens"]?.int ?? usage["prompt_tokens"]?.int
        observed.usage.output = usage["output_tokens"]?.int ?? usage["completion_tokens"]?.int
        if observed.usage.input == nil, observed.usage.output == nil {
            observed.usage.input = usage["total_tokens"]?.int
        }
    }
}
