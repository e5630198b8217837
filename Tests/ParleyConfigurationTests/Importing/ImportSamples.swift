// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import ParleyProviders
import Testing

/// Imports texts and reads the result back with the loader that `parley check` uses.
enum Imports {
    /// An import whose result was read back.
    struct Result {
        var imported: ImportedConfiguration
        var yaml: String
        var settings: Settings
        var warnings: [String]

        var notes: [String] { imported.notes.map(\.description) }

        func provider(_ name: String) -> ProviderSettings? { settings.providers.first { $0.name == name } }
        func key(_ name: String) -> KeySettings? { settings.keys.first { $0.name == name } }
        func alias(_ name: String) -> String? {
            if case .alias(let target)? = settings.model(named: name)?.body { target } else { nil }
        }
        func route(_ name: String) -> RouteSettings? {
            if case .route(let route)? = settings.model(named: name)?.body { route } else { nil }
        }
        func hasNote(_ parts: String...) -> Bool { notes.contains { note in parts.allSatisfy { note.contains($0) } } }
    }

    /// The kinds and the catalogue as the program has them.
    private static let context: LoadContext = {
        var kinds = LoadContext.tableKinds
        for kind in Registry.kinds { kinds[kind.name] = LoadContext.KindInfo(built: kind.isBuilt) }
        return LoadContext(kinds: kinds, catalogue: Set(Catalogue.vendors.map(\.id)))
    }()

    struct Unreadable: Error, CustomStringConvertible {
        var description: String
    }

    /// Imports a text; its result must be without errors, with every variable set that it lists.
    static func read(
        _ text: String, _ kind: ImportKind? = nil, file: String = "source", more: [String: String] = [:]
    ) throws -> Result {
        let imported = try Importer.read(Array(text.utf8), file: file, kind: kind)
        let yaml = imported.yaml()
        var environment = more
        for variable in imported.variables {
            environment[variable.name] =
                environment[variable.name] ?? variable.value ?? "https://value/\(variable.name)"
        }
        let loaded = SettingsLoader.load(
            text: yaml, file: "parley.yaml", environment: environment,
            context: context)
        guard let settings = loaded.settings else {
            throw Unreadable(
                description: loaded.diagnostics.map(\.description).joined(separator: "\n") + "\n" + yaml)
        }
        return Result(
            imported: imported, yaml: yaml, settings: settings,
            warnings: loaded.diagnostics.filter { $0.severity == .warning }.map(\.message))
    }

    /// Why a text cannot be imported.
    static func fault(_ text: String, _ kind: ImportKind? = nil) -> String? {
        fault(Array(text.utf8), kind)
    }

    static func fault(_ bytes: [UInt8], _ kind: ImportKind? = nil) -> String? {
        do {
            _ = try Importer.read(bytes, file: "f", kind: kind)
            return nil
        } catch {
            return error.description
        }
    }
}
