// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Logging
import NIOCore
import ParleyConfiguration
import ParleyCore
import ParleyGateway
import ParleyModels
import ParleyProviders
import ParleyStore
import Synchronization

/// A running server: reloads its configuration, finds local providers, and ends on a signal.
final class Service: Sendable {
    /// Where the account of calls is kept.
    let ledger: SQLiteLedger
    private let gateway: Gateway
    private let logs: Logs
    private let startup: Mutex<Startup>
    /// Changes of the configuration's file; nil where there is none.
    private let changes: AsyncStream<Void>?

    init(startup: Startup, gateway: Gateway, ledger: SQLiteLedger, logs: Logs) {
        self.ledger = ledger
        self.gateway = gateway
        self.logs = logs
        self.startup = Mutex(startup)
        changes = startup.path.map { FileWatch.changes(of: $0) }
    }

    /// The configuration that is being served.
    var snapshot: Snapshot { startup.withLock { $0.snapshot } }

    /// Serves until told to stop.
    func run(until signals: AsyncStream<Signals.Signal>) async {
        let watcher = Task { await watch() }
        for await signal in signals {
            if signal == .stop { break }
            logs.sink.reopen()
            reload()
        }
        watcher.cancel()
    }

    /// Looks for servers on this machine and fetches the providers' lists, then says what there is to use.
    func discover() async {
        var startup = self.startup.withLock { $0 }
        let local = await startup.findLocal(through: gateway)
        if !local.isEmpty, !Task.isCancelled {
            let updated = startup
            self.startup.withLock { $0 = updated }
            gateway.adopt(startup.snapshot)
        }
        for setup in local {
            Output.standard.line("  provider       \(setup.name) (answers at \(setup.baseURL ?? ""))")
        }
        let snapshot = startup.snapshot
        let connector = gateway.connector
        await gateway.run { await snapshot.lists.refreshIfNeeded(through: connector) }
        guard !Task.isCancelled else { return }
        for (provider, count) in snapshot.lists.counts where snapshot.providers.count > 1 || count != 1 {
            let what = count.map { "\($0) model\($0 == 1 ? "" : "s")" } ?? "its models could not be listed"
            logs.logger.info("provider", metadata: ["name": "\(provider)", "models": "\(what)"])
        }
        let directory = snapshot.lists.directory
        Banner.usage(
            startup, gateway.addresses[0],
            model: snapshot.defaultModel ?? directory.only ?? Self.example(directory.names))
    }

    /// A model that is likely to chat, for the line to paste.
    private static func example(_ names: [String]) -> String? {
        let familiar = ["gpt-4o-mini", "gpt-4.1-mini", "llama", "deepseek-chat", "mistral-small", "gemini-2.5-flash"]
        for word in familiar {
            if let name = names.first(where: { $0.contains(word) }) { return name }
        }
        return names.first
    }

    private func watch() async {
        guard let changes else { return }
        for await _ in changes { reload() }
    }

    /// Reads the file again; a bad one leaves the old configuration serving.
    private func reload() {
        var startup = self.startup.withLock { $0 }
        guard let path = startup.path else { return }
        do {
            let (settings, warnings) = try Startup.read(path, Startup.environment())
            if settings.keys.isEmpty, startup.assembler.generatedKey == nil {
                throw Failure("\(path): every key was removed; restart to have one generated")
            }
            let (snapshot, diagnostics) = startup.assembler.assemble(
                settings, loaded: Startup.now(), after: startup.snapshot)
            guard let snapshot else { throw Failure(diagnostics.map(\.description).joined(separator: "\n")) }
            for warning in warnings { logs.logger.warning("\(warning)") }
            var comparable = settings.server
            comparable.listen = startup.settings.server.listen
            if settings.server.tls != startup.settings.server.tls
                || settings.server.headerLimit != startup.settings.server.headerLimit
                || settings.server.maxConnections != startup.settings.server.maxConnections
                || settings.log != startup.settings.log || settings.store != startup.settings.store
                || settings.retention != startup.settings.retention || settings.admin != startup.settings.admin
                || settings.console != startup.settings.console
            {
                logs.logger.notice(
                    """
                    server.tls, header_limit, max_connections, log, store, retention, admin and console wait for the \
                    next start
                    """)
            }
            startup.settings = settings
            startup.settings.server.listen = comparable.listen
            startup.snapshot = snapshot
            let updated = startup
            self.startup.withLock { $0 = updated }
            gateway.adopt(snapshot)
            logs.logger.info("configuration reloaded", metadata: ["file": "\(path)"])
            Task { [logs] in
                do { try await updated.openStore() } catch { logs.logger.error("\(error)") }
            }
        } catch {
            for line in "\(error)".split(separator: "\n") { logs.logger.error("\(line)") }
            logs.logger.error("the configuration was not reloaded; the old one goes on serving")
        }
    }
}
