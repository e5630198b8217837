// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore

/// The answers that benchmarks ask for by the model's name: laid out once, sent as one buffer.
///
/// They are counted but not logged; a log of every request would grow by gigabytes in a long run.
enum BenchAnswers {
    /// How a benchmark model answers.
    enum Answer {
        /// These bytes are the whole answer, head included.
        case whole(ByteBuffer)
        /// A head with a first event, then one more event each second.
        case paced(first: ByteBuffer, event: ByteBuffer)
    }

    /// The answer of a benchmark model; `nil` for any other model.
    static func answer(for model: String) -> Answer? {
        guard model.hasPrefix("bench-") else { return nil }
        switch model {
        case "bench-json": return .whole(json)
        case "bench-stream": return .whole(stream)
        case "bench-paced": return .paced(first: pacedFirst, event: pacedEvent)
        case "bench-claude-json": return .whole(message)
        case "bench-claude-stream": return .whole(messageStream)
        case "bench-claude-paced": return .paced(first: messageFirst, event: messageEvent)
        default: return nil
        }
    }

    static let streamHead =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        + "x-request-id: req_bench\r\n\r\n"

    /// A whole answer with a body of exactly 500 bytes.
    private static let json: ByteBuffer = {
        let before =
            #"{"id":"chatcmpl-bench000000000000000001","object":"chat.completion","created":1735689600,"#
            + #""model":"bench-json","choices":[{"index":0,"message":{"role":"assistant","content":""#
        let after =
            #"","refusal":null},"logprobs":null,"finish_reason":"stop"}],"#
            + #""usage":{"prompt_tokens":24,"completion_tokens":31,"total_tokens":55},"system_fingerprint":"fp_bench"}"#
        let text = String(repeating: "benchmark ", count: 50)
        let content = text.prefix(max(0, 500 - before.utf8.count - after.utf8.count))
        let body = before + content + after
        return ByteBuffer(
            string: "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n"
                + "x-request-id: req_bench\r\n\r\n" + body)
    }()

    /// A hundred events with text in a hundred HTTP chunks, then finish, usage and terminator.
    private static let stream: ByteBuffer = {
        var buffer = ByteBuffer(string: streamHead)
        for number in 0..<100 {
            let role = number == 0 ? #""role":"assistant","# : ""
            append(event(model: "bench-stream", delta: #"{\#(role)"content":"word \#(number) "}"#), to: &buffer)
        }
        append(event(model: "bench-stream", delta: "{}", finish: #""stop""#), to: &buffer)
        let usage = #"{"prompt_tokens":24,"completion_tokens":100,"total_tokens":124}"#
        append(
            #"data: {"id":"chatcmpl-bench1","object":"chat.completion.chunk","created":1735689600,"#
                + #""model":"bench-stream","choices":[],"usage":\#(usage)}"# + "\n\n", to: &buffer)
        append("data: [DONE]\n\n", to: &buffer)
        buffer.writeString("0\r\n\r\n")
        return buffer
    }()

    private static let pacedFirst: ByteBuffer = {
        var buffer = ByteBuffer(string: streamHead)
        append(event(model: "bench-paced", delta: #"{"role":"assistant","content":""}"#), to: &buffer)
        return buffer
    }()

    private static let pacedEvent: ByteBuffer = {
        var buffer = ByteBuffer()
        append(event(model: "bench-paced", delta: #"{"content":"another word "}"#), to: &buffer)
        return buffer
    }()

    private static func event(model: String, delta: String, finish: String = "null") -> String {
        #"data: {"id":"chatcmpl-bench1","object":"chat.completion.chunk","created":1735689600,"model":"\#(model)","#
            + #""choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(finish)}]}"# + "\n\n"
    }

    static func append(_ text: String, to buffer: inout ByteBuffer) {
        buffer.writeString("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
    }
}

extension BenchAnswers {
    /// Sends an event each second for as long as the connection lives, each connection at its own part of a second.
    final class Pacing: NIOScheduledCallbackHandler {
        private let event: ByteBuffer
        private let context: ChannelHandlerContext
        private var due: NIODeadline
        private var callback: NIOScheduledCallback?

        /// Schedules the first event.
        init(event: ByteBuffer, connection: Int, context: ChannelHandlerContext) {
            self.event = event
            self.context = context
            // A step prime to 1,000 spreads neighbours over the second.
            due = .now() + .milliseconds(Int64(1 + connection % 1_000 * 617 % 1_000))
            schedule()
        }

        /// Sends no more.
        func cancel() {
            callback?.cancel()
            callback = nil
        }

        func handleScheduledCallback(eventLoop: some EventLoop) {
            // A peer that does not read must not fill our memory.
            if context.channel.isWritable { context.writeAndFlush(NIOAny(event), promise: nil) }
            due = due + .seconds(1)
            schedule()
        }

        private func schedule() {
            callback = try? context.eventLoop.assumeIsolated().scheduleCallback(at: due, handler: self)
        }
    }
}
