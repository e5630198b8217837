// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Watches a Messages stream that is passed on as it is.
struct AnthropicTap: FrameTap {
    private(set) var observed = Observation()
    private var usage = AnthropicUsage()

    mutating func note(_ data: ByteBuffer) throws(ParleyError) {
        let scan: JSONScan
        do {
            scan = try JSONScan(data)
        } catch {
            if data.readableBytesView.elementsEqual("[DONE]".utf8) { return }
            throw ParleyError(
                .upstreamUnavailable, "The upstream sent a stream event that is not JSON (byte \(error.offset)).")
        }
        let type = scan.string(named: "type")
        switch type {
        case "content_block_delta": observed.isMeaningful = true
        case "content_block_start": noteStart(scan)
        case "message_start":
            if let counts = scan.object("message")?.object("usage") { merge(counts) }
        case "message_delta":
            if let counts = scan.object("usage") { merge(counts) }
            guard let delta = scan.object("delta"), let reason = delta.member(named: "stop_reason"),
                let word = delta.string(reason)
            else { return }
            if observed.finish == nil { observed.finish = word }
            observed.isMeaningful = true
        case "message_stop":
            observed.isComplete = true
            observed.isMeaningful = true
        case "error": throw AnthropicFailure.inStream(data)
        default:
            if let error = scan.member(named: "error"), !scan.isNull(error) { throw AnthropicFailure.inStream(data) }
        }
    }

    /// A block's start cannot be taken back where it says something itself.
    private mutating func noteStart(_ scan: JSONScan) {
        guard !observed.isMeaningful, let block = scan.object("content_block") else { return }
        switch block.member(named: "type").flatMap({ block.string($0) }) {
        case "text", "thinking": break
        default: observed.isMeaningful = true
        }
    }

    private mutating func merge(_ counts: JSONScan) {
        usage.merge(counts)
        observed.usage = usage.neutral
    }

    mutating func finish() throws(ParleyError) {
        guard observed.finish != nil else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
        observed.isComplete = true
    }

    func writeEnd(into out: inout ByteBuffer) {
        out.writeStaticString("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    }

    mutating func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        AnthropicFailure.writeEvent(error, into: &out)
    }
}
