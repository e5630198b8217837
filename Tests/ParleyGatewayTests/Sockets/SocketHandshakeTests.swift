// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Handshakes of WebSockets to upstreams")
struct SocketHandshakeTests {
    @Test("The request has the caller's headers and those of the handshake, with a key of its own each time")
    func request() async throws {
        try await SocketClient.run(SocketScript(.close(1000))) { client, server async throws in
            for _ in 0..<2 { #expect(await client.everything().failure == nil) }
            let visits = await server.visits()
            try #require(visits.count == 2)
            for visit in visits {
                #expect(visit.target == "/v1/chat?a=b")
                #expect(visit.headers["x-mine"] == "yes")
                #expect(visit.headers["upgrade"] == "websocket")
                #expect(visit.headers["connection"]?.lowercased() == "upgrade")
                #expect(visit.headers["sec-websocket-version"] == "13")
                #expect(visit.headers["sec-websocket-extensions"] == nil)
            }
            #expect(visits[0].headers["sec-websocket-key"] != visits[1].headers["sec-websocket-key"])
        }
    }

    @Test("A refusal gives the HTTP answer: status, headers and body", arguments: [401, 403, 404, 500])
    func refused(status: Int) async throws {
        let script = SocketScript(
            .refuse(status: status, headers: ["x-why: because"], body: #"{"message":"HMAC"}"#))
        try await SocketClient.run(script) { client, _ async throws in
            let task = client.run { client async throws(ParleyError) in
                guard case .refused(let answer) = try await client.connector.connect(client.request()) else {
                    throw ParleyError(.internalError, "opened")
                }
                var body = ""
                while let bytes = try await answer.next(by: .now() + .seconds(20)) { body += String(buffer: bytes) }
                return [String(answer.status), answer.headers.first("x-why") ?? "", body]
            }
            #expect(try await task.value.get() == ["\(status)", "because", #"{"message":"HMAC"}"#])
        }
    }

    @Test("A page in place of a handshake is an error, and the connection is closed")
    func page() async throws {
        try await SocketClient.run(SocketScript(.refuse(status: 200, body: "<html>"))) { client, server async throws in
            let failure = await client.everything().failure
            #expect(failure?.kind == .upstreamUnavailable)
            #expect(failure?.message.contains("200") == true)
            try await server.visit { $0.isClosed }
        }
    }

    @Test(
        "An answer that does not fit the handshake is refused, and the connection is closed",
        arguments: [
            ["upgrade: websocket", "connection: upgrade"],
            ["upgrade: websocket", "connection: upgrade", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
            ["upgrade: h2c", "connection: upgrade", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
            ["content-length: 0"],
        ])
    func lies(headers: [String]) async throws {
        try await SocketClient.run(SocketScript(.lie(headers))) { client, server async throws in
            #expect(await client.everything().failure?.kind == .upstreamUnavailable)
            try await server.visit { $0.isClosed }
        }
    }

    @Test("The answer to the standard's own key is accepted, with no extension that was not offered")
    func standardKey() throws {
        let handshake = WebSocketHandshake()
        var head = ByteBuffer()
        handshake.write(to: &head)
        let key = try #require(HeaderBlock(head).first("sec-websocket-key"))
        #expect(Data(base64Encoded: key)?.count == 16)
        let answer = HeaderBlock(ByteBuffer(string: "upgrade: WebSocket\r\nsec-websocket-accept: x\r\n"))
        #expect(throws: ParleyError.self) { try handshake.check(answer) }
    }

    @Test("A service that does not answer the handshake is a timeout, and the connection is closed")
    func silent() async throws {
        try await SocketClient.run(SocketScript(.ignore)) { client, server async throws in
            let task = client.run { client async throws(ParleyError) in
                _ = try await client.connector.connect(client.request(within: .milliseconds(400)))
            }
            guard case .failure(let error) = await task.value else {
                Issue.record("it opened")
                return
            }
            #expect(error.kind == .timeout)
            try await server.visit { $0.isClosed }
        }
    }

    @Test("A call that is cancelled during the handshake closes the connection at once")
    func cancelled() async throws {
        try await SocketClient.run(SocketScript(.ignore)) { client, server async throws in
            let task = client.open { _ in }
            try await server.visit { !$0.headers.isEmpty }
            task.cancel()
            guard case .failure(let error) = await task.value else {
                Issue.record("it opened")
                return
            }
            #expect(error.kind == .cancelled)
            try await server.visit { $0.isClosed }
        }
    }

    @Test("Nobody listening is an error that names the place")
    func nobody() async throws {
        try await GatewayUnderTest.run(at: "http://127.0.0.1:9/v1") { gateway in
            let endpoint = Endpoint(host: "127.0.0.1", port: 1, isSecure: false)
            let client = SocketClient(connector: gateway.gateway.connector, endpoint: endpoint)
            let failure = await client.everything().failure
            #expect(failure?.kind == .upstreamUnavailable)
            #expect(failure?.message.contains("127.0.0.1:1") == true)
        }
    }

    @Test("TLS with a trusted authority, and through a proxy's tunnel", arguments: [false, true], [false, true])
    func ways(tls: Bool, proxied: Bool) async throws {
        let folder = try TemporaryFolder()
        let file = folder.path("ca.pem")
        try TestCertificate.localhost.certificatePEM.write(toFile: file, atomically: true, encoding: .utf8)
        let proxy = try await ScriptedProxy.start()
        let address = proxied ? ProxyAddress(host: "127.0.0.1", port: proxy.port) : nil
        let script = SocketScript(.answer { [.send("\($0)!")] }, .close(1000))
        try await SocketClient.run(
            script, tls: tls ? .localhost : nil, authority: tls ? file : nil, proxy: address
        ) { client, _ async throws in
            let (messages, failure) = await client.everything(sending: "hello")
            #expect(messages == ["hello!"])
            #expect(failure == nil)
        }
        #expect(await proxy.connects().count == (proxied ? 1 : 0))
        await proxy.stop()
        withExtendedLifetime(folder) {}
    }

    @Test("A certificate that nobody vouches for is refused")
    func untrusted() async throws {
        try await SocketClient.run(SocketScript(.close(1000)), tls: .localhost) { client, server async throws in
            #expect(await client.everything().failure?.message.contains("certificate") == true)
            #expect(await server.visits().isEmpty)
        }
    }

    @Test("A socket counts as a request of the provider's limit until it is closed")
    func limit() async throws {
        try await SocketClient.run(SocketScript(.receive), limit: 1) { client, server async throws in
            let first = client.open { socket async throws(ParleyError) in
                try await socket.send(ByteBuffer(string: "one"), by: .distantFuture)
                // Holds its place until it is told to go.
                _ = try? await socket.next(by: .distantFuture)
                socket.close()
            }
            try await server.visit(0) { $0.messages == ["one"] }
            let refused = client.run { client async throws(ParleyError) in
                _ = try await client.connector.connect(client.request(within: .milliseconds(400)))
            }
            guard case .failure(let error) = await refused.value else {
                Issue.record("it opened")
                return
            }
            #expect(error.httpStatus == 503)
            let second = client.open { socket async throws(ParleyError) in
                try await socket.send(ByteBuffer(string: "two"), by: .distantFuture)
                socket.close()
            }
            first.cancel()
            _ = try await second.value.get()
            try await server.visit(1) { $0.messages == ["two"] && $0.isClosed }
        }
    }
}
