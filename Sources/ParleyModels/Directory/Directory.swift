// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// Every name a client may use, and the model behind it. An object, since every call looks into it.
public final class Directory: Sendable {
    /// What a name leads to.
    public enum Resolution: Sendable {
        /// A model.
        case model(any Model)
        /// Nothing; with the names that were probably meant, the closest first.
        case unknown(suggestions: [String])
    }

    /// The longest name that is looked at, in bytes.
    public static let longestName = 512

    /// Every name that `/v1/models` lists, each of which resolves: the configured ones in file order, then the models
    /// of the providers' lists as `provider/id`, then, where no model is configured, their bare ids.
    public let names: [String]

    /// The model of a call that names none, where there is no doubt: the only configured one, or where none is
    /// configured the only one that the providers list.
    public let only: String?

    private let configured: [String]
    private let hasEntries: Bool
    private let sources: [any UpstreamSource]
    private let models: [String: any Model]
    private let assembly: Assembly

    /// Assembles the models of `blueprint` over `sources`, both in file order.
    ///
    /// - Parameters:
    ///   - cache: where answers are kept; nil keeps none.
    ///   - health: how the upstreams fare, which outlives a configuration.
    /// - Returns: the directory, and everything that keeps an entry from answering. A configuration with problems
    ///   should not be served; the directory leaves out what it cannot assemble.
    public static func build(
        _ blueprint: Blueprint, sources: [any UpstreamSource], lists: [ProviderList] = [], cache: AnswerCache? = nil,
        cost: InnerCost? = nil, health: HealthBook = HealthBook()
    ) -> (directory: Directory, problems: [Blueprint.Problem]) {
        let assembly = Assembly(blueprint, sources: sources, health, cache: cache, cost: cost)
        var findings = Assembly.Findings()
        var models: [String: any Model] = [:]
        var configured: [String] = []
        for entry in blueprint.entries {
            let before = findings.reports
            assembly.check(entry, &findings)
            guard !NamePattern(entry.name).isWildcard, models[entry.name] == nil, findings.reports == before,
                let model = assembly.offer(entry.name, &findings)
            else { continue }
            models[entry.name] = model
            configured.append(entry.name)
        }
        let directory = Directory(
            configured: configured, hasEntries: !blueprint.entries.isEmpty, sources: sources, models: models,
            assembly: assembly, lists: lists)
        return (directory, findings.problems)
    }

    /// Derives from the lists what depends on them. Of several lists of one provider the first counts.
    private init(
        configured: [String], hasEntries: Bool, sources: [any UpstreamSource], models: [String: any Model],
        assembly: Assembly, lists: [ProviderList]
    ) {
        let byProvider = Dictionary(lists.map { ($0.provider, $0.ids) }, uniquingKeysWith: { first, _ in first })
        var assembly = assembly
        var known = Set(assembly.exact.keys)
        var full: [String] = []
        var short: [String] = []
        assembly.bare = [:]
        for source in sources {
            for id in byProvider[source.name] ?? [] where !id.isEmpty && source.model(id) != nil {
                let name = "\(source.name)/\(id)"
                guard name.utf8.count <= Self.longestName else { continue }
                if known.insert(name).inserted { full.append(name) }
                guard !hasEntries, assembly.bare[id] == nil else { continue }
                assembly.bare[id] = source.name
                short.append(id)
            }
        }
        names = configured + full + short.filter { known.insert($0).inserted }
        let candidates = hasEntries ? configured : short
        only = candidates.count == 1 ? candidates.first : nil
        self.configured = configured
        self.hasEntries = hasEntries
        self.sources = sources
        self.models = models
        self.assembly = assembly
    }

    /// The same models with other lists of what the providers have.
    public func updating(lists: [ProviderList]) -> Directory {
        Directory(
            configured: configured, hasEntries: hasEntries, sources: sources, models: models, assembly: assembly,
            lists: lists)
    }

    /// Finds the model called `name`.
    ///
    /// - Parameter patterns: what the caller's key may use; names outside are not suggested. Whether the key may use
    ///   `name` is asked of ``allowed(_:patterns:)``.
    public func resolve(_ name: String, patterns: [String]? = nil) -> Resolution {
        guard !name.isEmpty, name.utf8.count <= Self.longestName else { return .unknown(suggestions: []) }
        if let model = models[name] { return .model(model) }
        var findings = Assembly.Findings()
        if let model = assembly.offer(name, &findings) { return .model(model) }
        let visible = names.lazy.filter { Self.allowed($0, patterns: patterns) }
        guard let asked = strategy(in: name) else {
            return .unknown(suggestions: Suggestions.closest(to: name, among: visible))
        }
        let near = Suggestions.closest(to: asked.model, among: visible)
        return .unknown(suggestions: near.map { "\(asked.strategy.rawValue):\($0)" })
    }

    /// What the model called `name` is made of, and how the upstreams below it fare; nil where there is none.
    public func tree(of name: String) -> ModelTree? {
        guard case .model(let model) = resolve(name) else { return nil }
        return ModelTree(of: model)
    }

    /// The strategy that a name asks for, as in `panel:smart`; nil where the whole name is a model's.
    public func strategy(in name: String) -> StrategyName? { assembly.strategy(in: name) }

    /// The names that a key with these patterns may use, in the order of ``names``.
    public func names(allowedBy patterns: [String]?) -> [String] {
        guard patterns != nil else { return names }
        return names.filter { Self.allowed($0, patterns: patterns) }
    }

    /// Whether a key with these patterns may use `name`; nil patterns allow everything, an empty list nothing.
    ///
    /// A pattern is a name with at most one `*`, compared byte by byte with the name as it was asked for.
    public static func allowed(_ name: String, patterns: [String]?) -> Bool {
        guard let patterns else { return true }
        return patterns.contains { NamePattern($0).matches(name) }
    }
}
