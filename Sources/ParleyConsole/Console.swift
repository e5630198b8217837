// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Hummingbird
public import Logging
import NIOCore
import NIOPosix
public import ParleyAccess
public import ParleyConfiguration
public import ParleyCore
import ServiceLifecycle

/// What the control plane is made of.
public struct ConsoleSetup: Sendable {
    /// Where it listens, and how long a sign-in lasts.
    public var settings: ConsoleSettings
    /// The digest of the admin key.
    public var adminKey: KeyDigest
    /// Where its socket is, when it shares the data plane's port.
    public var directory: StateDirectory
    /// The live configuration.
    public var snapshot: @Sendable () -> Snapshot
    /// The account of calls; nil where none is kept.
    public var ledger: (any Ledger)?
    /// The way to vendors.
    public var connector: any Connector
    /// Where it says what happens.
    public var logger: Logger

    /// A control plane.
    public init(
        settings: ConsoleSettings, adminKey: KeyDigest, directory: StateDirectory,
        snapshot: @escaping @Sendable () -> Snapshot, connector: any Connector, logger: Logger
    ) {
        self.settings = settings
        self.adminKey = adminKey
        self.directory = directory
        self.snapshot = snapshot
        self.connector = connector
        self.logger = logger
    }
}

/// Why the control plane does not start, and what to do about it.
public struct ConsoleError: Error, Sendable, CustomStringConvertible {
    /// One or two sentences.
    public let description: String
}

/// The control plane while it runs: pages and paths for whoever runs the gateway.
///
/// It has one event loop of its own, and nothing on the data plane waits for it.
public final class Console: Sendable {
    /// Where it listens; a port of 0 in the settings is the real one here.
    public let address: ListenAddress
    /// The folder that was made for its socket, where the state directory's name is too long for one.
    private let place: ConsolePlace
    private let services: ServiceGroup
    private let task: Task<Void, Never>
    private let group: MultiThreadedEventLoopGroup

    private init(
        address: ListenAddress, place: ConsolePlace, services: ServiceGroup, task: Task<Void, Never>,
        group: MultiThreadedEventLoopGroup
    ) {
        self.address = address
        self.place = place
        self.services = services
        self.task = task
        self.group = group
    }

    /// Starts to listen; when this returns, requests are taken.
    ///
    /// - Throws: `ConsoleError` where it cannot listen.
    public static func start(_ setup: ConsoleSetup) async throws(ConsoleError) -> Console {
        let place = try ConsolePlace(setup.settings.listen, in: setup.directory)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (events, continuation) = AsyncStream.makeStream(of: Result<Int?, any Error>.self)
        let bound: BindAddress =
            switch place.address {
            case .tcp(let host, let port): .hostname(host, port: port)
            case .unix(let path): .unixDomainSocket(path: path)
            }
        let application = Application(
            router: router(setup, isRelayed: place.isRelayed),
            server: .http1(configuration: .init(idleTimeout: .seconds(90))),
            configuration: ApplicationConfiguration(address: bound),
            onServerRunning: { continuation.yield(.success($0.localAddress?.port)) },
            eventLoopGroupProvider: .shared(group), logger: quiet(setup.logger))
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [application], logger: quiet(setup.logger)))
        let task = Task {
            do { try await services.run() } catch { continuation.yield(.failure(error)) }
            continuation.finish()
        }
        var started: Result<Int?, any Error>?
        for await event in events {
            started = event
            break
        }
        guard case .success(let port)? = started else {
            task.cancel()
            try? await group.shutdownGracefully()
            var reason = "it ended at once"
            if case .failure(let error)? = started { reason = ConsolePlace.reason(error) }
            throw ConsoleError(
                description: "console.listen: cannot listen on \(place.address): \(reason). "
                    + "Choose another address, or off.")
        }
        place.protect()
        var address = place.address
        if case .tcp(let host, 0) = address, let port { address = .tcp(host: host, port: port) }
        return Console(address: address, place: place, services: services, task: task, group: group)
    }

    /// Stops; what is being answered has a second, then it is broken off.
    public func stop() async {
        let limit = Task {
            try? await Task.sleep(for: .seconds(1))
            if !Task.isCancelled { task.cancel() }
        }
        await services.triggerGracefulShutdown()
        await task.value
        limit.cancel()
        place.remove()
        try? await group.shutdownGracefully()
    }

    /// Hummingbird tells of every start and every broken connection; only what is wrong belongs into our log.
    private static func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }

    private static func router(_ setup: ConsoleSetup, isRelayed: Bool) -> Router<ConsoleContext> {
        let door = Doorkeeper(adminKey: setup.adminKey, session: setup.settings.session)
        let router = Router(context: ConsoleContext.self, options: [.autoGenerateHeadEndpoints])
        router.add(middleware: Safety(isRelayed: isRelayed))
        SessionRoutes(door: door).add(to: router)
        if let ledger = setup.ledger { CallRoutes(door: door, ledger: ledger).add(to: router) }
        SignInRoutes(door: door, snapshot: setup.snapshot, connector: setup.connector, logger: setup.logger)
            .add(to: router)
        ExplainRoutes(door: door, snapshot: setup.snapshot).add(to: router)
        return router
    }
}
