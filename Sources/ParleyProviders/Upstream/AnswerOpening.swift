// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Reads an answer with a good status up to the commit point, and says what goes on from there.
///
/// What waits is kept apart from what needs much room, since the room of a function that waits is held for long.
struct AnswerOpening {
    /// Whole answers up to this size are looked over before the client sees anything; longer ones pass unseen.
    static let holdLimit = 1 << 20
    /// The most of a whole answer that is read where it must be translated.
    static let translationLimit = 32 << 20

    let reader: AnswerReader
    let attempt: UpstreamAttempt
    /// The attempt's, which it may change only before its next try.
    let route: UpstreamRoute

    /// The answer's content.
    func content() async throws(ParleyError) -> Reply.Content {
        switch (try await shape(), attempt.call.stream) {
        case (.events, true): try await stream()
        case (.json, false): try await whole()
        case (.json, true): try await replay()
        case (.events, false): try await collected()
        case (.webPage, _): throw pageInPlace()
        case (.unknown, _): throw Self.unreadable()
        }
    }

    /// The content of a whole answer that has come with its head, as most do: without one of the functions that wait.
    @inline(never)
    func contentAtOnce() throws(ParleyError) -> Reply.Content? {
        guard !attempt.call.stream, let body = reader.takeWhole(limit: Self.holdLimit) else { return nil }
        guard shape(of: body, isWhole: true) == .json else {
            reader.giveBack(body)
            return nil
        }
        return route.relaying == nil ? try translated(body) : .client(try inspected(body))
    }

    // Errors are made apart from the functions that wait: they take much room there.
    @inline(never)
    private func pageInPlace() -> ParleyError {
        let advice = route.upstream.pageAdvice
        return ParleyError(.upstreamUnavailable, "the service sent a web page in place of an answer\(advice)")
    }

    @inline(never)
    private static func unreadable() -> ParleyError {
        ParleyError(.upstreamUnavailable, "the service sent something that is neither JSON nor a stream")
    }

    @inline(never)
    private static func empty() -> ParleyError {
        ParleyError(.upstreamUnavailable, "the service sent an empty answer")
    }

    /// Reads until the answer's first character is there, and gives it back.
    private func shape() async throws(ParleyError) -> BodyShape {
        let isStream = attempt.call.stream
        var seen = ByteBuffer()
        while true {
            // The first-event limit of a whole answer ended with its head.
            guard let bytes = try await isStream ? reader.nextBeforeFirst() : reader.next() else {
                guard seen.readableBytes > 0 else { throw Self.empty() }
                reader.giveBack(seen)
                return shape(of: seen, isWhole: true) ?? .unknown
            }
            seen = seen.readableBytes == 0 ? bytes : seen.joined(bytes)
            if let shape = shape(of: seen, isWhole: false) {
                reader.giveBack(seen)
                return shape
            }
            guard seen.readableBytes <= Self.holdLimit else { return .unknown }
        }
    }

    @inline(never)
    private func shape(of bytes: ByteBuffer, isWhole: Bool) -> BodyShape? {
        BodyShape(
            bytes, framing: route.upstream.framing, isStream: attempt.call.stream,
            contentType: reader.headers.first("content-type"), isWhole: isWhole)
    }

    // MARK: Streams

    @inline(never)
    private func stream() async throws(ParleyError) -> Reply.Content {
        if let body = streamBody() {
            try await body.open()
            return .client(body)
        }
        let source = UpstreamEvents(reader, attempt.makeStreamDecoder())
        try await source.open()
        return .events(source)
    }

    /// The stream as bytes for the client; nil where the caller wants events.
    @inline(never)
    private func streamBody() -> UpstreamBody? {
        if let relaying = route.relaying {
            return UpstreamBody(reader, relaying.makeStreamRelay(stripUsage: route.stripsUsage))
        }
        guard case .client = attempt.call.form else { return nil }
        let encoder = route.client.makeStreamEncoder(AnswerContext(attempt.call))
        return UpstreamBody(reader, Transcoder(decoder: attempt.makeStreamDecoder(), encoder: encoder))
    }

    /// A whole answer in place of the stream that was asked for.
    @inline(never)
    private func replay() async throws(ParleyError) -> Reply.Content {
        try replayed(try await held())
    }

    @inline(never)
    private func replayed(_ body: ByteBuffer) throws(ParleyError) -> Reply.Content {
        let events = ReadyEvents(EventReplay.events(of: try decoded(body)))
        guard case .client = attempt.call.form else { return .events(events) }
        let encoder = route.client.makeStreamEncoder(AnswerContext(attempt.call))
        return .client(EncodedEvents(source: events, encoder: encoder))
    }

    // MARK: Whole answers

    @inline(never)
    private func whole() async throws(ParleyError) -> Reply.Content {
        guard route.relaying != nil else { return try translated(try await held()) }
        let (body, isWhole) = try await reader.collect(limit: Self.holdLimit)
        guard isWhole else { return .client(LongBody(body, reader: reader)) }
        return .client(try inspected(body))
    }

    /// An answer that is passed on as it is.
    @inline(never)
    private func inspected(_ body: ByteBuffer) throws(ParleyError) -> ReadyBody {
        let observed = try route.relaying?.inspectWhole(body)
        return ReadyBody(body, contentType: "application/json", observed: observed ?? Observation())
    }

    @inline(never)
    private func translated(_ body: ByteBuffer) throws(ParleyError) -> Reply.Content {
        try written(try decoded(body))
    }

    /// The answer as the caller can use it.
    @inline(never)
    private func written(_ response: ChatResponse) throws(ParleyError) -> Reply.Content {
        guard case .client = attempt.call.form else { return .whole(response) }
        let body = route.client.encodeWhole(response, AnswerContext(attempt.call))
        return .client(ReadyBody(body, of: response))
    }

    @inline(never)
    private func written(_ collection: StreamCollection) throws(ParleyError) -> Reply.Content {
        try written(collection.response())
    }

    /// All of an answer that must be translated.
    private func held() async throws(ParleyError) -> ByteBuffer {
        let (body, isWhole) = try await reader.collect(limit: Self.translationLimit)
        guard isWhole else {
            throw ParleyError(.upstreamUnavailable, "the service's answer is too long to be translated")
        }
        return body
    }

    private func decoded(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var response = try route.upstream.decodeWhole(body)
        for index in response.choices.indices where response.choices[index].finish == nil {
            // Spark says no reason: a whole answer is over all the same.
            let hasCalls = !response.choices[index].message.toolCalls.isEmpty
            response.choices[index].finish = hasCalls ? .toolCalls : .stop
        }
        return attempt.estimate?.filled(response) ?? response
    }

    /// A stream that nobody asked for, put together.
    @inline(never)
    private func collected() async throws(ParleyError) -> Reply.Content {
        let collection = StreamCollection(attempt.makeStreamDecoder())
        while try collection.take(try await reader.next()) {}
        reader.finish()
        return try written(collection)
    }
}

/// A stream on its way to becoming a whole answer.
private final class StreamCollection {
    private var decoder: any StreamDecoder
    private var collector = ChatCollector()
    private var size = 0

    init(_ decoder: any StreamDecoder) {
        self.decoder = decoder
    }

    /// Takes in what arrived; nil is the body's end.
    ///
    /// - Returns: whether more is wanted.
    func take(_ bytes: ByteBuffer?) throws(ParleyError) -> Bool {
        var events: [Event] = []
        if let bytes {
            size += bytes.readableBytes
            guard size <= AnswerOpening.translationLimit else {
                throw ParleyError(.upstreamUnavailable, "the service's answer is too long to be translated")
            }
            try decoder.push(bytes, into: &events)
        } else {
            try decoder.finish(into: &events)
        }
        for event in events { collector.add(event) }
        return bytes != nil && !decoder.isComplete
    }

    func response() -> ChatResponse { collector.response() }
}

extension ByteBuffer {
    /// These bytes and `more`.
    func joined(_ more: ByteBuffer) -> ByteBuffer {
        var all = self
        all.writeImmutableBuffer(more)
        return all
    }
}
