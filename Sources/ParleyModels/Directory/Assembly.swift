// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// Puts models together from their descriptions.
///
/// A name is looked for among the configured names, then as `provider/model`, then as `strategy:model`, then among the
/// wildcards, the most specific first, then, where no model is configured, in the providers' lists. A name inside an
/// entry that is the entry's own means what it would mean without the entry, so that `openai/gpt-4o` can be a route that
/// begins with the provider's `openai/gpt-4o`.
struct Assembly: Sendable {
    /// How deep models may be made of models: more than anybody writes, and little enough for the stack.
    static let deepest = 256
    private static let tooDeep = "It is made of models that are more than \(deepest) layers deep."

    /// A model and how many layers of names it has.
    struct Found: Sendable {
        var model: any Model
        var height: Int
        /// How the upstreams below fare; none outside a route.
        var healths: [UpstreamHealth] = []
        /// What the only upstream below speaks.
        var dialect: (@Sendable (Call) -> DialectID?)?
    }

    /// What the routes above say of the upstreams below.
    struct Terms: Hashable {
        var retry: RetryPolicy
        /// When an upstream is left alone; nil outside a route, where there is no other.
        var breaker: BreakerSettings?
        /// Whether there are others to ask.
        var yields = false
    }

    /// What one round of assembling found out.
    struct Findings {
        private(set) var problems: [Blueprint.Problem] = []
        /// How often something was reported, also where it was told before.
        private(set) var reports = 0
        /// Models that are made already, so that what several entries share is made once.
        var made: [MadeKey: Found] = [:]

        mutating func report(_ model: String, _ reference: String?, _ message: String) {
            reports += 1
            let problem = Blueprint.Problem(model: model, reference: reference, message: message)
            if !problems.contains(problem) { problems.append(problem) }
        }
    }

    struct MadeKey: Hashable {
        var name: String
        var terms: Terms
    }

    let terms: Terms
    let breaker: BreakerSettings
    let book: HealthBook
    /// Where answers are kept; nil keeps none.
    let cache: AnswerCache?
    private let cacheTTL: TimeAmount
    let sources: [String: any UpstreamSource]
    let exact: [String: Blueprint.Entry]
    let wildcards: [(pattern: NamePattern, entry: Blueprint.Entry)]
    /// What the routes remember, by the entries' names.
    let states: [String: RouteState]
    /// The provider of each model that may be asked for without naming one.
    var bare: [String: String] = [:]
    /// What inner calls cost.
    let cost: InnerCost?

    init(
        _ blueprint: Blueprint, sources: [any UpstreamSource], _ book: HealthBook, cache: AnswerCache? = nil,
        cost: InnerCost? = nil
    ) {
        self.cost = cost
        terms = Terms(retry: blueprint.retry)
        breaker = blueprint.breaker
        self.book = book
        cacheTTL = blueprint.cacheTTL
        self.cache = cache
        self.sources = Dictionary(sources.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var exact: [String: Blueprint.Entry] = [:]
        var wildcards: [(pattern: NamePattern, entry: Blueprint.Entry)] = []
        for entry in blueprint.entries {
            let pattern = NamePattern(entry.name)
            if pattern.isWildcard {
                wildcards.append((pattern, entry))
            } else if exact[entry.name] == nil {
                exact[entry.name] = entry
            }
        }
        self.exact = exact
        states = Dictionary(blueprint.entries.map { ($0.name, RouteState()) }, uniquingKeysWith: { first, _ in first })
        // Sorting is stable in fact but not by promise, so the file order is part of the key.
        self.wildcards = wildcards.enumerated().sorted { a, b in
            let (left, right) = (a.element.pattern.specificity, b.element.pattern.specificity)
            return left == right ? a.offset < b.offset : left > right
        }.map(\.element)
    }

    /// The model that a client gets who asks for `name`, nil where there is none.
    func offer(_ name: String, _ findings: inout Findings) -> (any Model)? {
        guard let found = find(name, terms, &findings) else { return nil }
        guard cacheTTL > .zero, let cache, !(found.model is Cached) else { return found.model }
        if let entry = exact[name], entry.cacheTTL != nil { return found.model }
        return Cached(found.model, in: cache, ttl: cacheTTL)
    }

    /// The model called `name`, nil where there is none; `path` are the entries that lead here.
    func find(_ name: String, _ terms: Terms, path: [String] = [], _ findings: inout Findings) -> Found? {
        if let entry = exact[name], path.last != name {
            return enter(entry, as: name, star: nil, terms, path: path, &findings)
        }
        if let upstream = upstream(name, terms) { return upstream }
        if let asked = strategy(in: name) { return chain(asked, as: name, terms, path: path, &findings) }
        for (pattern, entry) in wildcards where pattern.text != path.last {
            if let star = pattern.match(name) {
                return enter(entry, as: name, star: star, terms, path: path, &findings)
            }
        }
        if let source = bare[name].flatMap({ sources[$0] }) { return leaf(name, source, terms) }
        return nil
    }

    /// The upstream that `name` says as `provider/model`.
    func upstream(_ name: String, _ terms: Terms) -> Found? {
        guard let (source, id) = split(name), !id.isEmpty else { return nil }
        return leaf(id, source, terms)
    }

    /// The provider that a name begins with, and the rest of the name.
    private func split(_ name: String) -> (source: any UpstreamSource, id: String)? {
        guard let slash = name.utf8.firstIndex(of: UInt8(ascii: "/")), let source = sources[String(name[..<slash])]
        else { return nil }
        return (source, String(name[name.utf8.index(after: slash)...]))
    }

    /// The model `id` of a provider. Also one try may be followed by another with the provider's next key.
    private func leaf(_ id: String, _ source: any UpstreamSource, _ terms: Terms) -> Found? {
        guard let model = source.model(id) else { return nil }
        guard let breaker = terms.breaker else {
            return Found(model: Retry(model, policy: terms.retry), height: 0)
        }
        let health = book.health(of: model.name)
        let watched = Retry(
            Watched(model, health, breaker), policy: terms.retry, yielding: terms.yields ? health : nil)
        return Found(
            model: watched, height: 0, healths: [health], dialect: { source.dialect(of: id, for: $0) })
    }

    /// The model of an entry, unless the way there is a circle or too long.
    private func enter(
        _ entry: Blueprint.Entry, as name: String, star: Substring?, _ terms: Terms, path: [String],
        _ findings: inout Findings
    ) -> Found? {
        let key = MadeKey(name: name, terms: terms)
        if star == nil, let made = findings.made[key] { return made }
        if let start = path.firstIndex(of: entry.name) {
            let circle = (path[start...] + [entry.name]).joined(separator: " -> ")
            findings.report(entry.name, nil, "It is made of itself: \(circle).")
            return nil
        }
        guard path.count < Self.deepest else {
            findings.report(path.first ?? name, nil, Self.tooDeep)
            return nil
        }
        guard let found = assemble(entry, as: name, star: star, terms, path + [entry.name], &findings) else {
            return nil
        }
        // A part that was made before brings its own height, which the path does not show.
        guard found.height <= Self.deepest else {
            findings.report(path.first ?? name, nil, Self.tooDeep)
            return nil
        }
        if star == nil { findings.made[key] = found }
        return found
    }

    private func assemble(
        _ entry: Blueprint.Entry, as name: String, star: Substring?, _ terms: Terms, _ path: [String],
        _ findings: inout Findings
    ) -> Found? {
        let inner: Found?
        switch entry.body {
        case .alias(let target):
            inner = member(target, of: entry, star: star, terms, path, &findings)
                .map { found in
                    var alias = found
                    alias.model = Alias(name, of: found.model)
                    alias.height += 1
                    return alias
                }
        case .route(let route):
            inner = self.route(route, of: entry, as: name, star: star, terms, path, &findings)
        case .reason(let chain):
            inner = self.chain(chain, of: entry, as: name, star: star, terms, path, &findings)
        case .unavailable(let error):
            inner = Found(model: Unavailable(name, error), height: 1)
        }
        guard var inner else { return nil }
        if !entry.overrides.isEmpty || entry.timeouts != TimeoutOverrides() || entry.system != nil {
            inner.model = Adjusted(
                inner.model, overrides: entry.overrides, timeouts: entry.timeouts, system: entry.system)
        }
        if let cache, let ttl = entry.cacheTTL, ttl > .zero { inner.model = Cached(inner.model, in: cache, ttl: ttl) }
        return inner
    }

    func member(
        _ reference: String, of entry: Blueprint.Entry, star: Substring?, _ terms: Terms, _ path: [String],
        _ findings: inout Findings
    ) -> Found? {
        let name = star.map { NamePattern.substitute($0, in: reference) } ?? reference
        let before = findings.reports
        if let found = find(name, terms, path: path, &findings) { return found }
        if findings.reports == before { findings.report(entry.name, reference, missing(name)) }
        return nil
    }

    /// Why a name inside an entry leads nowhere.
    private func missing(_ name: String) -> String {
        if let (source, _) = split(name) { return "The provider \"\(source.name)\" has no such model." }
        let near = Suggestions.closest(to: name, among: exact.keys.sorted(), count: 1)
        let hint = near.first.map { " Did you mean \"\($0)\"?" } ?? ""
        return "There is no model of this name, and it does not begin with a provider and a slash.\(hint)"
    }
}

extension Assembly {
    /// Reports what is wrong with a wildcard entry whatever it will match.
    func check(_ entry: Blueprint.Entry, _ findings: inout Findings) {
        let stars = NamePattern.stars(in: entry.name)
        if stars > 1 { findings.report(entry.name, nil, "A name may hold one `*`.") }
        for reference in entry.body.references {
            if NamePattern.stars(in: reference) > min(stars, 1) {
                let reason = stars == 0 ? "The `*` stands for nothing, since the name has none." : "It has two `*`."
                findings.report(entry.name, reference, reason)
            } else if stars > 0 {
                check(reference, of: entry, &findings)
            }
        }
    }

    /// Reports a reference of a wildcard that can lead nowhere: to no provider, no model and no other wildcard.
    private func check(_ reference: String, of entry: Blueprint.Entry, _ findings: inout Findings) {
        let isOpen = NamePattern(reference).isWildcard
        if isOpen, reference.utf8.firstIndex(of: UInt8(ascii: "/")).map({ !reference[..<$0].contains("*") }) ?? true {
            if split(reference) != nil { return }
            if wildcards.contains(where: { $0.pattern.text != entry.name && $0.pattern.matches(reference) }) { return }
            if exact.keys.contains(where: NamePattern(reference).matches) { return }
            findings.report(entry.name, reference, missing(reference))
        } else if !isOpen {
            _ = member(reference, of: entry, star: nil, terms, [entry.name], &findings)
        }
    }
}
