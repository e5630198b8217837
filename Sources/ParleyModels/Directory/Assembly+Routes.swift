// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Routes over other models.
extension Assembly {
    /// A route over the members that are there. Of a wildcard's members some may lack the model that was asked for;
    /// of an exact name's none may.
    func route(
        _ route: Blueprint.Route, of entry: Blueprint.Entry, as name: String, star: Substring?, _ terms: Terms,
        _ path: [String], _ findings: inout Findings
    ) -> Found? {
        var below = terms
        below.retry = route.retry ?? terms.retry
        below.breaker = route.breaker ?? terms.breaker ?? breaker
        below.yields = terms.yields || route.members.count > 1
        var members: [RouteMember] = []
        var height = 0
        for described in route.ordered {
            if let found = member(described.model, of: entry, star: star, below, path, &findings) {
                members.append(
                    RouteMember(
                        found.model, priority: described.priority, weight: described.weight, healths: found.healths,
                        dialect: found.dialect))
                height = max(height, found.height)
            } else if star == nil, path.count > 1 {
                return nil
            }
        }
        if route.members.isEmpty { findings.report(entry.name, nil, "A route needs at least one model in `of`.") }
        guard !members.isEmpty, star != nil || members.count == route.members.count else { return nil }
        var rules = RouteRules(route.strategy)
        rules.retry = below.retry
        rules.breaker = below.breaker ?? breaker
        rules.hedge = route.hedge
        rules.affinity = route.affinity
        rules.resumes = route.resumes
        rules.yields = terms.yields
        below.yields = terms.yields
        for (reference, keyPath) in [
            (route.onContextExceeded, \RouteRules.onContextExceeded), (route.onContentFilter, \.onContentFilter),
        ] {
            guard let reference else { continue }
            guard let found = member(reference, of: entry, star: star, below, path, &findings) else {
                // A wildcard's route does without what the name that was asked for does not lead to.
                if star == nil { return nil }
                continue
            }
            rules[keyPath: keyPath] = found.model
            height = max(height, found.height)
        }
        let model = Route(name, rules, of: members, state: states[entry.name] ?? RouteState())
        return Found(model: model, height: height + 1, healths: Self.unique(members.flatMap(\.healths)))
    }

    private static func unique(_ healths: [UpstreamHealth]) -> [UpstreamHealth] {
        var seen: Set<ObjectIdentifier> = []
        return healths.filter { seen.insert(ObjectIdentifier($0)).inserted }
    }
}
