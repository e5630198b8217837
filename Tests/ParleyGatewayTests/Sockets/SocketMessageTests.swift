// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Messages of WebSockets to upstreams")
struct SocketMessageTests {
    @Test("Text goes both ways, masked from this side")
    func bothWays() async throws {
        let echo = SocketScript.Step.answer { [.send("got \($0)")] }
        let script = SocketScript(.send("early"), echo, echo, .close(1000))
        try await SocketClient.run(script) { client, server async throws in
            let task = client.open { socket async throws(ParleyError) in
                var seen: [String?] = [try await socket.text()]
                for text in ["é", String(repeating: "x", count: 70_000)] {
                    try await socket.send(ByteBuffer(string: text), by: .distantFuture)
                    seen.append(try await socket.text())
                }
                seen.append(try await socket.text())
                return seen
            }
            let long = String(repeating: "x", count: 70_000)
            #expect(try await task.value.get() == ["early", "got é", "got \(long)", nil])
            let visit = try await server.visit { $0.isClosed }
            #expect(visit.isMasked)
            #expect(visit.messages == ["é", long])
            #expect(visit.closeCode == 1000)
        }
    }

    @Test("Fragments are put together wherever they split a character, also one byte at a time")
    func fragments() async throws {
        let split = SocketScript.Step.split("a🌍b", at: 2, 3, 3)
        let script = SocketScript(
            split, .trickle([split, .send("中文")]), .split("", at: 0), .split("end", at: 1), .close(1000))
        try await SocketClient.run(script) { client, _ async throws in
            let (messages, failure) = await client.everything()
            #expect(messages == ["a🌍b", "a🌍b", "中文", "", "end"])
            #expect(failure == nil)
        }
    }

    @Test("Pings are answered, in the middle of a message too, and are no messages")
    func pings() async throws {
        let script = SocketScript(
            .ping("1"), .frame(opcode: 1, payload: Array("half ".utf8), isFinal: false), .ping("2"),
            .frame(opcode: 0, payload: Array("and half".utf8)), .frame(opcode: 10, payload: []), .ping(""),
            .close(1000))
        try await SocketClient.run(script) { client, server async throws in
            #expect(await client.everything().messages == ["half and half"])
            #expect(try await server.visit { $0.isClosed }.pongs == ["1", "2", ""])
        }
    }

    @Test("A message of nine megabytes passes, in one frame and in many")
    func large() async throws {
        let text = String(repeating: "0123456789abcdef", count: 9 << 16)
        let bytes = Array(text.utf8)
        let size = 1 << 18
        let pieces = stride(from: 0, to: bytes.count, by: size).map { start in
            Array(bytes[start..<min(bytes.count, start + size)])
        }
        try await SocketClient.run(SocketScript(.send(text), .pieces(pieces), .close(1000))) { client, _ async throws in
            let (messages, failure) = await client.everything()
            #expect(messages.map(\.utf8.count) == [bytes.count, bytes.count])
            #expect(messages.allSatisfy { $0 == text })
            #expect(failure == nil)
        }
    }

    /// What a server must not send, and the code that it is told.
    enum Breach: CaseIterable, Sendable {
        case tooLong, tooLongInPieces, binary, notText, masked, reservedBit, reservedOpcode, splitPing, longPing
        case continuesNothing, interrupts

        var steps: [SocketScript.Step] {
            let piece = [UInt8](repeating: 0x61, count: 1 << 20)
            return switch self {
            case .tooLong: [.bytes([0x81, 127, 0, 0, 0, 0, 0, 0xA0, 0, 1])]
            case .tooLongInPieces: [.pieces(Array(repeating: piece, count: 11))]
            case .binary: [.frame(opcode: 2, payload: [1, 2, 3])]
            case .notText: [.frame(opcode: 1, payload: [0x61, 0xC3])]
            case .masked: [.bytes([0x81, 0x81, 1, 2, 3, 4, 0x60])]
            case .reservedBit: [.bytes([0xC1, 1, 0x61])]
            case .reservedOpcode: [.frame(opcode: 3, payload: [])]
            case .splitPing: [.frame(opcode: 9, payload: [], isFinal: false)]
            case .longPing: [.frame(opcode: 9, payload: Array(piece.prefix(126)))]
            case .continuesNothing: [.frame(opcode: 0, payload: [0x61])]
            case .interrupts: [.frame(opcode: 1, payload: [0x61], isFinal: false), .send("b")]
            }
        }

        var code: Int {
            switch self {
            case .tooLong, .tooLongInPieces: 1009
            case .binary: 1003
            case .notText: 1007
            default: 1002
            }
        }
    }

    @Test("What a server must not send ends the socket with the fitting code", arguments: Breach.allCases)
    func breach(_ breach: Breach) async throws {
        let script = SocketScript(.accept, [.send("fine")] + breach.steps)
        try await SocketClient.run(script) { client, server async throws in
            let (messages, failure) = await client.everything()
            #expect(messages == ["fine"])
            #expect(failure?.kind == .upstreamUnavailable)
            let visit = try await server.visit { $0.isClosed }
            // A server that is still sending may see its connection reset before it reads the code.
            if breach != .tooLongInPieces { #expect(visit.closeCode == breach.code) }
        }
    }

    @Test("A server whose messages nobody reads is made to wait, and nothing is lost")
    func backPressure() async throws {
        let piece = String(repeating: "y", count: 1 << 20)
        let steps = (0..<24).map { SocketScript.Step.send("\($0) \(piece)") }
        try await SocketClient.run(SocketScript(.accept, steps + [.close(1000)])) { client, server async throws in
            let task = client.open { socket async throws(ParleyError) in
                try await socket.send(ByteBuffer(string: "open"), by: .distantFuture)
                var last = -1
                while true {
                    let written = await server.visits().first?.written ?? 0
                    if written > 0, written == last { break }
                    last = written
                    try await client.connector.sleep(.milliseconds(500))
                }
                let (messages, failure) = await socket.rest()
                return (last, messages.map { $0.prefix { $0 != " " } }.map(String.init), failure)
            }
            let (held, messages, failure) = try await task.value.get()
            #expect(held < 24 << 20)
            #expect(messages == (0..<24).map(String.init))
            #expect(failure == nil)
        }
    }

    @Test("Whoever sends to a server that does not read waits until its deadline")
    func slowServer() async throws {
        try await SocketClient.run(SocketScript(.stopReading)) { client, _ async throws in
            let task = client.open { socket async throws(ParleyError) in
                let message = ByteBuffer(repeating: 0x7A, count: 1 << 20)
                for _ in 0..<64 { try await socket.send(message, by: .now() + .milliseconds(700)) }
            }
            guard case .failure(let error) = await task.value else {
                Issue.record("64 MB went nowhere")
                return
            }
            #expect(error.kind == .timeout)
        }
    }
}
