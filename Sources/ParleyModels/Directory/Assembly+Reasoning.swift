// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Models that think by asking others.
extension Assembly {
    /// The strategy that a name asks for; nil where the whole name is a model's.
    func strategy(in name: String) -> StrategyName? {
        guard let asked = StrategyName(name), exact[name] == nil, bare[name] == nil else { return nil }
        return asked
    }

    /// The model of a name like `panel:smart`, with the strategy's defaults.
    func chain(
        _ asked: StrategyName, as name: String, _ terms: Terms, path: [String], _ findings: inout Findings
    ) -> Found? {
        guard path.count < Self.deepest else { return nil }
        let terms = inside(terms, asked.strategy)
        guard let found = find(asked.model, terms, path: path + [name], &findings), found.height < Self.deepest
        else { return nil }
        let model = Reason(name, ReasonRules(asked.strategy), with: [found.model], cost: cost)
        return Found(model: model, height: found.height + 1)
    }

    /// The model of an entry that thinks. All it asks must be there.
    func chain(
        _ chain: Blueprint.Chain, of entry: Blueprint.Entry, as name: String, star: Substring?, _ terms: Terms,
        _ path: [String], _ findings: inout Findings
    ) -> Found? {
        let terms = inside(terms, chain.rules.strategy)
        var members: [any Model] = []
        var height = 0
        for reference in chain.with {
            guard let found = member(reference, of: entry, star: star, terms, path, &findings) else { continue }
            members.append(found.model)
            height = max(height, found.height)
        }
        if chain.with.isEmpty {
            findings.report(entry.name, nil, "A model that reasons needs at least one model in `with`.")
        }
        var judge: (any Model)?
        if let reference = chain.judge {
            guard let found = member(reference, of: entry, star: star, terms, path, &findings) else { return nil }
            judge = found.model
            height = max(height, found.height)
        }
        guard !members.isEmpty, members.count == chain.with.count else { return nil }
        let model = Reason(name, chain.rules, with: members, judge: judge, cost: cost)
        return Found(model: model, height: height + 1)
    }

    /// What holds below a chain: it is no route, and has nobody else to ask.
    private func inside(_ terms: Terms, _ strategy: ReasonRules.Strategy) -> Terms {
        // A chain of steps repeats by itself what failed.
        Terms(retry: strategy == .steps ? .never : terms.retry)
    }
}
