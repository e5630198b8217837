// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// An answer that was read as a whole: of a step on the way to the real one, or a refusal that is given on.
final class ReadAnswer: UpstreamAnswer {
    let status: Int
    let headers: HeaderBlock
    let body: ByteBuffer
    private var isTaken = false

    init(status: Int, headers: HeaderBlock, body: ByteBuffer) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Whether the status is one of success.
    var isAccepted: Bool { (200..<300).contains(status) }

    /// The body as JSON; nil where it is none.
    var json: JSONValue? { try? JSON.parse(body) }

    /// Whether the body is a web page in place of JSON.
    var isPage: Bool {
        body.readableBytesView.first { $0 > 0x20 } == UInt8(ascii: "<")
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        guard !isTaken, body.readableBytes > 0 else { return nil }
        isTaken = true
        return body
    }

    func cancel() {}
}

/// The time that steps on the way to an answer have.
struct StepLimits: Sendable {
    var connectTimeout: TimeAmount
    var deadline: NIODeadline

    init(connectTimeout: TimeAmount, deadline: NIODeadline) {
        self.connectTimeout = connectTimeout
        self.deadline = deadline
    }

    /// The limits of the call's attempt: all steps together must be over before its first event is due.
    init(_ request: OpenerRequest) {
        self.init(connectTimeout: request.connectTimeout, deadline: request.first)
    }

    /// Limits of work that several calls wait for, or none.
    init(lasting time: TimeAmount) {
        self.init(connectTimeout: min(time, .seconds(5)), deadline: .now() + time)
    }
}

extension Connector {
    /// Sends a request and waits for the head of its answer.
    func open(
        _ target: Target, _ head: ByteBuffer, _ body: ByteBuffer?, _ limits: StepLimits
    ) async throws(ParleyError) -> any UpstreamAnswer {
        try await open(
            UpstreamRequest(
                endpoint: target.endpoint, head: head, body: body, isIdempotent: target.method == "GET",
                connectTimeout: limits.connectTimeout, headDeadline: limits.deadline))
    }

    /// Sends a request and reads all of its answer, which must be short.
    func ask(
        _ target: Target, _ head: ByteBuffer, _ body: ByteBuffer?, _ limits: StepLimits
    ) async throws(ParleyError) -> ReadAnswer {
        let answer = try await open(target, head, body, limits)
        defer { answer.cancel() }
        var read = ByteBuffer()
        while let bytes = try await answer.next(by: limits.deadline) {
            read.writeImmutableBuffer(bytes)
            guard read.readableBytes <= 1 << 20 else {
                throw ParleyError(.upstreamUnavailable, "the service's answer is too long to be read")
            }
        }
        return ReadAnswer(status: answer.status, headers: answer.headers, body: read)
    }
}

extension ByteBuffer {
    /// A value as JSON.
    init(json value: JSONValue) {
        self.init()
        writeJSON(value)
    }
}
