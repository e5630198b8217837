// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// One request's answer from an upstream: a mailbox that the connection fills and one task empties.
///
/// `@unchecked Sendable`: created, filled and emptied only on the event loop of its connection.
final class UpstreamStream: UpstreamAnswer, @unchecked Sendable {
    /// Unread bytes above which the connection stops reading.
    static let highWater = 64 << 10
    /// How long, and with how many bytes, an answer may go on after everything that matters was read.
    private static let rest = (time: TimeAmount.seconds(1), bytes: 16 << 10)

    private let shard: Shard
    /// Let go of when the answer is over, one way or the other: each holds the other until then.
    private var connection: UpstreamConnection?
    private let waiter: Waiter
    private var unread: ByteBuffer?
    /// Takes what arrives while the task waits; let go of when the answer is over.
    private var receiver: (any ArrivalReceiver)?
    private var isEnded = false
    /// The bytes that came after `finish`; nil before it.
    private var restBytes: Int?
    private var failure: ParleyError?
    /// Whether the endpoint's slot of this request was given back.
    private var slot: EndpointSlot?

    private(set) var status = 0
    private(set) var headers = HeaderBlock()
    /// Whether any byte of the answer arrived.
    private(set) var hasArrived = false
    /// When the answer is given up.
    private var deadline = NIODeadline.distantFuture
    /// When the shard's list says so: not later, and only written where it must be sooner.
    private var listed = NIODeadline.distantFuture
    /// Whether the task waits and was not woken: a deadline that passes while nobody does is none.
    private var isAwaited = false
    /// The time limits of an upload that is not complete, and when the answer must begin.
    private var upload: UpstreamUpload?
    private var uploadDeadline: NIODeadline?
    /// What the connection has become, where that was asked for.
    private(set) var socket: UpstreamSocket?
    /// The place in the shard's list of streams.
    var sweepIndex = -1

    init(shard: Shard, connection: UpstreamConnection, slot: EndpointSlot?) {
        self.shard = shard
        self.connection = connection
        self.slot = slot
        self.waiter = Waiter(shard.loop)
        shard.streams.add(self)
    }

    /// Whether unread bytes are piling up.
    var isFull: Bool { (unread?.readableBytes ?? 0) > Self.highWater }

    // MARK: The task's side

    /// Waits for the head.
    func awaitHead(by deadline: NIODeadline) async throws(ParleyError) {
        while status == 0 {
            if let failure { throw failure }
            try await wait(until: uploadDeadline ?? deadline)
        }
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        while true {
            if let bytes = unread {
                unread = nil
                connection?.drained(self)
                return bytes
            }
            if let failure { throw failure }
            if isEnded { return nil }
            try await wait(until: deadline)
        }
    }

    func takeWhole() -> ByteBuffer? { isEnded ? unread.take() : nil }

    func cancel() {
        fail(ParleyError(.cancelled, "The request was cancelled."))
    }

    func finish() {
        guard !isEnded, failure == nil else { return }
        unread = nil
        receiver = nil
        restBytes = 0
        // The request is over as far as the provider's limit goes.
        slot?.release()
        slot = nil
        expire(at: .now() + Self.rest.time)
        connection?.drained(self)
    }

    func forward(to receiver: any ArrivalReceiver) {
        guard !isEnded, failure == nil, restBytes == nil else { return }
        self.receiver = receiver
    }

    private func wait(until deadline: NIODeadline) async throws(ParleyError) {
        // Stays set when the wait is over, which costs nothing; the sweep asks whether anybody still waits.
        expire(at: deadline)
        isAwaited = true
        await waiter.wait()
        isAwaited = false
        if waiter.isCancelled, Task.isCancelled, !isEnded {
            cancel()
            throw ParleyError(.cancelled, "The request was cancelled.")
        }
    }

    private func expire(at deadline: NIODeadline) {
        self.deadline = deadline
        if deadline < listed { list(deadline) }
    }

    private func list(_ deadline: NIODeadline) {
        listed = deadline
        shard.streams.setDeadline(deadline, of: self)
    }

    // MARK: The connection's side

    /// Takes in what a read brought; the task is woken by `signal` when the read is complete.
    func receive(_ arrival: inout Arrival) {
        hasArrived = true
        if let status = arrival.status {
            self.status = status
            headers = arrival.headers
        }
        if let restBytes {
            self.restBytes = restBytes + (arrival.body?.readableBytes ?? 0)
            if restBytes > Self.rest.bytes { cancel() }
        } else if let body = arrival.body {
            if unread == nil {
                unread = body
            } else {
                unread?.writeImmutableBuffer(body)
            }
        }
        if arrival.isComplete { end() }
    }

    /// The answer is waited for while the request's body is still being sent.
    func awaitUpload(_ upload: UpstreamUpload) {
        self.upload = upload
        uploadMoved()
    }

    /// A part of the body was sent: the limit on its standing still begins anew.
    func uploadMoved() {
        guard status == 0, let upload else { return }
        let deadline = NIODeadline.now() + upload.idle
        uploadDeadline = deadline
        expire(at: deadline)
    }

    /// All of the body was sent: from now on the answer's head is waited for.
    func uploadEnded() {
        guard status == 0, let upload else { return }
        self.upload = nil
        let deadline = NIODeadline.now() + upload.head
        uploadDeadline = deadline
        expire(at: deadline)
    }

    /// A read is complete: wakes the task, unless what came can go on without it.
    func signal() {
        if isAwaited, !isEnded, unread != nil, let receiver {
            var bytes = unread.take()
            if let deadline = receiver.receive(&bytes) {
                expire(at: deadline)
                connection?.drained(self)
                return
            }
            // What the task wakes up to.
            unread = bytes ?? ByteBuffer()
        }
        wake()
    }

    /// The service has switched to a WebSocket, which the connection belongs to from now on, and the endpoint's slot.
    func upgrade(_ arrival: Arrival) -> UpstreamSocket {
        let socket = UpstreamSocket(shard: shard, slot: slot)
        slot = nil
        self.socket = socket
        hasArrived = true
        status = arrival.status ?? 0
        headers = arrival.headers
        end()
        return socket
    }

    /// The body is complete.
    func end() {
        guard failure == nil else { return }
        isEnded = true
        leave()
    }

    /// The answer cannot be completed; what arrived before stays readable.
    func fail(_ error: ParleyError) {
        guard !isEnded, failure == nil else { return }
        failure = error
        let connection = self.connection
        leave()
        connection?.abandon(self)
        wake()
    }

    private func wake() {
        isAwaited = false
        waiter.signal()
    }

    private func leave() {
        connection = nil
        receiver = nil
        slot?.release()
        slot = nil
        shard.streams.remove(self)
    }
}

extension UpstreamStream: Swept {
    /// Called by the shard's sweep.
    func sweep(now: NIODeadline) {
        guard isAwaited || restBytes != nil else { return list(.distantFuture) }
        guard deadline <= now else { return list(deadline) }
        let what = status == 0 ? "did not answer" : "went silent"
        fail(ParleyError(.timeout, "The upstream \(what) within the time allowed."))
    }
}
