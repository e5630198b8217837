// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// Events on their way that are put together as they pass, for whoever keeps the answer.
final class RecordedEvents: EventSource, EventSink {
    private let source: any EventSource
    private var collector: any AnswerCollector
    private let broken: () -> Void
    private let whole: (ChatResponse) async throws(ParleyError) -> Void
    private weak var sink: (any EventSink)?

    /// Passes on the events of `source`.
    ///
    /// - Parameters:
    ///   - broken: called when the answer breaks off or is given up, maybe more than once and also behind its end.
    ///   - whole: takes the complete answer, before the last of its events is handed out.
    init(
        _ source: any EventSource, _ collector: any AnswerCollector, broken: @escaping () -> Void = {},
        whole: @escaping (ChatResponse) async throws(ParleyError) -> Void
    ) {
        self.source = source
        self.collector = collector
        self.broken = broken
        self.whole = whole
    }

    func next(into events: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        let before = events.count
        do throws(ParleyError) {
            let isOpen = try await source.next(into: &events, by: deadline)
            for event in events[min(before, events.count)...] { collector.add(event) }
            if !isOpen { try await whole(collector.response()) }
            return isOpen
        } catch {
            broken()
            throw error
        }
    }

    func cancel() {
        broken()
        source.cancel()
    }

    func forward(to sink: any EventSink) {
        self.sink = sink
        source.forward(to: self)
    }

    var isReady: Bool { sink?.isReady ?? false }

    func send(_ events: [Event]) {
        for event in events { collector.add(event) }
        sink?.send(events)
    }
}
