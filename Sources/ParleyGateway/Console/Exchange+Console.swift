// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyConfiguration
import ParleyCore

/// Requests for the control plane, which lives behind a socket of its own and knows its own visitors.
extension Exchange {
    private static let connectTimeout = TimeAmount.seconds(2)
    /// How long the control plane may take to begin an answer: it may be asking a vendor meanwhile.
    private static let patience = TimeAmount.minutes(2)
    /// How long an answer may go on: a page may follow what happens.
    private static let longest = TimeAmount.hours(24)

    /// Relays a request and its answer. No key of a client is asked for, and none opens the control plane.
    ///
    /// - Throws: `notFound` where the control plane is not on this port.
    func relayToConsole() async throws(ParleyError) {
        guard let console = shard.console, let headers = request.head.relayed else { throw unknownPath() }
        try await client.awaitBody(of: request)
        let answer = try await openConsole(console, headers)
        let body = ConsoleAnswer(answer)
        defer { body.cancel() }
        record.firstEvent = elapsed()
        let head = AnswerHead(status: answer.status, requestID: id)
        if let type = answer.headers.first("content-type"), AnswerHead.isSafe(type) { head.contentType = type }
        head.headers = answer.headers.fields { !$0.belongsToTheConnection && !$0.equals("content-type") }
        if request.head.method == .HEAD { return client.send(head, body: ByteBuffer(), omitsBody: true) }
        try await relay(body, head, by: .now() + Self.longest)
    }

    private func openConsole(
        _ console: Endpoint, _ headers: [HeaderField]
    ) async throws(ParleyError) -> any UpstreamAnswer {
        let method = request.head.method
        let request = UpstreamRequest(
            endpoint: console, head: consoleHead(headers), body: method == .GET ? nil : request.takeBody(),
            isIdempotent: method == .GET || method == .HEAD, connectTimeout: Self.connectTimeout,
            headDeadline: .now() + Self.patience)
        do {
            return try await shard.open(request)
        } catch {
            guard error.kind == .upstreamUnavailable || error.kind == .timeout else { throw error }
            throw ParleyError(
                .upstreamUnavailable, "The console does not answer at the moment.", code: "console_unavailable",
                status: 503)
        }
    }

    /// The client's head, with what only this side knows: who asks, and whether the connection is encrypted.
    private func consoleHead(_ headers: [HeaderField]) -> ByteBuffer {
        let method = request.head.method == .HEAD ? .GET : request.head.method
        var head = ByteBuffer()
        let query = Route.query(of: request.head.target)
        let path = Route.path(of: request.head.target) + (query.isEmpty ? "" : "?" + query)
        head.writeString("\(method.rawValue) \(path) HTTP/1.1\r\n")
        for header in headers where AnswerHead.isSafe(header.value) {
            guard !Self.isOurs(header.name) else { continue }
            head.writeString("\(header.name): \(header.value)\r\n")
        }
        head.writeString("x-parley-peer: \(client.peer ?? "unix")\r\n")
        let claimed = headers.first { $0.name == "x-forwarded-proto" }?.value.lowercased()
        let isSecure = shard.gateway.isSecure || claimed == "https"
        head.writeString("x-forwarded-proto: \(isSecure ? "https" : "http")\r\n")
        return head
    }

    /// Headers of a request that are not passed on: those of the connection, and those that this side says itself.
    private static func isOurs(_ name: String) -> Bool {
        switch name {
        case "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer",
            "transfer-encoding", "upgrade", "expect", "content-length", "x-parley-peer", "x-forwarded-proto":
            true
        default: false
        }
    }
}

extension HeaderName {
    /// Whether a header of an answer is about the connection it came on, or is said by this side itself.
    fileprivate var belongsToTheConnection: Bool {
        equals("connection") || equals("keep-alive") || equals("transfer-encoding") || equals("content-length")
            || equals("trailer") || equals("upgrade") || equals("date") || equals("server") || equals("x-request-id")
    }
}

/// An answer of the control plane on its way to the client.
private final class ConsoleAnswer: PassedAnswer {
    let status: Int
    let length: Int?
    let contentType: String
    let observed = Observation()
    private let answer: any UpstreamAnswer

    init(_ answer: any UpstreamAnswer) {
        self.answer = answer
        status = answer.status
        contentType = answer.headers.first("content-type") ?? "application/octet-stream"
        length = answer.headers.first("content-length").flatMap { Int($0) }
    }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        guard let bytes = try await answer.next(by: deadline) else { return false }
        if out.readableBytes == 0 { out = bytes } else { out.writeImmutableBuffer(bytes) }
        return true
    }

    func cancel() { answer.cancel() }
}
