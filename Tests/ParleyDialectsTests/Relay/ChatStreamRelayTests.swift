// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import Testing

/// Pieces of streams as OpenAI-compatible services send them.
private enum Chunk {
    static let role = #"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#
    static let text = #"{"choices":[{"index":0,"delta":{"content":"Grüße \"usage\" 🙂"},"finish_reason":null}]}"#
    static let stop = #"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#
    static let usage = #"{"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#
    static let error = #"{"error":{"message":"overloaded","code":null}}"#

    static func frames(_ payloads: String..., end: String = "\n\n") -> String {
        payloads.map { "data: " + $0 + end }.joined()
    }
}

@Suite("A chat stream is relayed byte for byte")
struct ChatStreamRelayTests {
    /// The run over the whole stream, after checking that every split in two and single bytes give the same.
    private func run(_ text: String, stripUsage: Bool = false) -> RelayRun {
        let bytes = Array(text.utf8)
        let whole = RelayRun([bytes[...]], stripUsage: stripUsage)
        for split in 0...bytes.count {
            let halves = RelayRun([bytes[..<split], bytes[split...]], stripUsage: stripUsage)
            #expect(halves == whole, "split at \(split)")
        }
        #expect(RelayRun(bytes.indices.map { bytes[$0...$0] }, stripUsage: stripUsage) == whole, "byte by byte")
        for seed in 0..<20 {
            let pieces = randomPieces(bytes, count: 6, seed: UInt64(seed))
            #expect(RelayRun(pieces, stripUsage: stripUsage) == whole, "seed \(seed)")
        }
        return whole
    }

    @Test(
        "A stream passes unchanged, with usage, finish reason and end noted", arguments: ["\n\n", "\r\n\r\n", "\r\r"])
    func plain(end: String) {
        let text = Chunk.frames(Chunk.role, Chunk.text, Chunk.text, Chunk.stop, Chunk.usage, "[DONE]", end: end)
        let run = run(text)
        #expect(run.text == text)
        #expect(run.error == nil)
        #expect(run.observed.usage == Usage(input: 9, output: 4))
        #expect(run.observed.finish == "stop")
        #expect(run.observed.isMeaningful)
        #expect(run.observed.isComplete)
    }

    @Test("Comments, empty data, odd spacing, names, ids and unknown fields pass as they came")
    func oddFrames() {
        let text =
            ": PROCESSING\n\n\n\n" + "data:" + Chunk.role + "\n\n" + "data:\n\ndata: \r\n\r\n" + "event: ping\n\n"
            + ": note\nid: 3\nevent: message\nfield: x\ndata:   " + Chunk.text + "  \n\n"
            + "data: {\"id\":\"c\",\ndata: \"choices\":[]}\n\n" + "data: " + Chunk.stop + "\r\n\r\n"
            + ": x\n\ndata:[DONE]\n\n"
        let run = run(text)
        #expect(run.text == text)
        #expect(run.error == nil)
        #expect(run.observed.isComplete)
        #expect(run.observed.finish == "stop")
    }

    @Test("A byte order mark is dropped")
    func byteOrderMark() {
        let text = Chunk.frames(Chunk.text, Chunk.stop, "[DONE]")
        #expect(run("\u{FEFF}" + text).text == text)
    }

    @Test("Nothing behind the end is passed on", arguments: ["\n\n", "\r\n\r\n", "\r\r"])
    func afterDone(end: String) {
        let text = Chunk.frames(Chunk.text, Chunk.stop, "[DONE]", end: end)
        let run = run(text + "data: {\"late\":1}" + end + "garbage")
        #expect(run.text == text)
        #expect(run.error == nil)
        #expect(run.observed.isComplete)
    }

    @Test("Usage alone is left out where it was not asked for", arguments: ["\n\n", "\r\n\r\n", "\r\r"])
    func stripping(end: String) {
        let absent = #"{"usage":{"prompt_tokens":9,"completion_tokens":4}}"#
        let null = #"{"choices":null,"usage":{"prompt_tokens":9}}"#
        let text = Chunk.frames(Chunk.text, Chunk.usage, Chunk.stop, absent, null, Chunk.usage, "[DONE]", end: end)
        let stripped = run(text, stripUsage: true)
        #expect(stripped.text == Chunk.frames(Chunk.text, Chunk.stop, "[DONE]", end: end))
        #expect(stripped.observed.usage == Usage(input: 9, output: 4))
        #expect(stripped.error == nil)
        #expect(run(text).text == text)
    }

    @Test("A chunk with usage and choices, or null usage, is not left out")
    func notStripped() {
        let usage = #""usage":{"prompt_tokens":9,"completion_tokens":4}"#
        let both = #"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],\#(usage)}"#
        let null = #"{"choices":[],"usage":null,"prompt_filter_results":[]}"#
        let text = Chunk.frames(null, Chunk.text, both, "[DONE]")
        let run = run(text, stripUsage: true)
        #expect(run.text == text)
        #expect(run.observed.usage == Usage(input: 9, output: 4))
    }

    @Test(
        "An error frame is thrown and everything before it is passed on",
        arguments: [
            Chunk.error, #"{"error":"text"}"#, #"{"choices":[],"error":{"message":"m"}}"#, #"{"id":null,"error" : 1}"#,
            #"{"object":"error","message":"m","code":400}"#,
        ])
    func errors(payload: String) {
        let before = Chunk.frames(Chunk.role, Chunk.text)
        let run = run(before + Chunk.frames(payload, Chunk.text, "[DONE]"))
        #expect(run.text == before)
        #expect(run.error == ParleyError(.upstreamRejected, payload))
        #expect(!run.observed.isComplete)
        #expect(RelayRun(Chunk.frames(payload)).error == ParleyError(.upstreamRejected, payload))
    }

    @Test("An event named error is an error whatever its payload", arguments: ["plain words", #"{"message":"m"}"#])
    func errorEvents(payload: String) {
        let before = Chunk.frames(Chunk.text)
        let run = run(before + "event: error\ndata: \(payload)\n\n" + Chunk.frames("[DONE]"))
        #expect(run.text == before)
        #expect(run.error == ParleyError(.upstreamRejected, payload))
    }

    @Test("A first chunk with MiniMax's status is an error, status 0 is none")
    func baseResponse() {
        let bad = #"{"choices":null,"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#
        #expect(run(Chunk.frames(bad)).error == ParleyError(.upstreamRejected, bad))
        let good = #"{"choices":[],"base_resp":{"status_code":0}}"#
        let text = Chunk.frames(good, Chunk.text, Chunk.stop, "[DONE]")
        #expect(run(text).text == text)
    }

    @Test(
        "The word error in a text, a null error or one inside a choice is none",
        arguments: [
            #"{"error":null,"choices":[{"delta":{"content":"x"}}]}"#, #"{"choices":[],"error": null}"#,
            #"{"choices":[{"delta":{"content":"error"}}]}"#, #"{"choices":[{"delta":{"content":"{\"error\":1}"}}]}"#,
            #"{"choices":[{"delta":{"content":"x"},"error":{"code":1}}]}"#,
        ])
    func noErrors(payload: String) {
        let text = Chunk.frames(Chunk.text, payload, Chunk.stop, "[DONE]")
        let run = run(text)
        #expect(run.text == text)
        #expect(run.error == nil)
    }

    @Test(
        "What is no chat chunk is not passed on",
        arguments: [
            "data: hello\n\n", "data: [1]\n\n", "data: {\"a\":1\n\n", "data: \"x\"\n\n", "data: [DONE] x\n\n",
            "<html>502</html>\n\n", "event: message\ndata: nope\n\n", "{\"id\":1}\n\n", "data: }{\n\n",
        ])
    func garbage(frame: String) {
        let before = Chunk.frames(Chunk.text)
        let run = run(before + frame + Chunk.frames("[DONE]"))
        #expect(run.text == before)
        #expect(run.error?.kind == .upstreamUnavailable)
    }

    @Test("An error without framing is read as one", arguments: [Chunk.error, "{\n \"error\": {\"code\": 1}\n}\n"])
    func unframedError(body: String) {
        let run = run(body)
        #expect(run.output.isEmpty)
        #expect(run.error?.kind == .upstreamRejected)
    }

    @Test("A stream without its end is completed when a finish reason came", arguments: ["", "\n", "\n\n", "\r\n"])
    func completed(end: String) {
        let text = Chunk.frames(Chunk.role, Chunk.text)
        let run = run(text + "data: " + Chunk.stop + end)
        #expect(run.error == nil)
        #expect(run.observed.isComplete)
        #expect(run.observed.finish == "stop")
        let lineEnd = end == "\r\n" ? "\r\n" : "\n"
        #expect(run.text == text + "data: " + Chunk.stop + lineEnd + "\ndata: [DONE]\n\n")
    }

    @Test("An end without its line ends counts", arguments: ["data: [DONE]", "data:[DONE]\n"])
    func unterminatedDone(end: String) {
        let text = Chunk.frames(Chunk.text)
        let run = run(text + end)
        #expect(run.error == nil)
        #expect(run.observed.isComplete)
        #expect(run.text == text + end.replacing("\n", with: "") + "\n\n")
    }

    @Test(
        "A stream that just stops is an error",
        arguments: ["", ": note", "data: {\"choices\":[{", "da", "data:", "\u{FEFF}"])
    func truncated(tail: String) {
        let text = Chunk.frames(Chunk.role, Chunk.text)
        let run = run(text + tail)
        #expect(run.error?.kind == .upstreamUnavailable)
        #expect(run.error?.message == "The upstream ended the stream before it was complete.")
        #expect(run.text == text)
        #expect(!run.observed.isComplete)
    }

    @Test("Half a chunk behind the finish reason is dropped")
    func truncatedUsage() {
        let text = Chunk.frames(Chunk.text, Chunk.stop)
        let run = run(text + "data: {\"choices\":[],\"usage\":{\"prompt")
        #expect(run.error == nil)
        #expect(run.text == text + "data: [DONE]\n\n")
    }

    @Test("A stream cut off anywhere never passes on half a frame")
    func everyTruncation() {
        let bytes = Array(("\u{FEFF}" + Chunk.frames(Chunk.role, Chunk.text, Chunk.stop, Chunk.usage, "[DONE]")).utf8)
        for length in 0...bytes.count {
            let run = RelayRun([bytes[..<length]])
            #expect(run.output.isEmpty || run.text.hasSuffix("\n\n"))
            #expect((run.error == nil) == run.observed.isComplete)
        }
    }

    @Test("Output ends between frames after every byte")
    func wholeFrames() throws {
        let bytes = Array(Chunk.frames(Chunk.role, Chunk.text, Chunk.stop, "[DONE]", end: "\r\n\r\n").utf8)
        let relay = ChatStreamRelay(stripUsage: false) { _ in ParleyError(.internalError, "") }
        for byte in bytes {
            var out = ByteBuffer()
            try relay.push(ByteBuffer(bytes: [byte]), into: &out)
            let text = String(buffer: out)
            #expect(text.isEmpty || text == "\n" || text.hasPrefix("data: ") && text.hasSuffix("\r\n\r"))
        }
    }

    @Test("What was in the output before stays")
    func appends() throws {
        let relay = ChatStreamRelay(stripUsage: true) { _ in ParleyError(.internalError, "") }
        var out = ByteBuffer(string: "xhead")
        out.moveReaderIndex(forwardBy: 1)
        let text = Chunk.frames(Chunk.text, Chunk.usage, Chunk.stop)
        try relay.push(ByteBuffer(string: text), into: &out)
        #expect(String(buffer: out) == "head" + Chunk.frames(Chunk.text, Chunk.stop))
    }
}

@Suite("A relay's limits")
struct ChatStreamRelayLimitTests {
    @Test("An event of eight megabytes passes, in small reads and with its usage found")
    func largeEvent() {
        let payload = String(repeating: "0123456789abcde\\n", count: 1 << 19)
        let large = #"{"choices":[{"delta":{"content":""# + payload + #""}}],"usage":{"prompt_tokens":1}}"#
        let bytes = Array(Chunk.frames(Chunk.text, large, Chunk.stop, "[DONE]").utf8)
        let pieces = stride(from: 0, to: bytes.count, by: 16_000).map { bytes[$0..<min($0 + 16_000, bytes.count)] }
        let run = RelayRun(pieces)
        #expect(run.error == nil)
        #expect(run.output == bytes)
        #expect(run.observed.usage.input == 1)
    }

    @Test("A frame over the budget is an error, complete or not; what was before it passes")
    func budget() {
        let frame = Array(("data: {" + String(repeating: " ", count: 90) + "}\n\n").utf8)
        let fits = RelayRun([frame[...], frame[...]], budget: 100)
        #expect(fits.output == frame + frame)
        for pieces in [[frame + frame], frame.map { [$0] }, [Array(frame.dropLast())]] {
            let run = RelayRun([Array(": x\n\n".utf8)[...]] + pieces.map { $0[...] }, budget: 98)
            #expect(run.error?.kind == .upstreamUnavailable)
            #expect(run.error?.message.contains("98") == true)
            #expect(run.text == ": x\n\n")
        }
    }

    @Test("Bytes that are no stream at all never crash it", arguments: 0..<30)
    func noise(seed: UInt64) {
        var generator = SplitGenerator(state: seed)
        let alphabet = Array("data:{}[DONE]\"usage\"\"error\":1\n\n\r\r\n\n {}".utf8) + [0xEF, 0xBB, 0xBF, 0x00, 0xFF]
        for _ in 0..<50 {
            let bytes = (0..<Int.random(in: 0..<300, using: &generator)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
            }
            let whole = RelayRun([bytes[...]], stripUsage: true)
            let split = RelayRun(randomPieces(bytes, count: 5, seed: seed), stripUsage: true)
            #expect(split == whole, "\(bytes)")
        }
    }
}
