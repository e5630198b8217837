// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyConfiguration
import ParleyProviders
import ParleyTestKit
import Synchronization
import Testing

@testable import ParleyGateway

/// A gateway in this process, on a free port, in front of a scripted upstream.
final class GatewayUnderTest: Sendable {
    /// What a configuration file says beside what every test needs; lines as the file writes them, without indentation.
    struct Setup: Sendable {
        /// Lines of `server`.
        var server: [String] = []
        /// Lines of the provider `up`; those given replace the usual ones of the same name.
        var provider: [String] = []
        /// Whole entries of `providers`.
        var providers: [String] = []
        /// Lines of `defaults`.
        var defaults: [String] = []
        /// Lines of `models`.
        var models = [#""*": up/*"#]
        /// Entries of `keys`, flow style.
        var keys = ["{name: test, key: \(GatewayUnderTest.key)}"]
        /// Where the gateway listens.
        var listen = "127.0.0.1:0"
        /// Event loops.
        var loops = 2
    }

    /// The configuration has errors.
    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    /// The key that clients send unless a test says otherwise.
    static let key = "sk-parley-test-0123456789abcdefghij"

    let gateway: Gateway
    private let isStopped = Mutex(false)

    private init(_ gateway: Gateway) {
        self.gateway = gateway
    }

    /// Starts an upstream and a gateway before it, runs the body, and stops both.
    static func run(
        _ setup: Setup = Setup(), scripts: [Script] = [], tls: TestCertificate? = nil, log: LogSink? = nil,
        _ body: (GatewayUnderTest, ScriptedUpstream) async throws -> Void
    ) async throws {
        try await ScriptedUpstream.with(scripts: scripts, tls: tls) { upstream in
            try await run(setup, at: upstream.baseURL, log: log) { try await body($0, upstream) }
        }
    }

    /// Starts a gateway before whatever is at an address, runs the body, and stops it.
    static func run(
        _ setup: Setup = Setup(), at baseURL: String, log: LogSink? = nil,
        _ body: (GatewayUnderTest) async throws -> Void
    ) async throws {
        let (settings, snapshot) = try assemble(setup, baseURL)
        let gateway = try await Gateway.start(
            settings.server, snapshot: snapshot, sink: log, loops: setup.loops)
        let running = GatewayUnderTest(gateway)
        do {
            try await body(running)
        } catch {
            await running.stop(drain: .zero)
            throw error
        }
        await running.stop(drain: .zero)
    }

    /// The settings and the live configuration of a set-up.
    static func assemble(_ setup: Setup, _ baseURL: String) throws -> (Settings, Snapshot) {
        let result = SettingsLoader.load(text: text(setup, baseURL))
        guard let settings = result.settings else {
            throw Refused(description: result.diagnostics.map(\.description).joined(separator: "\n"))
        }
        let (snapshot, diagnostics) = Assembler().assemble(settings, loaded: 1_700_000_000)
        guard let snapshot else {
            throw Refused(description: diagnostics.map(\.description).joined(separator: "\n"))
        }
        return (settings, snapshot)
    }

    private static func text(_ setup: Setup, _ baseURL: String) -> String {
        let usual = ["kind: openai-compatible", "base_url: \(baseURL)", "api_key: upstream-key", "discover: false"]
        let provider = merged(usual, setup.provider)
        let defaults = merged(
            ["retry: {attempts: 1}", "timeout: {connect: 5s, first: 20s, idle: 20s, total: 60s}"], setup.defaults)
        var lines = ["server:"] + indented(["listen: \(setup.listen)"] + setup.server)
        lines += ["providers:", "  up:"] + indented(indented(provider)) + indented(setup.providers)
        lines += ["defaults:"] + indented(defaults)
        if !setup.models.isEmpty { lines += ["models:"] + indented(setup.models) }
        lines += ["keys:"] + setup.keys.map { "  - \($0)" }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func merged(_ usual: [String], _ given: [String]) -> [String] {
        let names = Set(given.map { $0.prefix { $0 != ":" } })
        return usual.filter { !names.contains($0.prefix { $0 != ":" }) } + given
    }

    private static func indented(_ lines: [String]) -> [String] { lines.map { "  " + $0 } }

    /// The port of the first address.
    var port: Int {
        guard case .tcp(_, let port)? = gateway.addresses.first else { return 0 }
        return port
    }

    /// Requests being answered.
    var running: Int { gateway.running }

    /// Serves new calls with another configuration.
    func adopt(_ setup: Setup, _ upstream: ScriptedUpstream) throws {
        gateway.adopt(try Self.assemble(setup, upstream.baseURL).1)
    }

    /// Stops the gateway, once.
    func stop(drain: TimeAmount) async {
        let isFirst = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return !isStopped
        }
        if isFirst { await gateway.stop(drain: drain) }
    }

    /// A new connection of a client.
    func connect() async throws -> RawClient {
        try await RawClient.connect(port: port)
    }

    /// One call on a connection of its own.
    @discardableResult
    func post(
        _ body: String, path: String = "/v1/chat/completions", headers: [String] = [],
        within bound: Duration = .seconds(30)
    ) async throws -> ClientAnswer {
        let client = try await connect()
        defer { client.close() }
        try await client.send(RawClient.post(body, path: path, headers: headers))
        return try await client.answer(within: bound)
    }

    /// One request without a body on a connection of its own.
    @discardableResult
    func get(_ path: String, method: String = "GET", headers: [String] = []) async throws -> ClientAnswer {
        let client = try await connect()
        defer { client.close() }
        if method == "HEAD" { client.expectNoBody() }
        try await client.send(RawClient.get(path, method: method, headers: headers))
        return try await client.answer()
    }

    /// Waits until so many requests are being answered.
    func waitForRunning(_ count: Int, within bound: Duration = .seconds(10)) async throws {
        try await eventually("\(count) running requests, not \(running)", within: bound) { running == count }
    }
}

/// Waiting was given up.
struct WaitedTooLong: Error, CustomStringConvertible {
    let description: String
}

/// Waits until a condition holds, looking again every few milliseconds.
func eventually(
    _ what: @autoclosure () -> String, within bound: Duration = .seconds(10), _ condition: () async -> Bool
) async throws {
    let deadline = ContinuousClock.now + bound
    while await !condition() {
        guard ContinuousClock.now < deadline else { throw WaitedTooLong(description: "no \(what()) within \(bound)") }
        try await Task.sleep(for: .milliseconds(4))
    }
}
