// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// What the gateway must know of a chat request, found without building a tree. The body stays bytes.
struct ChatIntake {
    /// The request as it came.
    let body: ByteBuffer
    /// Where its members are, for the layers below.
    let reading: RequestScan
    /// The model it names.
    let model: String?
    /// Whether it asks for a stream.
    let stream: Bool
    /// Whether it asks for the usage chunk of a stream.
    let includeUsage: Bool

    /// Scans and checks a body.
    ///
    /// - Throws: `invalid`, naming the field or the byte at fault.
    init(_ body: ByteBuffer) throws(ParleyError) {
        guard body.readableBytes > 0 else {
            throw ParleyError(.invalid, "The request has no body; send a JSON object.", code: "invalid_json")
        }
        let scan: JSONScan
        do {
            scan = try JSONScan(body)
        } catch {
            throw ParleyError(
                .invalid, "The body is not a JSON object: \(error.message) (at byte \(error.offset)).",
                code: "invalid_json")
        }
        try OpenAIChat.validate(scan: scan)
        self.body = body
        reading = RequestScan(scan)
        model = scan.member(named: "model").flatMap { scan.string($0) }
        stream = scan.member(named: "stream").flatMap { scan.bool($0) } ?? false
        if stream, let options = scan.member(named: "stream_options"), let value = try? scan.value(options) {
            includeUsage = value["include_usage"]?.bool ?? false
        } else {
            includeUsage = false
        }
    }
}
