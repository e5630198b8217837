// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// Something that a reader of an imported configuration should know.
public struct ImportNote: Sendable, Equatable, CustomStringConvertible {
    /// The source file's name.
    public var file: String
    /// The line in it; nil where it is about the file as a whole.
    public var line: Int?
    /// The setting in the source, as in `router_settings.redis_host`; empty where there is none.
    public var path: String
    /// What was not carried over, or what changed; holds no secret.
    public var message: String

    /// `config.yaml:12: router_settings.redis_host: not carried over`.
    public var description: String {
        (line.map { "\(file):\($0): " } ?? "\(file): ") + (path.isEmpty ? "" : path + ": ") + message
    }
}

/// An environment variable that an imported configuration needs.
public struct ImportVariable: Sendable, Equatable {
    /// Its name.
    public var name: String
    /// Its value where the source has one.
    public var value: String?
    /// The setting it is for, as in `providers.openai.api_key`.
    public var setting: String
    /// Whether the source took it from the environment too.
    public var isFromEnvironment: Bool
    /// Whether the configuration says what to take where it is not set.
    public var hasDefault = false
}

/// Credentials that belong into the store, not into the file.
public struct ImportedCredentials: Sendable, Equatable {
    /// The provider they are for.
    public var provider: String
    /// What the provider keeps in the store.
    public var values: JSONObject
}

/// What a file of another project says, in Parley's words: providers, models, keys, and what is left to say.
public struct ImportedConfiguration {
    struct Provider {
        var name: String
        var settings: [ImportEntry]
        /// Models under other names upstream.
        var renames: [ImportEntry]
        var comment: String

        var value: ImportValue {
            .map(settings + (renames.isEmpty ? [] : [ImportEntry("models", .map(renames))]))
        }
    }

    struct Model {
        var name: String
        var value: ImportValue
        var comment: String
    }

    struct Key {
        var settings: [ImportEntry]
        var comment: String
    }

    /// The kind of file it was.
    public let kind: ImportKind
    /// The file's name as it was given.
    public let file: String
    /// What a reader should know, in the order of the source.
    public internal(set) var notes: [ImportNote] = []
    /// What belongs into the store.
    public internal(set) var credentials: [ImportedCredentials] = []

    /// Sections such as `server` and `defaults`.
    var sections: [ImportEntry] = []
    private(set) var providers: [Provider] = []
    private(set) var models: [Model] = []
    private(set) var keys: [Key] = []
    /// Variables whose values the source sets itself.
    var knownVariables: [String: String] = [:]
    private var providerNames: NameSet
    private var providersBySettings: [[ImportEntry]: [Int]] = [:]
    private var modelNames = NameSet()
    private var keyNames = NameSet()

    init(kind: ImportKind, file: String, reservedProviders: Set<String> = []) {
        self.kind = kind
        self.file = file
        providerNames = NameSet(reservedProviders)
    }

    // MARK: - Building

    mutating func note(_ message: String, line: Int?, _ path: String = "") {
        let note = ImportNote(file: file, line: line, path: path, message: message)
        if notes.last != note { notes.append(note) }
    }

    /// Sets a member of a section, as in `set("server", "listen", …)`.
    mutating func set(_ section: String, _ path: String..., to value: ImportValue) {
        sections.set(section, Self.merged(sections[section], path[...], value))
    }

    private static func merged(_ old: ImportValue?, _ path: ArraySlice<String>, _ value: ImportValue) -> ImportValue {
        guard let name = path.first else { return value }
        var entries: [ImportEntry] = []
        if case .map(let existing)? = old { entries = existing }
        entries.set(name, merged(entries[name], path.dropFirst(), value))
        return .map(entries)
    }

    /// A provider with these settings: one that is there already, or a new one.
    ///
    /// - Parameters:
    ///   - renames: models under other names upstream; they may be added to a provider that is there.
    /// - Returns: its name.
    mutating func provider(
        _ name: String, _ settings: [ImportEntry], renames: [ImportEntry] = [], comment: String = ""
    ) -> String {
        for index in providersBySettings[settings] ?? [] {
            if providers[index].renames.isEmpty || renames.isEmpty {
                providers[index].renames += renames
                return providers[index].name
            }
            let conflicts = renames.contains { rename in
                providers[index].renames[rename.name].map { $0 != rename.value } ?? false
            }
            if conflicts { continue }
            for rename in renames { providers[index].renames.set(rename.name, rename.value) }
            return providers[index].name
        }
        providersBySettings[settings, default: []].append(providers.count)
        let unique = providerNames.unique(NameSet.slug(name, fallback: "provider"))
        providers.append(Provider(name: unique, settings: settings, renames: renames, comment: comment))
        return unique
    }

    /// Adds a model under a name that nobody has yet.
    mutating func model(_ name: String, _ value: ImportValue, comment: String = "") {
        guard modelNames.unique(name) == name else { return }
        models.append(Model(name: name, value: value, comment: comment))
    }

    /// A name for a model that nobody has yet.
    func freeModelName(_ name: String) -> String {
        guard hasModel(name) else { return name }
        var number = 2
        while hasModel("\(name)-\(number)") { number += 1 }
        return "\(name)-\(number)"
    }

    func hasModel(_ name: String) -> Bool { modelNames.taken.contains(name) }

    /// Adds a key.
    mutating func key(_ name: String, _ credential: ImportValue, _ settings: [ImportEntry] = [], comment: String = "") {
        let unique = keyNames.unique(NameSet.slug(name, fallback: "key"))
        var credential = credential
        if case .secret(let value, let hint) = credential {
            credential = .secret(value, hint: hint.isEmpty ? unique + "-key" : hint)
        }
        let head = [ImportEntry("name", .text(unique)), ImportEntry("key", credential)]
        keys.append(Key(settings: head + settings, comment: comment))
    }

    /// A model's name as Parley takes it, or nil with a note where there is none like it.
    mutating func modelName(_ name: String, line: Int?, _ path: String) -> String? {
        var changed = ""
        for scalar in name.unicodeScalars {
            let isSpace = scalar.properties.isWhitespace || scalar.properties.generalCategory == .control
            changed.unicodeScalars.append(isSpace ? "-" : scalar)
        }
        if let colon = changed.firstIndex(of: ":"),
            ReasonSettings.Strategy(rawValue: String(changed[..<colon])) != nil
        {
            changed.replaceSubrange(colon...colon, with: "-")
        }
        guard !changed.isEmpty, changed.utf8.count <= 400, changed.count(where: { $0 == "*" }) <= 1 else {
            note("not carried over: a model's name has 1 to 400 bytes and at most one *", line: line, path)
            return nil
        }
        if changed != name {
            note(
                "renamed to \(Diagnostic.quote(changed)), since spaces and beginnings such as vote: are not for names",
                line: line, path)
        }
        return changed
    }

    /// Everything in the order in which it is written, with a path for each.
    var values: [(path: String, value: ImportValue)] {
        sections.map { ($0.name, $0.value) }
            + providers.map { ("providers.\($0.name)", $0.value) }
            + models.map { ("models.\($0.name)", $0.value) }
            + keys.enumerated().map { ("keys[\($0.offset)]", .map($0.element.settings)) }
    }
}
