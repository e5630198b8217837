// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("TLS, sockets and proxies")
struct TransportTests {
    private func files(_ certificate: TestCertificate = .localhost) throws -> (TemporaryFolder, String, String) {
        let folder = try TemporaryFolder()
        try certificate.certificatePEM.write(toFile: folder.path("cert.pem"), atomically: true, encoding: .utf8)
        try certificate.privateKeyPEM.write(toFile: folder.path("key.pem"), atomically: true, encoding: .utf8)
        return (folder, folder.path("cert.pem"), folder.path("key.pem"))
    }

    @Test("A listener with a certificate speaks TLS: whole, streamed, kept alive and pipelined")
    func tlsListener() async throws {
        let (folder, certificate, key) = try files()
        var setup = GatewayUnderTest.Setup()
        setup.server = ["tls: {certificate: \(certificate), key: \(key)}"]
        try await GatewayUnderTest.run(setup, scripts: [.json(Bodies.whole, times: 1)]) { gateway, _ in
            let client = try await RawClient.connect(port: gateway.port, trusting: .localhost)
            try await client.send(RawClient.post(Bodies.chat()))
            #expect(try await client.answer().text == Bodies.whole)
            let streamed = RawClient.post(Bodies.chat(stream: true))
            try await client.send(streamed + streamed)
            for _ in 0..<2 { #expect(try await client.answer().streamedText == "Hello from upstream.") }
            try await client.send(RawClient.get("/health", headers: ["connection: close"]))
            #expect(try await client.answer().status == 200)
            try await client.waitForClose()
        }
        withExtendedLifetime(folder) {}
    }

    @Test("A TLS connection that has sent no request yet is idle, not slow")
    func tlsIdle() async throws {
        let (folder, certificate, key) = try files()
        var setup = GatewayUnderTest.Setup()
        setup.server = ["tls: {certificate: \(certificate), key: \(key)}", "header_timeout: 500ms", "idle: 60s"]
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let client = try await RawClient.connect(port: gateway.port, trusting: .localhost)
            try await Task.sleep(for: .milliseconds(1_500))
            #expect(client.received.answers.isEmpty && !client.received.isClosed)
            try await client.send(RawClient.get("/health"))
            #expect(try await client.answer().status == 200)
            try await Task.sleep(for: .milliseconds(1_500))
            try await client.send(RawClient.get("/health"))
            #expect(try await client.answer().status == 200)
        }
        withExtendedLifetime(folder) {}
    }

    @Test("Plain HTTP on a TLS listener harms nobody else")
    func plainOnTLS() async throws {
        let (folder, certificate, key) = try files()
        var setup = GatewayUnderTest.Setup()
        setup.server = ["tls: {certificate: \(certificate), key: \(key)}"]
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let plain = try await gateway.connect()
            try await plain.send(RawClient.get("/health"))
            try await plain.waitForClose()
            let client = try await RawClient.connect(port: gateway.port, trusting: .localhost)
            try await client.send(RawClient.get("/health"))
            #expect(try await client.answer().status == 200)
        }
        withExtendedLifetime(folder) {}
    }

    @Test("A listener on a Unix-domain socket answers")
    func unixSocket() async throws {
        let folder = try TemporaryFolder()
        var setup = GatewayUnderTest.Setup()
        setup.listen = "unix:\(folder.path("s"))"
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let client = try await RawClient.connect(path: folder.path("s"))
            try await client.send(RawClient.post(Bodies.chat()))
            #expect(try await client.answer().status == 200)
            try await client.send(RawClient.post(Bodies.chat(stream: true)))
            #expect(try await client.answer().events.last == "[DONE]")
        }
        withExtendedLifetime(folder) {}
    }

    @Test("A busy port is refused with words that say what to do")
    func busyPort() async throws {
        try await GatewayUnderTest.run { gateway, upstream in
            var setup = GatewayUnderTest.Setup()
            setup.listen = "127.0.0.1:\(gateway.port)"
            do {
                try await GatewayUnderTest.run(setup, at: upstream.baseURL) { _ in }
                Issue.record("two listeners on one port")
            } catch let error as ListenError {
                #expect(error.description.contains("--listen"))
                #expect(error.description.contains("\(gateway.port)"))
            }
        }
    }

    @Test("An upstream with TLS is trusted by tls.ca", arguments: [false, true])
    func tlsUpstream(stream: Bool) async throws {
        let (folder, certificate, _) = try files()
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["tls: {ca: \(certificate)}"]
        try await GatewayUnderTest.run(setup, tls: .localhost) { gateway, upstream in
            for _ in 0..<3 {
                let answer = try await gateway.post(Bodies.chat(stream: stream))
                #expect(answer.status == 200)
                #expect(answer.text.contains("upstream") || answer.streamedText == "Hello from upstream.")
            }
            #expect(await upstream.requests().count == 3)
        }
        withExtendedLifetime(folder) {}
    }

    @Test("An upstream whose certificate nobody vouches for is refused, and the error says so")
    func untrusted() async throws {
        try await GatewayUnderTest.run(tls: .localhost) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat())
            #expect(answer.status == 502)
            #expect(answer.message.lowercased().contains("certificate"))
            #expect(await upstream.requests().isEmpty)
        }
    }

    @Test("A plain upstream behind an https address is an error that mentions TLS")
    func plainUpstream() async throws {
        var setup = GatewayUnderTest.Setup()
        try await ScriptedUpstream.with { upstream in
            setup.provider = ["base_url: https://127.0.0.1:\(upstream.port)/v1"]
            try await GatewayUnderTest.run(setup, at: upstream.baseURL) { gateway in
                let answer = try await gateway.post(Bodies.chat())
                #expect(answer.status == 502)
                #expect(answer.message.contains("TLS"))
            }
        }
    }

    @Test("A TLS upstream that is cut without a goodbye is a cut stream")
    func tlsCut() async throws {
        let (folder, certificate, _) = try files()
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["tls: {ca: \(certificate)}"]
        let script = Script(steps: [Bodies.streamHead, Bodies.events([Bodies.chunk("Hi")]), .cut(.fin)])
        try await GatewayUnderTest.run(setup, scripts: [script], tls: .localhost) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat(stream: true))
            #expect(answer.streamError != nil)
            #expect(answer.isComplete)
        }
        withExtendedLifetime(folder) {}
    }

    @Test("A body that ends with a TLS connection needs a proper end")
    func tlsUntilClose() async throws {
        let (folder, certificate, _) = try files()
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["tls: {ca: \(certificate)}"]
        let head = Script.Step.head(.init(200, headers: ["content-type": "application/json"], framing: .close))
        let good = Script(match: .init(model: "good"), steps: [head, .write(Bodies.whole), .close])
        try await GatewayUnderTest.run(setup, scripts: [good], tls: .localhost) { gateway, _ async throws in
            #expect(try await gateway.post(Bodies.chat("good")).text == Bodies.whole)
        }
        withExtendedLifetime(folder) {}
    }

    @Test("A proxy is asked for a tunnel, which carries TLS and plain HTTP", arguments: [false, true])
    func proxy(tls: Bool) async throws {
        let (folder, certificate, _) = try files()
        let proxy = try await ScriptedProxy.start(.tunnelIfAuthorized("Basic dTpwQA=="))
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["proxy: \"http://u:p%40@127.0.0.1:\(proxy.port)\""]
        if tls { setup.provider.append("tls: {ca: \(certificate)}") }
        try await GatewayUnderTest.run(setup, tls: tls ? .localhost : nil) { gateway, upstream async throws in
            for stream in [false, true] {
                #expect(try await gateway.post(Bodies.chat(stream: stream)).status == 200)
            }
            let connects = await proxy.connects()
            #expect(connects.allSatisfy { $0.authority == "127.0.0.1:\(upstream.port)" && $0.status == 200 })
            #expect(!connects.isEmpty)
        }
        await proxy.stop()
        withExtendedLifetime(folder) {}
    }

    @Test("A proxy that refuses is named in the error", arguments: [407, 502, 403])
    func proxyRefuses(status: Int) async throws {
        let proxy = try await ScriptedProxy.start(.refuse(status))
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["proxy: http://127.0.0.1:\(proxy.port)"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            let answer = try await gateway.post(Bodies.chat())
            #expect(answer.status == 502)
            #expect(answer.message.contains("proxy") && answer.message.contains("\(proxy.port)"))
            #expect(answer.message.contains(status == 407 ? "password" : "\(status)"))
            #expect(await upstream.requests().isEmpty)
        }
        await proxy.stop()
    }

    @Test("A proxy that is not there is an error")
    func noProxy() async throws {
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["proxy: http://127.0.0.1:9"]
        try await GatewayUnderTest.run(setup) { gateway, _ in
            let answer = try await gateway.post(Bodies.chat())
            #expect(answer.status == 502)
            #expect(answer.message.contains("127.0.0.1:9"))
        }
    }
}
