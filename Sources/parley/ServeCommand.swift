// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser
import Logging
import NIOCore
import ParleyConfiguration
import ParleyGateway
import ParleyProviders
import ParleyStore

/// `parley serve`: runs the gateway until it is told to stop.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the gateway.",
        discussion: """
            Reads --config, else parley.yaml in the working directory, else $XDG_CONFIG_HOME/parley/parley.yaml; \
            works without any. SIGHUP or a changed file reloads it, SIGTERM stops after running answers are done.
            """)

    @Option(name: .shortAndLong, help: "The configuration file.")
    var config: String?

    @Option(
        name: .shortAndLong, parsing: .singleValue,
        help: "host:port, [v6]:port or unix:/path to listen on; given several times, on each.")
    var listen: [String] = []

    func run() async throws {
        ProcessLimits.raise()
        let signals = Signals()
        let running = try await start()
        let (gateway, service, logs) = (running.gateway, running.service, running.logs)
        let discovery = Task { await service.discover() }
        await service.run(until: signals.stream)
        discovery.cancel()
        let drain = service.snapshot.server.drain
        logs.logger.info(
            "stopping", metadata: ["running": "\(gateway.running)", "drain": "\(drain.nanoseconds / 1_000_000_000) s"])
        await running.console?.stop()
        await gateway.stop(drain: drain) {
            await AgentProcesses.stopAll()
        }
        if await !service.ledger.close() { logs.logger.warning("the account of the last calls could not be written") }
        logs.logger.info("stopped")
        _ = logs.sink.flush()
    }

    /// What runs. Not what it was started with: that would keep alive the providers that a reload drops.
    private struct Running {
        let gateway: Gateway
        let service: Service
        let console: ControlPlane?
        let logs: Logs
    }

    private func start() async throws -> Running {
        let startup = try Startup.load(config: config, listen: listen)
        let logs = try Logs.start(startup.settings.log)
        for warning in startup.warnings { logs.logger.warning("\(warning)") }
        AgentProcesses.log { logs.logger.debug("\($0)") }
        try await startup.openStore()
        let ledger = SQLiteLedger(startup, logger: logs.logger)
        let gateway: Gateway
        do {
            gateway = try await Gateway.start(
                startup.settings.server, snapshot: startup.snapshot,
                sink: startup.settings.log.access ? logs.sink : nil, responses: startup.store,
                conversations: startup.store, ledger: ledger)
        } catch let error as ListenError {
            throw Failure(error.description)
        }
        logs.logger.info(
            "listening", metadata: ["address": "\(gateway.addresses.map(\.description).joined(separator: " "))"])
        ledger.recover()
        let service = Service(startup: startup, gateway: gateway, ledger: ledger, logs: logs)
        let console: ControlPlane?
        do {
            // Behind the data plane, which answers already.
            console = try await ControlPlane.start(startup, gateway, service, logs)
        } catch {
            await gateway.stop(drain: .zero)
            throw error
        }
        Banner.opening(startup, gateway.addresses, console)
        return Running(gateway: gateway, service: service, console: console, logs: logs)
    }
}
