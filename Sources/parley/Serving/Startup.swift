// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyGateway
import ParleyModels
import ParleyProviders
import ParleyStore

/// Something that keeps the program from doing what it was told; printed as it is.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Everything there is to know before the gateway starts.
struct Startup: Sendable {
    /// The configuration file, where there is one.
    var path: String?
    var settings: Settings
    var snapshot: Snapshot
    var warnings: [String]
    /// The generated key for clients, where the file names none.
    var generated: (secret: KeySecret, path: String)?
    /// What makes snapshots of settings, also at a reload.
    var assembler: Assembler
    /// Where providers keep tokens; opened when one needs it.
    var store: LazyStore

    /// Reads the file if there is one, finds providers in the environment if there is none, and sees to a key.
    ///
    /// - Throws: `Failure` with everything that is wrong, one thing per line.
    static func load(config: String?, listen: [String], ownKey: KeySecret? = nil) throws -> Startup {
        let environment = environment()
        let path = ConfigurationFile.find(
            explicit: config, environment: environment, workingDirectory: workingDirectory())
        var settings = Settings()
        var warnings: [String] = []
        if let path { (settings, warnings) = try read(path, environment) }
        if !listen.isEmpty { settings.server.listen = try addresses(listen) }
        let store = LazyStore(settings.store, configuration: path, retention: settings.retention) { error in
            Output.error.line("conversations are kept in memory only: \(error.message)")
        }
        var assembler = Assembler()
        assembler.store = CredentialStoreReference(store)
        assembler.cache = AnswerCache()
        if settings.providers.isEmpty { assembler.found = Catalogue.environment(environment) }
        var generated: (secret: KeySecret, path: String)?
        if let ownKey {
            assembler.ownKey = KeyRecord(name: "own", digest: ownKey.digest, isGenerated: true)
        } else if settings.keys.isEmpty {
            let made = try generatedKey()
            generated = made
            assembler.generatedKey = KeyRecord(
                name: "generated", digest: made.secret.digest, isGenerated: true)
        }
        let (snapshot, diagnostics) = assembler.assemble(settings, loaded: now())
        guard let snapshot else { throw Failure(diagnostics.map(\.description).joined(separator: "\n")) }
        return Startup(
            path: path, settings: settings, snapshot: snapshot, warnings: warnings, generated: generated,
            assembler: assembler, store: store)
    }

    /// Opens the store where a provider is of no use without one; others wait until they need it.
    ///
    /// - Throws: `Failure` where it cannot be opened.
    func openStore() async throws {
        guard snapshot.providers.contains(where: \.keepsTokens) else { return }
        do throws(ParleyError) { try await store.open() } catch { throw Failure(error.message) }
    }

    /// Looks for model servers on this machine, where no file says what there is.
    ///
    /// - Returns: those that were added.
    mutating func findLocal(through gateway: Gateway) async -> [ProviderSetup] {
        guard settings.providers.isEmpty else { return [] }
        let ports = gateway.addresses.compactMap { address -> Int? in
            if case .tcp(_, let port) = address { return port }
            return nil
        }
        let local = await LocalProbe.find(through: gateway, except: ports).filter { setup in
            !assembler.found.contains { $0.name == setup.name }
        }
        guard !local.isEmpty else { return [] }
        assembler.found += local
        guard let snapshot = assembler.assemble(settings, loaded: Self.now(), after: snapshot).snapshot else {
            return []
        }
        self.snapshot = snapshot
        return local
    }

    /// The settings of a file and its warnings.
    ///
    /// - Throws: `Failure` with every error of the file.
    static func read(_ path: String, _ environment: [String: String]) throws -> (Settings, [String]) {
        let result = ConfigurationFile.load(path: path, environment: environment, context: context(strict: false))
        guard let settings = result.settings else {
            throw Failure(
                result.diagnostics.filter { $0.severity == .error }.map(\.description).joined(separator: "\n"))
        }
        return (settings, result.diagnostics.map(\.description))
    }

    /// What the configuration must know of providers.
    static func context(strict: Bool) -> LoadContext {
        var kinds = LoadContext.tableKinds
        for kind in Registry.kinds { kinds[kind.name] = LoadContext.KindInfo(built: kind.isBuilt) }
        return LoadContext(kinds: kinds, catalogue: Set(Catalogue.vendors.map(\.id)), strict: strict)
    }

    /// The process's environment.
    static func environment() -> [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let line = String(cString: text)
            if let equals = line.firstIndex(of: "=") {
                variables[String(line[..<equals])] = String(line[line.index(after: equals)...])
            }
            entry += 1
        }
        return variables
    }

    static func workingDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "." }
        defer { free(path) }
        return String(cString: path)
    }

    /// Seconds since 1970.
    static func now() -> Int {
        time(nil)
    }

    private static func addresses(_ texts: [String]) throws -> [ListenAddress] {
        try texts.map { text in
            guard let address = ListenAddress(text) else {
                throw Failure("--listen \(text): expected host:port, [v6]:port or unix:/path")
            }
            return address
        }
    }

    private static func generatedKey() throws -> (secret: KeySecret, path: String) {
        do {
            let file = KeyFile(KeyFile.client, in: try StateDirectory.standard())
            return (try file.obtain().secret, file.path)
        } catch {
            throw Failure(error.description)
        }
    }
}
