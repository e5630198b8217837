// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// An upstream's stream, passed on in the client's dialect.
final class UpstreamBody: AnswerBody {
    private enum State {
        case open
        case complete
        case failed(ParleyError)
    }

    let contentType = "text/event-stream; charset=utf-8"
    private let reader: AnswerReader
    private let relay: any StreamRelay
    /// What went through the relay and was not handed out yet.
    private var ready = ByteBuffer()
    /// Bytes of the answer that were read without trouble.
    private var received = 0
    private var state = State.open
    /// Where pieces go that arrive while the task waits.
    private var sink: (any AnswerSink)?
    /// Until when the task waits in `next`.
    private var deadline = NIODeadline.distantFuture

    var observed: Observation { relay.observed }

    init(_ reader: AnswerReader, _ relay: any StreamRelay) {
        self.reader = reader
        self.relay = relay
    }

    /// Reads up to the first meaningful event or the end.
    ///
    /// - Throws: what went wrong before: nothing has been promised to the client then.
    func open() async throws(ParleyError) {
        while isOpening { push(try await reader.nextBeforeFirst(), into: &ready) }
        // A failure right behind the first words counts as one after them, however the bytes were cut.
        if case .failed(let error) = state, !relay.isMeaningful { throw error }
    }

    private var isOpening: Bool {
        guard case .open = state else { return false }
        return !relay.isMeaningful
    }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        guard case .open = state, ready.readableBytes == 0 else { return try handOut(into: &out) }
        self.deadline = deadline
        let bytes: ByteBuffer?
        do throws(ParleyError) {
            bytes = try await reader.next(by: deadline)
        } catch {
            // After a timeout at the caller's own deadline the stream goes on.
            if error.kind != .timeout { state = .failed(error) }
            throw error
        }
        // Empty where `receive` took what came.
        if bytes?.readableBytes != 0 { push(bytes, into: &out) }
        return try handOut(into: &out)
    }

    /// Appends what is ready and says whether more may come; a failure is thrown when all before it was handed out.
    private func handOut(into out: inout ByteBuffer) throws(ParleyError) -> Bool {
        if ready.readableBytes > 0 {
            if out.readableBytes == 0 { out = ready } else { out.writeBuffer(&ready) }
            ready = ByteBuffer()
            if case .complete = state { return false }
            return true
        }
        switch state {
        case .open: return true
        case .complete: return false
        case .failed(let error): throw error
        }
    }

    func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        relay.fail(error, into: &out)
    }

    func cancel() { reader.cancel() }

    /// Puts what arrived through the relay; nil is the body's end.
    private func push(_ bytes: consuming ByteBuffer?, into out: inout ByteBuffer) {
        let size = bytes?.readableBytes ?? 0
        do throws(ParleyError) {
            switch consume bytes {
            case .some(let bytes):
                try relay.push(consume bytes, into: &out)
            case nil:
                try relay.finish(into: &out)
                state = .complete
                return
            }
        } catch {
            var error = error
            error.offset = received
            state = .failed(error)
            reader.cancel()
            return
        }
        received = received.clampedSum(size)
        if relay.isComplete {
            state = .complete
            // The client's end does not wait for what the upstream may still send.
            reader.finish()
        }
    }
}

extension UpstreamBody: ArrivalReceiver {
    func forward(to sink: any AnswerSink) {
        self.sink = sink
        reader.forward(to: self)
    }

    /// Puts what arrived through the relay and straight to the sink. The task is woken only at the end, after a failure
    /// and where the client is slow.
    func receive(_ bytes: inout ByteBuffer?) -> NIODeadline? {
        guard let sink else { return nil }
        let sent = sink.send { out in
            guard let arrived = bytes.take() else { return false }
            let start = out.writerIndex
            push(arrived, into: &out)
            if case .open = state { return true }
            // The last piece has an end of its own.
            ready = out.getSlice(at: start, length: out.writerIndex - start) ?? ByteBuffer()
            return false
        }
        return sent.map { reader.waitAnew(since: $0, by: deadline) }
    }
}

/// An upstream's stream as neutral events.
final class UpstreamEvents: EventSource {
    private let reader: AnswerReader
    private var decoder: any StreamDecoder
    private var opening: [Event] = []
    private var isComplete = false
    private var failure: ParleyError?

    init(_ reader: AnswerReader, _ decoder: any StreamDecoder) {
        self.reader = reader
        self.decoder = decoder
    }

    /// Reads up to the first meaningful event or the end.
    ///
    /// - Throws: what went wrong before.
    func open() async throws(ParleyError) {
        var seen = 0
        while !isComplete, failure == nil {
            push(try await reader.nextBeforeFirst(), into: &opening)
            if opening[seen...].contains(where: \.isMeaningful) { return }
            seen = opening.count
        }
        if let failure { throw failure }
    }

    func next(into events: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        if !opening.isEmpty {
            events += opening
            opening = []
            return !isComplete
        }
        if let failure { throw failure }
        guard !isComplete else { return false }
        do throws(ParleyError) {
            push(try await reader.next(by: deadline), into: &events)
        } catch {
            if error.kind != .timeout { failure = error }
            throw error
        }
        if let failure { throw failure }
        return !isComplete
    }

    func cancel() { reader.cancel() }

    private func push(_ bytes: ByteBuffer?, into events: inout [Event]) {
        do throws(ParleyError) {
            if let bytes {
                try decoder.push(bytes, into: &events)
                guard decoder.isComplete else { return }
                reader.finish()
            } else {
                try decoder.finish(into: &events)
            }
            isComplete = true
        } catch {
            failure = error
            reader.cancel()
        }
    }
}

/// A whole answer that is all there already.
final class ReadyBody: AnswerBody {
    let contentType: String
    let observed: Observation
    private var body: ByteBuffer

    init(_ body: ByteBuffer, contentType: String, observed: Observation) {
        self.body = body
        self.contentType = contentType
        self.observed = observed
    }

    /// The body that `response` was written as.
    convenience init(_ body: ByteBuffer, of response: ChatResponse) {
        var observed = Observation()
        observed.usage = response.usage
        observed.finish = response.choices.lazy.compactMap(\.finish).first?.rawValue
        observed.isMeaningful = true
        observed.isComplete = true
        self.init(body, contentType: "application/json", observed: observed)
    }

    func takeWhole() -> ByteBuffer? {
        defer { body = ByteBuffer() }
        return body
    }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        if out.readableBytes == 0 { out = body } else { out.writeImmutableBuffer(body) }
        body = ByteBuffer()
        return false
    }

    func cancel() {}
}

/// A whole answer that is too long to be held: passed on unseen, its tokens estimated from its length.
final class LongBody: AnswerBody {
    /// Bytes per token, roughly, of the languages and JSON around them.
    private static let bytesPerToken = 4

    let contentType = "application/json"
    private(set) var observed = Observation()
    private let reader: AnswerReader
    private var opening: ByteBuffer
    private var size = 0

    init(_ opening: ByteBuffer, reader: AnswerReader) {
        self.opening = opening
        self.reader = reader
        observed.isMeaningful = true
        observed.usage.estimated = true
    }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        guard !observed.isComplete else { return false }
        if opening.readableBytes > 0 {
            count(opening)
            out.writeBuffer(&opening)
            opening = ByteBuffer()
            return true
        }
        guard let bytes = try await reader.next(by: deadline) else {
            observed.isComplete = true
            return false
        }
        count(bytes)
        out.writeImmutableBuffer(bytes)
        return true
    }

    func cancel() { reader.cancel() }

    private func count(_ bytes: ByteBuffer) {
        size += bytes.readableBytes
        observed.usage.output = size / Self.bytesPerToken
    }
}
