// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import Testing

@testable import ParleyProviders

/// An answer whose bytes arrive one after the other while the task waits in `next`.
private final class ArrivingAnswer: UpstreamAnswer {
    let status = 200
    let headers = HeaderBlock()
    private var reads: ArraySlice<String>
    private var receiver: (any ArrivalReceiver)?
    private(set) var isCancelled = false
    /// Until when the task waited after each piece that went on without it.
    private(set) var deadlines: [NIODeadline] = []

    init(_ reads: [String]) {
        self.reads = reads[...]
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        while let read = reads.popFirst() {
            var bytes: ByteBuffer? = ByteBuffer(string: read)
            guard let deadline = receiver?.receive(&bytes) else { return bytes ?? ByteBuffer() }
            deadlines.append(deadline)
        }
        return nil
    }

    func forward(to receiver: any ArrivalReceiver) { self.receiver = receiver }

    func cancel() { isCancelled = true }

    func finish() {}
}

/// A client that takes a number of pieces and is slow then.
private final class SlowSink: AnswerSink {
    private(set) var sent: [String] = []
    var room: Int

    init(room: Int = .max) {
        self.room = room
    }

    var isReady: Bool { room > 0 }

    func send(filledBy fill: (inout ByteBuffer) -> Bool) -> NIODeadline? {
        guard isReady else { return nil }
        // Something of the sink's own is in front, as a chunk's size is.
        var piece = ByteBuffer(string: "size ")
        guard fill(&piece) else { return nil }
        piece.moveReaderIndex(forwardBy: 5)
        sent.append(String(buffer: piece))
        room -= 1
        return isReady ? .now() : nil
    }
}

@Suite("Pieces that arrive while the task waits")
struct ForwardingTests {
    private let words = (0..<5).map { frame("{\"content\":\"word \($0)\"}") }

    private func body(_ answer: ArrivingAnswer) -> UpstreamBody {
        let limits = AttemptLimits(
            TimeoutOverrides(), TimeoutOverrides(), deadline: .now() + .minutes(5), now: .now())
        return UpstreamBody(AnswerReader(answer, limits: limits), OpenAIChat().makeStreamRelay(stripUsage: false))
    }

    @Test("They go to the sink one by one, and the last one comes out of next")
    func straight() async throws {
        let answer = ArrivingAnswer(words + [frame("{}", finish: "stop") + doneFrame])
        let body = body(answer)
        let sink = SlowSink()
        body.forward(to: sink)
        var out = ByteBuffer()
        let more = try await body.next(into: &out, by: .distantFuture)
        #expect(!more)
        #expect(sink.sent == words)
        #expect(String(buffer: out) == frame("{}", finish: "stop") + doneFrame)
        #expect(body.observed.isComplete)
        #expect(body.observed.finish == "stop")
        #expect(answer.deadlines.count == words.count)
        #expect(answer.deadlines.allSatisfy { $0 > .now() && $0 < .now() + .minutes(5) })
    }

    @Test("A wait never goes beyond the caller's deadline")
    func deadline() async throws {
        let answer = ArrivingAnswer(words + [doneFrame])
        let body = body(answer)
        body.forward(to: SlowSink())
        var out = ByteBuffer()
        let deadline = NIODeadline.now() + .seconds(5)
        _ = try await body.next(into: &out, by: deadline)
        #expect(answer.deadlines == Array(repeating: deadline, count: words.count))
    }

    @Test("A frame that is cut goes on when it is whole")
    func cut() async throws {
        let text = words.joined()
        let half = text.utf8.count / 2
        let answer = ArrivingAnswer([String(text.prefix(half)), String(text.dropFirst(half)), doneFrame])
        let body = body(answer)
        let sink = SlowSink()
        body.forward(to: sink)
        var out = ByteBuffer()
        _ = try await body.next(into: &out, by: .distantFuture)
        #expect(sink.sent.joined() == text)
        #expect(String(buffer: out) == doneFrame)
    }

    @Test("A client that became slow wakes the task, which gets nothing twice and nothing too early")
    func slow() async throws {
        let answer = ArrivingAnswer(words + [doneFrame])
        let body = body(answer)
        let sink = SlowSink(room: 2)
        body.forward(to: sink)
        var out = ByteBuffer()
        #expect(try await body.next(into: &out, by: .distantFuture))
        #expect(out.readableBytes == 0)
        #expect(sink.sent == Array(words[..<2]))
        #expect(try await body.next(into: &out, by: .distantFuture))
        #expect(String(buffer: out) == words[2])
        sink.room = .max
        out.clear()
        #expect(try await !body.next(into: &out, by: .distantFuture))
        #expect(sink.sent == Array(words[..<2] + words[3...]))
        #expect(String(buffer: out) == doneFrame)
    }

    @Test("A failure behind words is thrown after them, and the upstream is given up")
    func failure() async throws {
        let error = #"data: {"error":{"message":"boom","type":"server_error"}}"# + "\n\n"
        let answer = ArrivingAnswer([words[0], words[1] + error])
        let body = body(answer)
        let sink = SlowSink()
        body.forward(to: sink)
        var out = ByteBuffer()
        let failure = await thrown(by: body, into: &out)
        #expect(failure?.message.contains("boom") == true)
        #expect(sink.sent == [words[0]])
        #expect(String(buffer: out) == words[1])
        #expect(answer.isCancelled)
    }

    @Test("What was read before the sink was there comes first, out of next")
    func opening() async throws {
        let body = body(ArrivingAnswer(words + [doneFrame]))
        try await body.open()
        let sink = SlowSink()
        body.forward(to: sink)
        var out = ByteBuffer()
        #expect(try await body.next(into: &out, by: .distantFuture))
        #expect(String(buffer: out) == words[0])
        #expect(sink.sent.isEmpty)
        out.clear()
        #expect(try await !body.next(into: &out, by: .distantFuture))
        #expect(sink.sent == Array(words[1...]))
    }
}
