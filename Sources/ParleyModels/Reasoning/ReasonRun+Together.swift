// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// Thoughts that are asked for at once.
extension ReasonRun {
    /// Opens all of them, each in a child task of its own, and returns when each has begun to answer or failed.
    func openTogether(_ legs: [(leg: ReasonLeg, thought: Thought)]) async throws(ParleyError) {
        stage = .together(legs)
        await withTaskGroup(of: Void.self) { group in
            for (leg, _) in legs { group.addTask { await leg.open() } }
        }
        try stopIfCancelled()
        guard let lead = legs.first(where: \.leg.isOpen) else { return end(legs) }
        // Told now, what is missing can still be in the head of a stream.
        let lost = legs.count { !$0.leg.isOpen }
        if lost > 0, call.stream { miss("\(lost) of \(legs.count) \(lead.thought.kind)s") }
        begin()
        view.begin(lead.thought.title)
        // Already the title shows that there is life.
        view.startHeading(&out)
    }

    /// Reads all to their ends: the words of the first one are shown as they come, of the others that they are there.
    ///
    /// Each child task reads once; what it read is looked at here, so that one task alone changes things.
    func readTogether(
        _ legs: [(leg: ReasonLeg, thought: Thought)], by deadline: NIODeadline
    ) async throws(ParleyError) {
        var round = Round(legs)
        await withTaskGroup(of: ReasonLeg.Chunk.self) { group in
            for place in legs.indices where legs[place].leg.isOpen {
                group.addTask { await legs[place].leg.read(by: deadline, at: place) }
            }
            while let chunk = await group.next() {
                round.take(chunk, in: &view, &out)
                deliver()
                guard !chunk.isOver, !Task.isCancelled else { continue }
                let leg = legs[chunk.place].leg
                group.addTask { await leg.read(by: deadline, at: chunk.place) }
            }
        }
        try stopIfCancelled()
        end(legs)
    }

    private func end(_ legs: [(leg: ReasonLeg, thought: Thought)]) {
        step(.thought(legs.map { outcome(of: $0.leg, ThoughtReader($0.thought)) }))
    }

    /// Sends what there is to show, if the client has room; the rest waits for the end of this reading.
    private func deliver() {
        guard !out.isEmpty, let sink, sink.isReady else { return }
        let events = out
        out = []
        sink.send(events)
    }

    /// What of a round of thoughts is shown.
    private struct Round {
        private let titles: [String]
        private let lead: Int?
        private var reader: ThoughtReader?
        private var isLeadOver: Bool
        /// What was done while the lead was speaking.
        private var notes: [String] = []
        private var done = 0

        init(_ legs: [(leg: ReasonLeg, thought: Thought)]) {
            titles = legs.map(\.thought.title)
            lead = legs.firstIndex(where: \.leg.isOpen)
            reader = lead.map { ThoughtReader(legs[$0].thought) }
            isLeadOver = lead == nil
        }

        mutating func take(_ chunk: ReasonLeg.Chunk, in view: inout ReasonView, _ out: inout [Event]) {
            if chunk.place == lead {
                for event in chunk.events { reader?.show(event, in: &view, &out) }
            }
            guard chunk.isOver else { return }
            done += 1
            let title = titles[chunk.place]
            notes.append(chunk.failure == nil ? "\(title) of \(titles.count) done." : "\(title) broke off.")
            if chunk.place == lead { isLeadOver = true }
            guard isLeadOver else { return }
            for note in notes { view.note(note, &out) }
            notes = []
        }
    }
}

extension ReasonLeg {
    /// Reads once, and says which leg it was.
    fileprivate func read(by limit: NIODeadline, at place: Int) async -> Chunk {
        var chunk = await read(by: limit)
        chunk.place = place
        return chunk
    }
}
