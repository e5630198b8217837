// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Logging
import NIOCore
import ParleyAccess
import ParleyConfiguration
import ParleyConsole
import ParleyCore
import ParleyGateway

/// The control plane beside the running gateway.
struct ControlPlane: Sendable {
    /// Where the admin key comes from.
    enum Key: Sendable {
        case configured
        /// Made just now, and kept at a path.
        case generated(KeySecret, String)
        case kept(String)
    }

    let key: Key
    /// Its own address; nil where it shares the gateway's.
    let address: ListenAddress?
    private let console: Console

    /// Starts it, unless it is off. Where nobody asked for it, the gateway does without when it cannot be had.
    ///
    /// - Throws: `Failure` where there is no admin key to be had, or it cannot listen on the address it was given.
    static func start(
        _ startup: Startup, _ gateway: Gateway, _ service: Service, _ logs: Logs
    ) async throws -> ControlPlane? {
        let settings = startup.settings.console
        guard settings.listen != .off else { return nil }
        guard settings.listen == .shared else { return try await start(startup, gateway, service, logs, settings) }
        do {
            return try await start(startup, gateway, service, logs, settings)
        } catch let failure as Failure where startup.settings.admin.key == nil {
            logs.logger.warning("the console is not there: \(failure)")
            return nil
        }
    }

    private static func start(
        _ startup: Startup, _ gateway: Gateway, _ service: Service, _ logs: Logs, _ settings: ConsoleSettings
    ) async throws -> ControlPlane {
        let (key, digest) = try adminKey(startup)
        if let same = startup.snapshot.keys.records.first(where: { $0.digest == digest }) {
            logs.logger.warning(
                "admin.key is also the key \"\(same.name)\": whoever has it can open the console, too")
        }
        let directory: StateDirectory
        do { directory = try StateDirectory.standard() } catch { throw Failure(error.description) }
        let console: Console
        do {
            var setup = ConsoleSetup(
                settings: settings, adminKey: digest, directory: directory, snapshot: { service.snapshot },
                connector: gateway.connector, logger: logs.logger)
            setup.ledger = service.ledger
            console = try await Console.start(setup)
        } catch {
            throw Failure("\(error)")
        }
        guard case .address = settings.listen else {
            if case .unix(let path) = console.address { gateway.relay(console: Endpoint(socketPath: path)) }
            return ControlPlane(key: key, address: nil, console: console)
        }
        if case .tcp(let host, _) = console.address, !["127.0.0.1", "::1", "localhost"].contains(host) {
            logs.logger.warning(
                "console.listen takes plain HTTP from other machines; put something in front that speaks TLS")
        }
        return ControlPlane(key: key, address: console.address, console: console)
    }

    /// Stops it.
    func stop() async { await console.stop() }

    private static func adminKey(_ startup: Startup) throws -> (Key, KeyDigest) {
        let key: Key
        let digest: KeyDigest
        if let secret = startup.settings.admin.key {
            guard !secret.isEmpty else { throw Failure("admin.key is empty: give it a value, or leave it out") }
            (key, digest) = (.configured, KeyDigest(of: secret.reveal()))
        } else {
            do {
                let file = KeyFile(KeyFile.admin, in: try StateDirectory.standard())
                let made = try file.obtain()
                key = made.isNew ? .generated(made.secret, file.path) : .kept(file.path)
                digest = made.secret.digest
            } catch {
                throw Failure("\(error)")
            }
        }
        return (key, digest)
    }
}
