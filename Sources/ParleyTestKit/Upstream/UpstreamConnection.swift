// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore
import NIOHTTP1

/// One connection of an upstream: collects requests, answers them one after the other, and notes what became of them.
///
/// The connection is read all the time, so that the peer's close is seen at once in every state.
final class UpstreamConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = ByteBuffer

    /// A request, complete and waiting for its turn or being answered.
    private struct Request {
        let head: HTTPRequestHead
        let body: ByteBuffer
        let model: String?
        let arrival: NIODeadline
        /// Its place in the log; control and benchmark requests have none.
        let logID: Int?
    }

    /// The answer being given.
    private struct Answer {
        let number: Int
        let request: Request
        var cursor: ScriptCursor
        var isComplete = false
        var lastWrite: NIODeadline?
    }

    private let state: UpstreamState
    private let cutter: SocketCutter
    private var number = 0
    private var isControl = false
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    private var waiting: CircularBuffer<Request> = []
    private var answer: Answer?
    private var answers = 0
    private var last: (logID: Int, lastWrite: NIODeadline)?
    private var unflushed = 0
    private var awaitsWritability = false
    private var closesItself = false
    private var pacing: BenchAnswers.Pacing?

    init(state: UpstreamState, cutter: SocketCutter) {
        self.state = state
        self.cutter = cutter
    }

    // MARK: Events

    func channelActive(context: ChannelHandlerContext) {
        number = state.connectionOpened()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = ByteBuffer()
            if head.headers["expect"].contains(where: { $0.lowercased() == "100-continue" }) {
                let interim = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")
                context.writeAndFlush(wrapOutboundOut(interim), promise: nil)
            }
        case .body(var part):
            if body.readableBytes == 0 { body = part } else { body.writeBuffer(&part) }
        case .end:
            guard let head else { return }
            self.head = nil
            arrived(head, body, context: context)
            body = ByteBuffer()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if awaitsWritability, context.channel.isWritable {
            awaitsWritability = false
            proceed(context: context)
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let now = NIODeadline.now()
        if let answer {
            close(answer.request, isComplete: answer.isComplete, since: answer.lastWrite, now: now)
        } else if let last {
            close(logID: last.logID, isComplete: true, since: last.lastWrite, now: now)
        }
        for request in waiting { close(request, isComplete: false, since: nil, now: now) }
        answer = nil
        last = nil
        waiting.removeAll()
        pacing?.cancel()
        if !isControl { state.connectionClosed() }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Nothing here is worth an answer. Bytes that are no HTTP make us close; all other errors (a reset, a TLS
        // session without its goodbye) are a peer that went away.
        if error is HTTPParserError { closesItself = true }
        context.close(promise: nil)
    }

    // MARK: Requests

    private func arrived(_ head: HTTPRequestHead, _ body: ByteBuffer, context: ChannelHandlerContext) {
        let isControlRequest = head.uri.hasPrefix("/__")
        if isControlRequest, !isControl {
            isControl = true
            state.connectionIsControl()
        }
        let model = isControlRequest ? nil : ModelName.find(in: body)
        if answer == nil, !isControlRequest, let model, let bench = BenchAnswers.answer(for: model) {
            guard let steps = state.steps(for: head, model: model) else {
                return start(bench, keepAlive: head.isKeepAlive, context: context)
            }
            let id = state.note(connection: number, head: head, body: body, model: model)
            let request = Request(head: head, body: body, model: model, arrival: .now(), logID: id)
            return start(request, steps, context: context)
        }
        var logID: Int?
        if !isControlRequest {
            logID = state.note(connection: number, head: head, body: body, model: model)
        }
        waiting.append(Request(head: head, body: body, model: model, arrival: .now(), logID: logID))
        if answer == nil { startNext(context: context) }
    }

    private func startNext(context: ChannelHandlerContext) {
        guard let request = waiting.popFirst() else { return }
        let steps: [Script.Step]
        if request.head.uri.hasPrefix("/__") {
            steps = UpstreamControl.answer(to: request.head, request.body, state: state)
        } else {
            steps =
                state.steps(for: request.head, model: request.model)
                ?? BuiltInAnswers.answer(to: request.head, request.body)
        }
        start(request, steps, context: context)
    }

    private func start(_ request: Request, _ steps: [Script.Step], context: ChannelHandlerContext) {
        let cursor: ScriptCursor
        do {
            cursor = try ScriptCursor(steps: steps, keepAlive: request.head.isKeepAlive)
        } catch {
            let text = "scripted-upstream cannot read a file of this script: \(error)"
            let head = Script.Step.head(.init(500, headers: ["content-type": "text/plain"], framing: .length))
            guard let fallback = try? ScriptCursor(steps: [head, .write(text), .close], keepAlive: false) else {
                return context.close(promise: nil)
            }
            cursor = fallback
        }
        answers += 1
        last = nil
        answer = Answer(number: answers, request: request, cursor: cursor)
        proceed(context: context)
    }

    // MARK: Answers

    /// Performs the answer's operations until it has to wait for something.
    private func proceed(context: ChannelHandlerContext) {
        while var current = answer {
            if !context.channel.isWritable {
                flush(context: context)
                guard context.channel.isWritable else {
                    awaitsWritability = answer != nil
                    return
                }
                continue
            }
            let operation = current.cursor.next()
            answer?.cursor = current.cursor
            if case .write(let buffer) = operation {
                write(buffer, context: context)
                continue
            }
            flush(context: context)
            guard answer?.number == current.number else { return }
            if perform(operation, context: context) { continue }
            return
        }
        flush(context: context)
    }

    /// Performs an operation other than a write; true if the next one may follow at once.
    private func perform(_ operation: ScriptCursor.Operation, context: ChannelHandlerContext) -> Bool {
        switch operation {
        case .write: return true
        case .yield:
            resume(after: .zero, context: context)
            return false
        case .sleep(let milliseconds):
            resume(after: .milliseconds(Int64(milliseconds)), context: context)
            return false
        case .hang: return false
        case .cut(let cut):
            closesItself = true
            cutter.cut(cut)
            return false
        case .end:
            complete()
            return true
        case .close:
            closesItself = true
            context.close(promise: nil)
            return false
        case .finished:
            guard let finished = answer else { return false }
            answer = nil
            if let id = finished.request.logID {
                last = (id, finished.lastWrite ?? finished.request.arrival)
            }
            if finished.request.head.isKeepAlive {
                startNext(context: context)
            } else {
                closesItself = true
                context.close(promise: nil)
            }
            return false
        }
    }

    private func complete() {
        answer?.isComplete = true
        guard let id = answer?.request.logID else { return }
        state.update(id) { $0.state = .complete }
    }

    /// Goes on with the present answer later, if it still is the present one then.
    private func resume(after delay: TimeAmount, context: ChannelHandlerContext) {
        guard let number = answer?.number else { return }
        let loop = context.eventLoop.assumeIsolated()
        let goOn = {
            guard self.answer?.number == number else { return }
            self.proceed(context: context)
        }
        if delay == .zero {
            loop.execute(goOn)
        } else {
            loop.scheduleTask(in: delay, goOn)
        }
    }

    private func write(_ buffer: ByteBuffer, context: ChannelHandlerContext) {
        guard let answer else { return }
        let promise = context.eventLoop.makePromise(of: Void.self)
        let bytes = buffer.readableBytes
        let number = answer.number
        let id = answer.request.logID
        promise.futureResult.assumeIsolated().whenSuccess {
            if let id { self.state.update(id) { $0.bytesWritten += bytes } }
            if self.answer?.number == number { self.answer?.lastWrite = .now() }
        }
        unflushed += 1
        context.write(wrapOutboundOut(buffer), promise: promise)
    }

    private func flush(context: ChannelHandlerContext) {
        guard unflushed > 0 else { return }
        unflushed = 0
        context.flush()
    }

    // MARK: Ends

    private func close(_ request: Request, isComplete: Bool, since: NIODeadline?, now: NIODeadline) {
        guard let id = request.logID else { return }
        close(logID: id, isComplete: isComplete, since: since ?? request.arrival, now: now)
    }

    private func close(logID: Int, isComplete: Bool, since: NIODeadline, now: NIODeadline) {
        state.update(logID) {
            if !isComplete { $0.state = closesItself ? .cut : .clientClosed }
            if !closesItself { $0.millisecondsToClose = Int((now - since).nanoseconds / 1_000_000) }
        }
    }

    // MARK: Benchmark answers

    private func start(_ bench: BenchAnswers.Answer, keepAlive: Bool, context: ChannelHandlerContext) {
        switch bench {
        case .whole(let buffer):
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            if !keepAlive { context.close(promise: nil) }
        case .paced(let first, let event):
            context.writeAndFlush(wrapOutboundOut(first), promise: nil)
            pacing?.cancel()
            pacing = BenchAnswers.Pacing(event: event, connection: number, context: context)
        }
    }
}
