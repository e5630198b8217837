// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
public import ParleyDialects

/// A stream of neutral events, written in the client's dialect as it comes.
public final class EncodedEvents: AnswerBody, EventSink {
    /// Server-sent events.
    public let contentType = "text/event-stream; charset=utf-8"
    /// What passed by so far.
    public private(set) var observed = Observation()

    private let source: any EventSource
    private var encoder: any StreamEncoder
    private var isFinished = false
    private weak var sink: (any AnswerSink)?

    /// The events of `source` as `encoder` writes them.
    public init(source: any EventSource, encoder: any StreamEncoder) {
        self.source = source
        self.encoder = encoder
    }

    /// Appends what the next events are written as.
    public func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        guard !isFinished else { return false }
        var events: [Event] = []
        let more: Bool
        do throws(ParleyError) {
            more = try await source.next(into: &events, by: deadline)
        } catch {
            write(events, into: &out)
            throw error
        }
        write(events, into: &out)
        if !more {
            encoder.finish(into: &out)
            isFinished = true
            observed.isComplete = true
        }
        return more
    }

    /// Writes an error as the stream's end.
    public func fail(_ error: ParleyError, into out: inout ByteBuffer) {
        encoder.fail(error, into: &out)
    }

    /// Events that come while a task waits in `next` are written to `sink` at once.
    public func forward(to sink: any AnswerSink) {
        self.sink = sink
        source.forward(to: self)
    }

    /// Whether events can be written at the moment.
    public var isReady: Bool { !isFinished && sink?.isReady ?? false }

    /// Writes events to the sink.
    public func send(_ events: [Event]) {
        sink?.send { out in
            write(events, into: &out)
            return true
        }
    }

    /// Gives the events up.
    public func cancel() { source.cancel() }

    private func write(_ events: [Event], into out: inout ByteBuffer) {
        for event in events {
            observed.note(event)
            encoder.push(event, into: &out)
        }
    }
}
