// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import Foundation
import ParleyTestKit
import Testing

@Suite("What each step puts on the wire")
struct StepTests {
    private let ask = #"{"model":"m1"}"#

    /// Runs steps for one request and returns what came once a condition holds.
    private func received(
        _ steps: [Script.Step], until condition: (RawClient.Received) -> Bool
    ) async throws -> RawClient.Received {
        try await ScriptedUpstream.with(scripts: [Script(steps: steps)]) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post(ask)
            let received = try await client.wait(condition)
            await client.close()
            return received
        }
    }

    @Test("A head with each framing announces the body in its own way")
    func framings() async throws {
        let chunked = try await received([.head(.init(201, headers: ["x-b": "2", "a": "1"])), .write("hey")]) {
            $0.text.hasSuffix("0\r\n\r\n")
        }
        #expect(
            chunked.text
                == "HTTP/1.1 201 Status\r\na: 1\r\nx-b: 2\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhey\r\n0\r\n\r\n")
        let counted = try await received([
            .head(.init(framing: .length)), .write("héy"), .repeat(.init(11, write: "$i,")), .sse(.init(["x"])),
        ]) { $0.text.hasSuffix("[DONE]\n\n") }
        #expect(counted.text.contains("content-length: \(counted.body.utf8.count)\r\n"))
        #expect(counted.body == "héy0,1,2,3,4,5,6,7,8,9,10,data: x\n\ndata: [DONE]\n\n")
        let lying = try await received([.head(.init(framing: .declaredLength(99))), .write("short"), .cut(.fin)]) {
            $0.isClosed
        }
        #expect(lying.text == "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort")
        let open = try await received([.head(.init(framing: .close)), .write("to the end")]) { $0.isClosed }
        #expect(open.text == "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end")
    }

    @Test("A body without a head gets a plain one, an empty write does not end a chunked body")
    func implicitHead() async throws {
        let received = try await received([.write(""), .write("a"), .writeBytes([]), .writeBytes([0x62])]) {
            $0.text.hasSuffix("0\r\n\r\n")
        }
        #expect(received.body == "1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
    }

    @Test("A file is written as it is, and a file that is missing is told with 500")
    func files() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)")
        try Data([1, 2, 0xFF]).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let good = try await received([.head(.init(framing: .length)), .writeFile(file.path), .close]) { $0.isClosed }
        #expect(good.bytes.suffix(3) == [1, 2, 0xFF])
        #expect(good.text.contains("content-length: 3\r\n"))
        let bad = try await received([.writeFile(file.path + "-missing")]) { $0.isClosed }
        #expect(bad.text.hasPrefix("HTTP/1.1 500 "))
    }

    @Test("Events are one chunk each, with LF or CR LF, with or without the terminator")
    func events() async throws {
        let plain = try await received([.sse(.init(["{}"]))]) { $0.text.hasSuffix("0\r\n\r\n") }
        #expect(plain.body == "a\r\ndata: {}\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        let other = try await received([.sse(.init(["{}"], done: false, crlf: true))]) {
            $0.text.hasSuffix("0\r\n\r\n")
        }
        #expect(other.body == "c\r\ndata: {}\r\n\r\n\r\n0\r\n\r\n")
    }

    @Test("A repetition counts, one chunk each, at once or paced")
    func repetitions() async throws {
        for every in [0, 1] {
            let repetition = Script.Repetition(3, write: "n$i.$i;", everyMilliseconds: every)
            let received = try await received([.repeat(repetition)]) { $0.text.hasSuffix("0\r\n\r\n") }
            #expect(received.body == "5\r\nn0.0;\r\n5\r\nn1.1;\r\n5\r\nn2.2;\r\n0\r\n\r\n")
        }
    }

    @Test("A repetition larger than any socket buffer arrives whole")
    func hugeRepetition() async throws {
        let line = String(repeating: "x", count: 1_000)
        let received = try await received([
            .head(.init(framing: .length)), .repeat(.init(8_000, write: line)),
        ]) { $0.bytes.count >= 8_000_000 && $0.text.hasSuffix(line) }
        #expect(received.body.utf8.count == 8_000_000)
    }

    @Test("Split writes go out in pieces of one size, each a chunk of its own")
    func splitBySize() async throws {
        let received = try await received([.split(.size(2)), .write("abcde")]) { $0.text.hasSuffix("0\r\n\r\n") }
        #expect(received.body == "2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n0\r\n\r\n")
    }

    @Test("Random pieces are the same for the same seed and lose nothing")
    func splitAtRandom() async throws {
        let steps: [Script.Step] = [.split(.random(seed: 7, max: 5)), .write("The same pieces every time.")]
        let first = try await received(steps) { $0.text.hasSuffix("0\r\n\r\n") }
        let second = try await received(steps) { $0.text.hasSuffix("0\r\n\r\n") }
        let chunks = first.body.components(separatedBy: "\r\n")
        #expect(first.body == second.body)
        #expect(
            chunks.enumerated().filter { $0.offset % 2 == 1 }.map(\.element).joined() == "The same pieces every time.")
        #expect(chunks.enumerated().filter { $0.offset % 2 == 1 }.allSatisfy { $0.element.count <= 5 })
        #expect(chunks.count > 12)
    }

    @Test("A sleep lets what came before leave first")
    func sleep() async throws {
        try await ScriptedUpstream.with(
            scripts: [Script(steps: [.write("before"), .sleep(milliseconds: 86_400_000), .write("after")])]
        ) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post(ask)
            try await client.wait(until: "before\r\n")
            await client.close()
        }
        let both = try await received([.write("1"), .sleep(milliseconds: 1), .write("2")]) {
            $0.text.hasSuffix("0\r\n\r\n")
        }
        #expect(both.body == "1\r\n1\r\n1\r\n2\r\n0\r\n\r\n")
    }

    @Test("A hang stays silent and open until the client closes")
    func hang() async throws {
        try await ScriptedUpstream.with(scripts: [Script(steps: [.head(.init()), .hang])]) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post(ask)
            let received = try await client.wait(until: "\r\n\r\n")
            #expect(!received.isClosed)
            #expect(await upstream.requests().first?.state == .open)
            await client.close()
            let request = try await upstream.waitForRequest(toBe: .clientClosed)
            #expect(request.bytesWritten == received.bytes.count)
            #expect(request.millisecondsToClose != nil)
        }
    }

    @Test("A cut ends the connection within a body: with a FIN, or with a reset")
    func cuts() async throws {
        for cut in [Script.Cut.fin, .rst] {
            let received = try await received([.head(.init()), .write("half"), .sleep(milliseconds: 50), .cut(cut)]) {
                $0.isClosed
            }
            // A reset may overtake what was sent before it.
            #expect(cut == .fin ? received.body == "4\r\nhalf\r\n" : "4\r\nhalf\r\n".hasPrefix(received.body))
            #expect(received.isReset == (cut == .rst))
        }
    }

    @Test("An end keeps the connection, and steps after it still run")
    func end() async throws {
        try await ScriptedUpstream.with(
            scripts: [
                Script(times: 1, steps: [.write("one"), .end]),
                Script(steps: [.write("two"), .end, .write("never"), .sleep(milliseconds: 1), .cut(.fin)]),
            ]
        ) { upstream in
            let client = try await RawClient.connect(to: upstream.port)
            try await client.post(ask)
            try await client.wait(until: "one\r\n0\r\n\r\n")
            try await client.post(ask)
            let received = try await client.waitForClose()
            #expect(received.text.hasSuffix("3\r\ntwo\r\n0\r\n\r\n"))
            let log = try await upstream.waitForRequests(count: 2)
            #expect(log.map(\.connection) == [log[0].connection, log[0].connection])
            #expect(log.map(\.state) == [.complete, .complete])
        }
    }

    @Test("A close finishes the body and says so in the head")
    func close() async throws {
        let received = try await received([.head(.init()), .write("bye"), .close]) { $0.isClosed }
        #expect(received.text.contains("connection: close\r\n"))
        #expect(received.text.hasSuffix("3\r\nbye\r\n0\r\n\r\n"))
        #expect(!received.isReset)
    }

    @Test("Raw bytes have no framing, and a refusal no bytes")
    func rawAndRefuse() async throws {
        let raw = try await received([.raw("SSH-2.0-no\r\n"), .cut(.fin)]) { $0.isClosed }
        #expect(raw.text == "SSH-2.0-no\r\n")
        let refused = try await received([.refuse]) { $0.isClosed }
        #expect(refused.bytes.isEmpty)
        #expect(!refused.isReset)
    }
}
