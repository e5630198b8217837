// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Ends of WebSockets to upstreams")
struct SocketClosingTests {
    @Test("A server that closes in order ends the messages, and its frame is answered", arguments: [1000, 1001, nil])
    func inOrder(code: Int?) async throws {
        try await SocketClient.run(SocketScript(.send("bye"), .close(code))) { client, server async throws in
            let (messages, failure) = await client.everything()
            #expect(messages == ["bye"])
            #expect(failure == nil)
            #expect(try await server.visit { $0.isClosed }.closeCode == 1000)
        }
    }

    @Test("A code of failure is an error after the messages before it", arguments: [1008, 1011, 4001])
    func failing(code: Int) async throws {
        try await SocketClient.run(SocketScript(.send("so far"), .close(code))) { client, server async throws in
            let (messages, failure) = await client.everything()
            #expect(messages == ["so far"])
            #expect(failure?.kind == .upstreamUnavailable)
            #expect(failure?.message.contains("\(code)") == true)
            try await server.visit { $0.isClosed }
        }
    }

    @Test("A connection that breaks is an error after the messages before it, in the middle of a frame too")
    func cut() async throws {
        let cuts: [[SocketScript.Step]] = [
            [], [.bytes([0x81, 100, 0x61])], [.frame(opcode: 1, payload: [], isFinal: false)],
        ]
        for steps in cuts {
            let script = SocketScript(.accept, [.send("so far")] + steps + [.cut])
            try await SocketClient.run(script) { client, _ async throws in
                let (messages, failure) = await client.everything()
                #expect(messages == ["so far"])
                #expect(failure?.kind == .upstreamUnavailable)
                #expect(failure?.message.contains("closed the connection") == true)
            }
        }
    }

    @Test("Closing tells the server so, and nothing is sent afterwards")
    func closing() async throws {
        try await SocketClient.run(SocketScript(.receive, .send("unread"))) { client, server async throws in
            let task = client.open { socket async throws(ParleyError) in
                try await socket.send(ByteBuffer(string: "hi"), by: .distantFuture)
                socket.close()
                socket.close()
                let next = try await socket.next(by: .distantFuture)
                var isRefused = false
                do throws(ParleyError) {
                    try await socket.send(ByteBuffer(string: "late"), by: .distantFuture)
                } catch {
                    isRefused = error.kind == .upstreamUnavailable
                }
                return next == nil && isRefused
            }
            #expect(try await task.value.get())
            let visit = try await server.visit { $0.isClosed }
            #expect(visit.closeCode == 1000)
            #expect(visit.messages == ["hi"])
        }
    }

    @Test("A server that does not answer the closing frame is left all the same")
    func ignored() async throws {
        try await SocketClient.run(SocketScript(.ignoreClose)) { client, server async throws in
            let task = client.open { socket in socket.close() }
            _ = await task.value
            #expect(try await server.visit { $0.isClosed }.closeCode == 1000)
        }
    }

    @Test("A silent server is a timeout, after which the socket still works")
    func silence() async throws {
        try await SocketClient.run(SocketScript(.answer { [.send($0)] })) { client, server async throws in
            let task = client.open { socket async throws(ParleyError) in
                var kinds: [ParleyError.Kind] = []
                for _ in 0..<2 {
                    do throws(ParleyError) {
                        _ = try await socket.text(within: .milliseconds(300))
                    } catch {
                        kinds.append(error.kind)
                    }
                }
                try await socket.send(ByteBuffer(string: "still here"), by: .distantFuture)
                let text = try await socket.text()
                socket.close()
                return (kinds, text)
            }
            let (kinds, text) = try await task.value.get()
            #expect(kinds == [.timeout, .timeout])
            #expect(text == "still here")
            try await server.visit { $0.isClosed }
        }
    }

    @Test("A cancelled task closes the connection at once: while it reads, and while it sends")
    func cancelled() async throws {
        for sends in [false, true] {
            let steps: [SocketScript.Step] = sends ? [.receive, .ignoreClose, .stopReading] : [.receive, .ignoreClose]
            let script = SocketScript(.accept, steps)
            try await SocketClient.run(script) { client, server async throws in
                let task = client.open { socket async throws(ParleyError) in
                    try await socket.send(ByteBuffer(string: "go"), by: .distantFuture)
                    guard sends else {
                        _ = try await socket.next(by: .distantFuture)
                        return
                    }
                    while true { try await socket.send(ByteBuffer(repeating: 0, count: 1 << 20), by: .distantFuture) }
                }
                try await server.visit { $0.messages.count == 1 }
                try await Task.sleep(for: .milliseconds(100))
                task.cancel()
                guard case .failure(let error) = await task.value else {
                    Issue.record("it ended by itself")
                    return
                }
                #expect(error.kind == .cancelled)
                if !sends { #expect(try await server.visit { $0.isClosed }.closeCode == 1001) }
            }
        }
    }

    @Test("A socket that a cancelled task closes waits for no consent")
    func cancelledClose() async throws {
        try await SocketClient.run(SocketScript(.receive, .ignoreClose)) { client, server async throws in
            let task = client.open { socket async throws(ParleyError) in
                try await socket.send(ByteBuffer(string: "go"), by: .distantFuture)
                while !Task.isCancelled { try? await client.connector.sleep(.seconds(20)) }
                socket.close()
            }
            try await server.visit { $0.messages.count == 1 }
            task.cancel()
            _ = await task.value
            #expect(try await server.visit { $0.isClosed }.closeCode == 1001)
        }
    }
}
