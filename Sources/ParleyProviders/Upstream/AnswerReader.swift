// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// The time limits of one attempt, as points in time where they are.
struct AttemptLimits {
    var connect: TimeAmount
    /// The first meaningful event of a stream, or a whole answer's head.
    var first: NIODeadline
    var idle: TimeAmount
    /// The end of everything.
    var total: NIODeadline

    /// Limits of an attempt that begins `now` within a call that ends at `deadline`.
    ///
    /// - Parameters:
    ///   - strong: limits that the layers above set.
    ///   - weak: limits for what they leave open.
    init(_ strong: TimeoutOverrides, _ weak: TimeoutOverrides, deadline: NIODeadline, now: NIODeadline) {
        let standard = TimeoutOverrides.standard
        total = min(deadline, now + (strong.total ?? weak.total ?? standard.total ?? .minutes(10)))
        connect = strong.connect ?? weak.connect ?? standard.connect ?? .seconds(5)
        first = min(total, now + (strong.first ?? weak.first ?? standard.first ?? .seconds(60)))
        idle = strong.idle ?? weak.idle ?? standard.idle ?? .seconds(60)
    }
}

/// Reads an upstream's body under the limits of its attempt.
final class AnswerReader {
    private let answer: any UpstreamAnswer
    private let limits: AttemptLimits
    /// Since when nothing came while somebody waited: a client that is slow to take does not use the time up.
    private var waitingSince: NIODeadline?
    /// What was read ahead and given back.
    private var returned: ByteBuffer?

    init(_ answer: any UpstreamAnswer, limits: AttemptLimits) {
        self.answer = answer
        self.limits = limits
    }

    var status: Int { answer.status }

    /// Whether the status is one of success.
    var isAccepted: Bool { (200..<300).contains(answer.status) }

    var headers: HeaderBlock { answer.headers }

    /// The next bytes, before the first-event limit; what comes in between does not extend it.
    func nextBeforeFirst() async throws(ParleyError) -> ByteBuffer? {
        if let bytes = take() { return bytes }
        return try await answer.next(by: limits.first)
    }

    /// The next bytes, at the latest at `deadline`, or when nothing came for the idle limit, or at the end of all.
    ///
    /// After a timeout at `deadline` it may be called again.
    func next(by deadline: NIODeadline = .distantFuture) async throws(ParleyError) -> ByteBuffer? {
        if let bytes = take() { return bytes }
        let start = waitingSince ?? .now()
        waitingSince = start
        let bytes = try await answer.next(by: end(ofWaitSince: start, by: deadline))
        waitingSince = nil
        return bytes
    }

    /// Offers what arrives while a task waits in `next` to `receiver` first.
    func forward(to receiver: any ArrivalReceiver) { answer.forward(to: receiver) }

    /// Something came and was taken without the task that waits in `next`.
    ///
    /// - Parameter start: when that was.
    /// - Returns: until when it waits now.
    func waitAnew(since start: NIODeadline, by deadline: NIODeadline) -> NIODeadline {
        waitingSince = start
        return end(ofWaitSince: start, by: deadline)
    }

    private func end(ofWaitSince start: NIODeadline, by deadline: NIODeadline) -> NIODeadline {
        min(deadline, limits.total, start + limits.idle)
    }

    /// Everything up to the end, or up to more than `limit` bytes.
    func collect(limit: Int) async throws(ParleyError) -> (body: ByteBuffer, isWhole: Bool) {
        var body = ByteBuffer()
        while let bytes = try await next() {
            if body.readableBytes == 0 {
                body = bytes
            } else {
                body.writeImmutableBuffer(bytes)
            }
            if body.readableBytes > limit { return (body, false) }
        }
        return (body, true)
    }

    /// The same at once, where all of it is there and not longer.
    func takeWhole(limit: Int) -> ByteBuffer? {
        guard returned == nil, let body = answer.takeWhole() else { return nil }
        if body.readableBytes <= limit { return body }
        returned = body
        return nil
    }

    /// Gives bytes back, to be read again.
    func giveBack(_ bytes: ByteBuffer) {
        returned = bytes
    }

    func cancel() { answer.cancel() }

    /// Everything that matters was read.
    func finish() { answer.finish() }

    private func take() -> ByteBuffer? {
        returned.take()
    }
}

extension AnswerReader {
    /// The most of an error's body that is read.
    private static let errorLimit = 256 << 10

    /// What a status other than 2xx means, as the service's dialect says it. The body may be cut or late: then the
    /// status says it alone.
    func refusal(in dialect: any Dialect) async -> (failure: ParleyError, body: ByteBuffer) {
        defer { cancel() }
        var body = ByteBuffer()
        do throws(ParleyError) {
            body = try await collect(limit: Self.errorLimit).body
        } catch {
            if error.kind == .cancelled { return (error, body) }
        }
        if (300..<400).contains(status) {
            let message = "the service answered with a redirect (\(status)); check base_url"
            return (ParleyError(.upstreamUnavailable, message), body)
        }
        return (dialect.decodeFailure(status: status, headers: headers, body: body), body)
    }
}

extension ParleyError {
    /// This failure with the provider's name before its message, so that a reader knows whose it is.
    ///
    /// What the client's own request is to blame for stays as the upstream worded it: programs look into it.
    func named(_ provider: String) -> ParleyError {
        switch kind {
        case .unauthenticated, .forbidden, .notFound, .tooLarge, .rateLimited, .quota, .upstreamUnavailable, .timeout:
            guard relayed == nil, !message.hasPrefix("\(provider): ") else { return self }
            var named = self
            named.message = "\(provider): \(message)"
            return named
        case .invalid, .methodNotAllowed, .contentFiltered, .contextExceeded, .upstreamRejected, .cancelled,
            .notImplemented, .internalError:
            return self
        }
    }
}
