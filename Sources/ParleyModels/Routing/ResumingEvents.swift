// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// A stream that another member continues where it breaks off: the client sees one start, one text and one end.
///
/// Only plain text can be continued: where a tool call has begun, or anything else was said that the next model cannot
/// go on from, the stream breaks off as it would have without this.
final class ResumingEvents: EventSource, ReplyWatcher {
    /// The longest text that is kept to go on from.
    private static let longestText = 1 << 20
    private static let instruction = """
        Your last message was cut off by a technical fault. Continue it from the exact character at which it stopped. \
        Do not repeat any of it, do not begin anew, and do not mention the interruption.
        """

    private let plan: RoutePlan
    private let call: Call
    private var run: RouteRun
    private var current: any EventSource
    private var watchers: [any ReplyWatcher]
    private var attempt: AttemptReference?
    private var text = ""
    private var isPlain = true
    private var hasStarted = false
    private var isFinished = false
    /// What the parts before this one used.
    private var spent = Usage()
    private var usage = Usage()

    private init(
        _ plan: RoutePlan, _ call: Call, _ run: RouteRun, _ source: any EventSource, _ reply: Reply
    ) {
        self.plan = plan
        self.call = call
        self.run = run
        current = source
        watchers = reply.watchers
        attempt = reply.attempt
    }

    /// The answer of a member, to be continued by the others of its route.
    static func reply(
        _ plan: RoutePlan, _ member: Int, _ call: Call, _ run: RouteRun
    ) async throws(ParleyError) -> Reply {
        var call = call
        call.form = .neutral
        var reply = try await plan.members[member].model.answer(call)
        guard case .events(let source) = reply.content else { return reply }
        let resuming = ResumingEvents(plan, call, run, source, reply)
        reply.content = .events(resuming)
        reply.watchers = [resuming]
        return reply
    }

    func next(into events: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        while true {
            var fresh: [Event] = []
            do throws(ParleyError) {
                let isOpen = try await current.next(into: &fresh, by: deadline)
                take(fresh, into: &events)
                return isOpen
            } catch {
                take(fresh, into: &events)
                guard canResume(after: error), try await resume(after: error) else { throw error }
                if !events.isEmpty { return true }
            }
        }
    }

    func cancel() { current.cancel() }

    func ended(_ seen: Observation, _ failure: ParleyError?) {
        let told = watchers
        watchers = []
        for watcher in told { watcher.ended(seen, failure) }
    }

    private func take(_ fresh: [Event], into events: inout [Event]) {
        for event in fresh {
            switch event {
            case .start:
                guard !hasStarted else { continue }
                hasStarted = true
            case .text(let choice, let piece):
                if choice != 0 || text.utf8.count + piece.utf8.count > Self.longestText { isPlain = false }
                if isPlain { text += piece }
            case .finish: isFinished = true
            case .usage(let more):
                usage.merge(more)
                events.append(.usage(total))
                continue
            case .reasoning, .extra, .logprobs: break
            case .refusal, .toolCall, .arguments, .audio: isPlain = false
            }
            events.append(event)
        }
    }

    /// What all parts used so far.
    private var total: Usage {
        // What an upstream states of its own is handed on as it is.
        guard !spent.isEmpty else { return usage }
        var total = spent
        total.add(usage)
        return total
    }

    private func canResume(after error: ParleyError) -> Bool {
        guard isPlain, !text.isEmpty, !isFinished, !Task.isCancelled, call.deadline > .now() else { return false }
        return error.kind == .upstreamUnavailable || error.kind == .timeout
    }

    /// Lets the next member go on.
    private func resume(after cut: ParleyError) async throws(ParleyError) -> Bool {
        current.cancel()
        if let attempt { attempt.trace.fail(attempt.number, cut.kind) }
        var seen = Observation()
        seen.usage = usage
        seen.isMeaningful = true
        ended(seen, cut)
        guard let call = continued() else { return false }
        while let index = run.next("resume") {
            guard call.deadline > .now() else { return false }
            do throws(ParleyError) {
                let reply = try await plan.members[index].model.answer(call)
                spent = total
                usage = Usage()
                watchers = reply.watchers
                attempt = reply.attempt
                current = source(of: reply)
                return true
            } catch {
                try stopIfCancelled()
                guard error.isWorthMovingOn else { return false }
            }
        }
        return false
    }

    /// The call that asks for the rest; nil where nobody can write it.
    private func continued() -> Call? {
        guard var request = try? call.neutralRequest(), request.n ?? 1 == 1 else { return nil }
        request.messages.append(Message(.assistant, text: text))
        request.messages.append(Message(.user, text: Self.instruction))
        var call = call
        call.replaceRequest(with: request)
        return call
    }

    private func source(of reply: Reply) -> any EventSource {
        switch reply.content {
        case .events(let source): source
        case .whole(let response): ReadyEvents(call.forms?.events(of: response) ?? [])
        // Whoever was asked for a neutral form gives one.
        case .client: ReadyEvents([])
        }
    }
}
