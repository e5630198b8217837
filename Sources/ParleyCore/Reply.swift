// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// What a model answered, at the commit point.
public struct Reply {
    /// The ways an answer can come.
    public enum Content {
        /// Bytes ready for the client, in its own dialect.
        case client(any AnswerBody)
        /// A stream of neutral events.
        case events(any EventSource)
        /// A whole neutral response.
        indirect case whole(ChatResponse)
    }

    /// The answer.
    public var content: Content
    /// Upstream headers a client wants to see: rate limits, processing time, the upstream's request id.
    public var headers: [HeaderField]
    /// Who wants to know how the answer ends. Whoever reads a reply to its end, or gives it up, calls ``end(_:_:)``.
    public var watchers: [any ReplyWatcher] = []
    /// The attempt that this is the answer of, so that a trace learns where it was given up.
    public var attempt: AttemptReference?

    /// An answer with the upstream headers worth passing on.
    public init(_ content: Content, headers: [HeaderField] = []) {
        self.content = content
        self.headers = headers
    }

    /// Tells the watchers how the answer ended: once, when it was read to its end, broke off, or was given up.
    ///
    /// - Parameters:
    ///   - seen: what passed by.
    ///   - failure: why it broke off; `cancelled` where nobody wanted the rest; nil where it is complete.
    public func end(_ seen: Observation, _ failure: ParleyError?) {
        for watcher in watchers { watcher.ended(seen, failure) }
    }

    /// What was seen of the answer so far.
    public var seen: Observation {
        switch content {
        case .client(let body): return body.observed
        case .events: return Observation()
        case .whole(let response):
            var seen = Observation()
            seen.usage = response.usage
            return seen
        }
    }

    /// Gives the answer up: closes the upstream and tells the watchers.
    public func giveUp() {
        switch content {
        case .client(let body): body.cancel()
        case .events(let source): source.cancel()
        case .whole: break
        }
        if let attempt { attempt.trace.giveUp(attempt.number, usage: seen.usage) }
        end(seen, ParleyError(.cancelled, "Another answer was taken."))
    }
}

/// An attempt of a trace.
public struct AttemptReference: Sendable {
    /// The trace.
    public let trace: CallTrace
    /// The attempt's number in it.
    public let number: Int

    /// The attempt `number` of `trace`.
    public init(_ trace: CallTrace, _ number: Int) {
        self.trace = trace
        self.number = number
    }
}

/// Wants to know how an answer ended that it had a part in. Called on the event loop of the call.
public protocol ReplyWatcher: AnyObject {
    /// The answer is over; called once.
    ///
    /// - Parameters:
    ///   - seen: what passed by.
    ///   - failure: why it broke off; `cancelled` where nobody wanted the rest; nil where it is complete.
    func ended(_ seen: Observation, _ failure: ParleyError?)
}

/// A client-ready answer, produced piece by piece. Used from one task, on the event loop of the call.
public protocol AnswerBody: AnyObject {
    /// The answer's content type.
    var contentType: String { get }
    /// What was seen of the answer so far.
    var observed: Observation { get }

    /// Appends the next piece to `out`, waiting for the upstream where nothing is at hand.
    ///
    /// What is appended always ends between two frames of a stream, so that a comment or an error may follow it.
    /// - Returns: false when the answer is complete; the last piece may come with it.
    /// - Throws: the upstream's failure; what was appended before it is valid.
    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool

    /// All of a whole answer, where it is there; nil where `next` must be asked. By default it must.
    func takeWhole() -> ByteBuffer?

    /// Writes an error as the end of a stream, well-formed behind what `next` gave so far. Whole answers have none.
    func fail(_ error: ParleyError, into out: inout ByteBuffer)

    /// Gives up: closes the upstream unless the answer is complete.
    func cancel()

    /// From now on, a piece that arrives while a task waits in `next` may go to `sink` at once, without waking the
    /// task. By default every piece goes through `next`.
    func forward(to sink: any AnswerSink)
}

extension AnswerBody {
    /// `next` must be asked.
    public func takeWhole() -> ByteBuffer? { nil }

    /// Every piece goes through `next`.
    public func forward(to sink: any AnswerSink) {}
}

/// Where pieces of an answer can go while the task that relays it waits for the next one. Used on the event loop of the
/// call.
public protocol AnswerSink: AnyObject {
    /// Whether a piece can be sent at the moment; where not, the task must be woken.
    var isReady: Bool { get }

    /// Sends what `fill` appends, as one piece, unless it says false. Where no piece can be sent it is not asked.
    ///
    /// - Returns: when it left; nil where it did not, or where no further piece can be sent at the moment.
    @discardableResult
    func send(filledBy fill: (inout ByteBuffer) -> Bool) -> NIODeadline?
}

extension AnswerBody {
    /// Nothing: a whole answer that breaks off has no way to say so.
    public func fail(_ error: ParleyError, into out: inout ByteBuffer) {}
}

/// A stream of neutral events. Used from one task, on the event loop of the call.
public protocol EventSource: AnyObject {
    /// Appends the next events, waiting where there are none.
    ///
    /// - Returns: false when the stream is complete; the last events may come with it.
    func next(into events: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool

    /// Gives up: closes the upstream unless the stream is complete.
    func cancel()

    /// From now on, events that arrive while a task waits in `next` may go to `sink` at once. By default every event goes
    /// through `next`.
    func forward(to sink: any EventSink)
}

extension EventSource {
    /// Every event goes through `next`.
    public func forward(to sink: any EventSink) {}
}

/// Where events can go while the task that reads them waits for the next ones. Used on the event loop of the call.
public protocol EventSink: AnyObject {
    /// Whether events can be sent at the moment; where not, they have to wait for the end of `next`.
    var isReady: Bool { get }

    /// Sends events that come before any that `next` will give.
    func send(_ events: [Event])
}

/// Events that are all there already.
public final class ReadyEvents: EventSource {
    private var events: [Event]

    /// The given events, in one go.
    public init(_ events: [Event]) {
        self.events = events
    }

    /// All events, at once.
    public func next(into events: inout [Event], by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        events += self.events
        self.events = []
        return false
    }

    /// There is nothing to close.
    public func cancel() {}
}

/// What a tap saw pass by.
public struct Observation: Sendable, Equatable {
    /// Tokens, as far as reported.
    public var usage = Usage()
    /// The finish reason of the first choice that has one, as the upstream worded it.
    public var finish: String?
    /// Whether an event passed that cannot be taken back.
    public var isMeaningful = false
    /// Whether the answer's proper end was seen.
    public var isComplete = false
    /// How many pieces of the answer passed, where they are counted: about as many tokens, at most vendors.
    public var pieces = 0

    /// Nothing seen yet.
    public init() {}
}
