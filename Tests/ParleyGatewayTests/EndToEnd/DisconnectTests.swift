// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyTestKit
import Testing

@testable import ParleyGateway

/// How a client leaves.
enum Leaving: Sendable, CaseIterable {
    case closing
    case resetting

    func leave(_ client: RawClient) async throws {
        switch self {
        case .closing: client.close()
        case .resetting: try await client.reset()
        }
    }
}

@Suite("Clients that leave", .serialized)
struct DisconnectTests {
    /// The promise is 250 ms; the rest is for busy machines.
    private static let bound = Duration.seconds(2)

    /// Sends a request, waits until the upstream has it, leaves, and expects the upstream's connection to close.
    private func expectClose(
        _ steps: [Script.Step], stream: Bool, _ leaving: Leaving, until text: String? = nil
    ) async throws {
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: stream)))
            try await upstream.waitForRequests(count: 1)
            if let text { try await client.waitForBody(text) }
            try await leaving.leave(client)
            let seen = try await upstream.waitForRequest(toBe: .clientClosed, within: Self.bound)
            #expect(seen.state == .clientClosed)
            try await gateway.waitForRunning(0, within: Self.bound)
        }
    }

    @Test("While the upstream's head is awaited", arguments: Leaving.allCases, [false, true])
    func awaitingHead(leaving: Leaving, stream: Bool) async throws {
        try await expectClose([.hang], stream: stream, leaving)
    }

    @Test("In the middle of a stream", arguments: Leaving.allCases)
    func midStream(leaving: Leaving) async throws {
        try await expectClose(
            [Bodies.streamHead, Bodies.events([Bodies.chunk("one")]), .hang], stream: true, leaving, until: "one")
    }

    @Test("In the middle of a stream that keeps coming", arguments: Leaving.allCases)
    func midBusyStream(leaving: Leaving) async throws {
        let busy = Script.Step.repeat(
            .init(1_000_000, write: Bodies.frames([Bodies.chunk("one")]), everyMilliseconds: 1))
        try await expectClose([Bodies.streamHead, busy], stream: true, leaving, until: "one")
    }

    @Test("Between the head and the first event", arguments: Leaving.allCases)
    func beforeFirstEvent(leaving: Leaving) async throws {
        try await expectClose([Bodies.streamHead, .write(": wait\n\n"), .hang], stream: true, leaving)
    }

    @Test("While a whole answer is awaited", arguments: Leaving.allCases)
    func awaitingWhole(leaving: Leaving) async throws {
        try await expectClose(
            [Bodies.jsonHead, .write(String(Bodies.whole.prefix(40))), .hang], stream: false, leaving)
    }

    @Test("While the request waits for a slot, and then nothing is sent upstream", arguments: Leaving.allCases)
    func queued(leaving: Leaving) async throws {
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["limits: {concurrent: 1}"]
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: [.hang])]) { gateway, upstream in
            let first = try await gateway.connect()
            try await first.send(RawClient.post(Bodies.chat("one")))
            try await upstream.waitForRequests(count: 1)
            var waiting: [RawClient] = []
            for number in 0..<3 {
                let client = try await gateway.connect()
                try await client.send(RawClient.post(Bodies.chat("w\(number)", stream: number == 1)))
                waiting.append(client)
            }
            try await gateway.waitForRunning(4)
            for client in waiting { try await leaving.leave(client) }
            try await gateway.waitForRunning(1, within: Self.bound)
            try await leaving.leave(first)
            try await upstream.waitForRequest(toBe: .clientClosed, within: Self.bound)
            try await gateway.waitForRunning(0, within: Self.bound)
            #expect(await upstream.requests().map(\.model) == ["one"])
        }
    }

    @Test("While the connection to the upstream is being made", arguments: Leaving.allCases)
    func connecting(leaving: Leaving) async throws {
        let deaf = try DeafListener()
        var setup = GatewayUnderTest.Setup()
        setup.defaults = ["timeout: {connect: 50s, first: 50s, idle: 50s, total: 60s}"]
        try await GatewayUnderTest.run(setup, at: "http://127.0.0.1:\(deaf.port)/v1") { gateway in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            try await gateway.waitForRunning(1)
            // Long enough for an error, were the listener not deaf.
            try await Task.sleep(for: .milliseconds(200))
            #expect(client.received.answers.isEmpty)
            try await leaving.leave(client)
            try await gateway.waitForRunning(0, within: Self.bound)
        }
        withExtendedLifetime(deaf) {}
    }

    @Test("While a retry waits", arguments: Leaving.allCases)
    func waitingForRetry(leaving: Leaving) async throws {
        var setup = GatewayUnderTest.Setup()
        setup.defaults = ["retry: {attempts: 3, backoff: 20s, max_wait: 20s}"]
        try await GatewayUnderTest.run(setup, scripts: [Script(steps: [.refuse])]) { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            try await upstream.waitForRequest(toBe: .cut)
            try await leaving.leave(client)
            try await gateway.waitForRunning(0, within: Self.bound)
            #expect(await upstream.requests().count == 1)
        }
    }

    @Test("While the request's body is still arriving", arguments: Leaving.allCases)
    func midBody(leaving: Leaving) async throws {
        try await GatewayUnderTest.run { gateway, upstream in
            let client = try await gateway.connect()
            try await client.send(RawClient.head("POST", "/v1/chat/completions", ["content-length: 1000"]) + "{")
            try await gateway.waitForRunning(1)
            try await leaving.leave(client)
            try await gateway.waitForRunning(0, within: Self.bound)
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("With more requests behind the one that is being answered", arguments: Leaving.allCases)
    func pipelined(leaving: Leaving) async throws {
        try await GatewayUnderTest.run(scripts: [Script(steps: [.hang])]) { gateway, upstream in
            let client = try await gateway.connect()
            let one = RawClient.post(Bodies.chat())
            try await client.send(String(repeating: one, count: 12))
            try await upstream.waitForRequests(count: 1)
            try await leaving.leave(client)
            try await upstream.waitForRequest(toBe: .clientClosed, within: Self.bound)
            try await gateway.waitForRunning(0, within: Self.bound)
            #expect(await upstream.requests().count == 1)
        }
    }

    @Test("Fifty at once, in mid-stream")
    func many() async throws {
        let steps = [Bodies.streamHead, Bodies.events([Bodies.chunk("one")]), .hang]
        try await GatewayUnderTest.run(scripts: [Script(steps: steps)]) { gateway, upstream in
            var clients: [RawClient] = []
            for _ in 0..<50 {
                let client = try await gateway.connect()
                try await client.send(RawClient.post(Bodies.chat(stream: true)))
                clients.append(client)
            }
            for client in clients { try await client.waitForBody("one") }
            for client in clients { client.close() }
            try await upstream.wait(for: "50 closed requests", within: .seconds(3)) { log in
                log.count(where: { $0.state == .clientClosed }) == 50
            }
            try await upstream.waitForOpenConnections(0)
            try await gateway.waitForRunning(0)
        }
    }
}

/// A port that takes no connection: its queue is full, so that the system leaves whoever connects waiting.
private final class DeafListener {
    let port: Int
    private var sockets: [Int32] = []

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener, generic, size) == 0 && listen(listener, 0) == 0
                    && getsockname(listener, generic, &size) == 0
            }
        }
        guard bound else { throw WaitedTooLong(description: "no port for a deaf listener") }
        port = Int(UInt16(bigEndian: address.sin_port))
        sockets = [listener]
        for _ in 0..<4 {
            let filler = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            _ = withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(filler, $0, size) }
            }
            sockets.append(filler)
        }
    }

    deinit { for socket in sockets { Glibc.close(socket) } }
}
