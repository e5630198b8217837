// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit

@testable import ParleyGateway

/// A gateway's connector before a scripted WebSocket server.
struct SocketClient: Sendable {
    let connector: any Connector
    let endpoint: Endpoint

    /// Starts a server and a gateway, runs the body, and stops both.
    static func run(
        _ scripts: SocketScript..., tls: TestCertificate? = nil, authority: String? = nil, proxy: ProxyAddress? = nil,
        limit: Int? = nil, _ body: (SocketClient, ScriptedSocketServer) async throws -> Void
    ) async throws {
        let server = try await ScriptedSocketServer.start(scripts, tls: tls)
        let endpoint = Endpoint(
            host: "127.0.0.1", port: server.port, isSecure: tls != nil, certificateAuthority: authority, proxy: proxy,
            connectionLimit: limit)
        do {
            try await GatewayUnderTest.run(at: "http://127.0.0.1:9/v1") { gateway in
                try await body(SocketClient(connector: gateway.gateway.connector, endpoint: endpoint), server)
            }
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    /// The request for a socket.
    func request(within time: TimeAmount = .minutes(5)) -> UpstreamRequest {
        let head = "GET /v1/chat?a=b HTTP/1.1\r\nhost: 127.0.0.1:\(endpoint.port)\r\nx-mine: yes\r\n"
        return UpstreamRequest(
            endpoint: endpoint, head: ByteBuffer(string: head), body: nil, isIdempotent: true,
            connectTimeout: .seconds(5), headDeadline: .now() + time)
    }

    /// Opens a socket and runs the body with it, on the connector's loop.
    func open<Result: Sendable>(
        _ body: @escaping @Sendable (any WebSocket) async throws(ParleyError) -> Result
    ) -> Task<Swift.Result<Result, ParleyError>, Never> {
        run { client async throws(ParleyError) in
            guard case .open(let socket) = try await client.connector.connect(client.request()) else {
                throw ParleyError(.internalError, "refused")
            }
            return try await body(socket)
        }
    }

    /// Runs the body on the connector's loop.
    func run<Result: Sendable>(
        _ body: @escaping @Sendable (SocketClient) async throws(ParleyError) -> Result
    ) -> Task<Swift.Result<Result, ParleyError>, Never> {
        Task(executorPreference: connector.executor) {
            do throws(ParleyError) {
                return .success(try await body(self))
            } catch {
                return .failure(error)
            }
        }
    }

    /// All messages up to the end of a socket, and what ended it.
    func everything(sending text: String? = nil) async -> (messages: [String], failure: ParleyError?) {
        let task = open { socket async throws(ParleyError) in
            if let text { try await socket.send(ByteBuffer(string: text), by: .now() + .seconds(20)) }
            return await socket.rest()
        }
        switch await task.value {
        case .success(let rest): return rest
        case .failure(let error): return ([], error)
        }
    }
}

extension WebSocket {
    /// The next message; nil at the end.
    func text(within time: TimeAmount = .minutes(5)) async throws(ParleyError) -> String? {
        try await next(by: .now() + time).map { String(buffer: $0) }
    }

    /// All messages that still come, and what ended them.
    func rest() async -> (messages: [String], failure: ParleyError?) {
        var messages: [String] = []
        do throws(ParleyError) {
            while let text = try await text() { messages.append(text) }
            return (messages, nil)
        } catch {
            return (messages, error)
        }
    }
}
