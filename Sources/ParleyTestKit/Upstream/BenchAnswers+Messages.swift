// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore

/// The same answers as Anthropic writes them, for what translating costs.
extension BenchAnswers {
    /// A whole answer with a body of exactly 500 bytes.
    static let message: ByteBuffer = {
        let before =
            #"{"id":"msg_bench0000000000000001","type":"message","role":"assistant","model":"bench-claude-json","#
            + #""content":[{"type":"text","text":""#
        let after =
            #""}],"stop_reason":"end_turn","stop_sequence":null,"#
            + #""usage":{"input_tokens":24,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":31}}"#
        let text = String(repeating: "benchmark ", count: 50)
        let body = before + text.prefix(max(0, 500 - before.utf8.count - after.utf8.count)) + after
        return ByteBuffer(
            string: "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n"
                + "request-id: req_bench\r\n\r\n" + body)
    }()

    /// A hundred deltas in a hundred HTTP chunks, with all that stands around them.
    static let messageStream: ByteBuffer = {
        var buffer = messageFirst
        for number in 0..<100 { append(delta("word \(number) "), to: &buffer) }
        append(event("content_block_stop", #""index":0"#), to: &buffer)
        let usage = #""usage":{"input_tokens":24,"output_tokens":100}"#
        append(
            event("message_delta", #""delta":{"stop_reason":"end_turn","stop_sequence":null},\#(usage)"#), to: &buffer)
        append(event("message_stop", nil), to: &buffer)
        buffer.writeString("0\r\n\r\n")
        return buffer
    }()

    /// The head of a stream up to its first text.
    static let messageFirst: ByteBuffer = {
        var buffer = ByteBuffer(string: streamHead)
        let message =
            #""message":{"id":"msg_bench1","type":"message","role":"assistant","model":"bench-claude-stream","#
            + #""content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":24,"output_tokens":1}}"#
        append(event("message_start", message), to: &buffer)
        append(event("content_block_start", #""index":0,"content_block":{"type":"text","text":""}"#), to: &buffer)
        append(delta("first "), to: &buffer)
        return buffer
    }()

    static let messageEvent: ByteBuffer = {
        var buffer = ByteBuffer()
        append(delta("another word "), to: &buffer)
        return buffer
    }()

    private static func delta(_ text: String) -> String {
        event("content_block_delta", #""index":0,"delta":{"type":"text_delta","text":"\#(text)"}"#)
    }

    private static func event(_ name: String, _ fields: String?) -> String {
        "event: \(name)\ndata: {\"type\":\"\(name)\"\(fields.map { "," + $0 } ?? "")}\n\n"
    }
}
