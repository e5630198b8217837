// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Reads an answer with a good status up to the commit point, and says what goes on from there.
struct AnswerOpening {
    /// Whole answers up to this size are looked over before the client sees anything; longer ones pass unseen.
    static let holdLimit = 1 << 20
    /// The most of a whole answer that is read where it must be translated.
    static let translationLimit = 32 << 20

    let reader: AnswerReader
    let call: Call
    let route: UpstreamRoute

    /// The answer's content.
    func content() async throws(ParleyError) -> Reply.Content {
        switch (try await shape(), call.stream) {
        case (.events, true):
            if let relaying = route.relaying {
                let relay = relaying.makeStreamRelay(stripUsage: route.stripsUsage)
                return .client(try await UpstreamBody.opened(reader, relay))
            }
            let decoder = route.upstream.makeStreamDecoder()
            guard case .client = call.form else { return .events(try await UpstreamEvents.opened(reader, decoder)) }
            let encoder = route.client.makeStreamEncoder(AnswerContext(call))
            return .client(try await UpstreamBody.opened(reader, Transcoder(decoder: decoder, encoder: encoder)))
        case (.json, false):
            return try await whole()
        case (.json, true):
            let events = EventReplay.events(of: try await decodedWhole())
            guard case .client = call.form else { return .events(ReadyEvents(events)) }
            let encoder = route.client.makeStreamEncoder(AnswerContext(call))
            return .client(EncodedEvents(source: ReadyEvents(events), encoder: encoder))
        case (.events, false):
            let response = try await collected()
            guard case .client = call.form else { return .whole(response) }
            return .client(ReadyBody(route.client.encodeWhole(response, AnswerContext(call)), of: response))
        case (.webPage, _):
            throw ParleyError(.upstreamUnavailable, "the service sent a web page in place of an answer")
        case (.unknown, _):
            throw ParleyError(.upstreamUnavailable, "the service sent something that is neither JSON nor a stream")
        }
    }

    /// Reads until the answer's first character is there, and gives it back.
    private func shape() async throws(ParleyError) -> BodyShape {
        let contentType = reader.headers.first("content-type")
        var seen = ByteBuffer()
        while true {
            // The first-event limit of a whole answer ended with its head.
            guard let bytes = try await call.stream ? reader.nextBeforeFirst() : reader.next() else {
                guard seen.readableBytes > 0 else {
                    throw ParleyError(.upstreamUnavailable, "the service sent an empty answer")
                }
                reader.giveBack(seen)
                return BodyShape(seen, contentType: contentType, isWhole: true) ?? .unknown
            }
            seen = seen.readableBytes == 0 ? bytes : seen.joined(bytes)
            if let shape = BodyShape(seen, contentType: contentType, isWhole: false) {
                reader.giveBack(seen)
                return shape
            }
            guard seen.readableBytes <= Self.holdLimit else { return .unknown }
        }
    }

    // MARK: Whole answers

    private func whole() async throws(ParleyError) -> Reply.Content {
        guard let relaying = route.relaying else {
            let response = try await decodedWhole()
            guard case .client = call.form else { return .whole(response) }
            return .client(ReadyBody(route.client.encodeWhole(response, AnswerContext(call)), of: response))
        }
        let (body, isWhole) = try await reader.collect(limit: Self.holdLimit)
        guard isWhole else { return .client(LongBody(body, reader: reader)) }
        let observed = try relaying.inspectWhole(body)
        return .client(ReadyBody(body, contentType: "application/json", observed: observed))
    }

    private func decodedWhole() async throws(ParleyError) -> ChatResponse {
        let (body, isWhole) = try await reader.collect(limit: Self.translationLimit)
        guard isWhole else {
            throw ParleyError(.upstreamUnavailable, "the service's answer is too long to be translated")
        }
        var response = try route.upstream.decodeWhole(body)
        for index in response.choices.indices where response.choices[index].finish == nil {
            // Spark says no reason: a whole answer is over all the same.
            let hasCalls = !response.choices[index].message.toolCalls.isEmpty
            response.choices[index].finish = hasCalls ? .toolCalls : .stop
        }
        return response
    }

    /// A stream that nobody asked for, put together.
    private func collected() async throws(ParleyError) -> ChatResponse {
        var decoder = route.upstream.makeStreamDecoder()
        var collector = ChatCollector()
        var size = 0
        var isOpen = true
        while isOpen, !decoder.isComplete {
            var events: [Event] = []
            if let bytes = try await reader.next() {
                size += bytes.readableBytes
                guard size <= Self.translationLimit else {
                    throw ParleyError(.upstreamUnavailable, "the service's answer is too long to be translated")
                }
                try decoder.push(bytes, into: &events)
            } else {
                try decoder.finish(into: &events)
                isOpen = false
            }
            for event in events { collector.add(event) }
        }
        reader.cancel()
        return collector.response()
    }
}

extension ByteBuffer {
    /// These bytes and `more`.
    func joined(_ more: ByteBuffer) -> ByteBuffer {
        var all = self
        all.writeImmutableBuffer(more)
        return all
    }
}
