// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What the loader has to be told, because this target must not know it.
public struct LoadContext: Sendable {
    /// What is known of a provider kind.
    public struct KindInfo: Sendable, Equatable {
        /// Whether it can be called.
        public var built: Bool

        /// A kind.
        public init(built: Bool) {
            self.built = built
        }
    }

    /// The provider kinds there are.
    public var kinds: [String: KindInfo]
    /// The names of the built-in catalogue's rows, each of which is a kind too.
    public var catalogue: Set<String>
    /// Names of providers that exist without being in the file, such as those found in the environment.
    public var providers: Set<String>
    /// Turns warnings into errors, as `parley check --strict` does.
    public var strict: Bool
    /// Reads what `${file:path}` names. The path is already relative to the process, or absolute.
    public var readFile: @Sendable (String) throws(FileFault) -> [UInt8]

    /// A context; by default the kinds of the table, of which those with code are built.
    public init(
        kinds: [String: KindInfo] = LoadContext.tableKinds, catalogue: Set<String> = [], providers: Set<String> = [],
        strict: Bool = false,
        readFile: @escaping @Sendable (String) throws(FileFault) -> [UInt8] = LoadContext.readIncluded
    ) {
        self.kinds = kinds
        self.catalogue = catalogue
        self.providers = providers
        self.strict = strict
        self.readFile = readFile
    }

    /// Reads a regular file of at most 1 MB.
    public static func readIncluded(_ path: String) throws(FileFault) -> [UInt8] {
        try FileReading.bytes(of: path, limit: FileReading.includeLimit)
    }

    /// The kinds that the table of settings documents.
    public static let tableKinds: [String: KindInfo] = {
        let built: Set<String> = [
            "openai", "openai-compatible", "anthropic", "ollama", "demo", "zhipu", "qianfan", "dashscope",
        ]
        return Dictionary(
            SettingsTable.kinds.map { ($0.name, KindInfo(built: built.contains($0.name))) },
            uniquingKeysWith: { first, _ in first })
    }()

    /// Whether there is such a kind or catalogue row.
    func knows(kind: String) -> Bool { kinds[kind] != nil || catalogue.contains(kind) }
}
