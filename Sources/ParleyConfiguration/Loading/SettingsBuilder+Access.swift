// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess

extension SettingsBuilder {
    mutating func keys(_ values: [CheckedValue]) -> [KeySettings] {
        var keys: [KeySettings] = []
        var names: [String: Int] = [:]
        var secrets: [String: String] = [:]
        for value in values {
            guard case .section(let section) = value.content else { continue }
            let path = "keys[\(value.index)]"
            require(["name"], in: section, path)
            let name = section.string("name") ?? ""
            unique(name, section["name"]?.mark, path, &names)
            guard let credential = credential(section, path) else { continue }
            var key = KeySettings(name: name, position: position(section.mark), credential: credential)
            key.models = section.strings("models")
            key.model = section.string("model")
            key.params = section.object("params") ?? key.params
            key.force = section.object("force") ?? key.force
            if case .moment(let moment)? = section["expires"]?.content { key.expires = moment }
            key.team = section.string("team")
            key.limits = limits(section.section("limits"))
            key.budget = budget(section.section("budget"), path)
            key.strategies = section.choices("strategies")
            let digest =
                switch credential {
                case .plain(let secret): KeyDigest(of: secret.reveal()).hex
                case .sha256(let hex): hex
                }
            if let other = secrets[digest] {
                let mark = section["key"]?.mark ?? section["sha256"]?.mark ?? section.mark
                report.error(
                    mark, path + (section["key"] == nil ? ".sha256" : ".key"),
                    "is the same key as that of \(Diagnostic.quote(other))")
            }
            secrets[digest] = secrets[digest] ?? name
            keys.append(key)
        }
        return keys
    }

    private mutating func unique(_ name: String, _ mark: Mark?, _ path: String, _ seen: inout [String: Int]) {
        guard let mark, !name.isEmpty else { return }
        if let line = seen[name] {
            report.error(mark, path + ".name", "the name \(Diagnostic.quote(name)) is already used on line \(line)")
        } else {
            seen[name] = mark.line
        }
    }

    private mutating func credential(_ section: CheckedSection, _ path: String) -> KeySettings.Credential? {
        switch (section.secret("key"), section.string("sha256")) {
        case (.some, .some):
            report.error(section.mark, path, "has both `key` and `sha256`; give one of them")
            return nil
        case (let key?, nil):
            if key.reveal().utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) {
                report.error(
                    section["key"]?.mark ?? section.mark, path + ".key", "must hold no spaces or control characters")
            }
            return .plain(key)
        case (nil, let hex?):
            return .sha256(hex)
        case (nil, nil):
            // A value that is written and wrong has its report already.
            let faulty = ["key", "sha256"].contains { section.written.contains($0) && !section.isAbsent($0) }
            if !faulty { report.error(section.mark, path, "needs `key` or `sha256`; what is given is empty or absent") }
            return nil
        }
    }

    private func limits(_ section: CheckedSection?) -> LimitSettings {
        var limits = LimitSettings()
        guard let section else { return limits }
        limits.rpm = section.int("rpm")
        limits.tpm = section.int("tpm")
        limits.concurrent = section.int("concurrent")
        limits.models = (section.section("models")?.members ?? []).compactMap { member in
            guard case .section(let body) = member.value.content else { return nil }
            var bounds = LimitSettings.PerModel(model: member.name)
            bounds.rpm = body.int("rpm")
            bounds.tpm = body.int("tpm")
            bounds.concurrent = body.int("concurrent")
            return bounds
        }
        return limits
    }

    private mutating func budget(_ section: CheckedSection?, _ path: String) -> BudgetSettings? {
        guard let section else { return nil }
        require(["usd"], in: section, path + ".budget")
        return BudgetSettings(usd: section.double("usd") ?? 0, per: section.choice("per") ?? .month)
    }

    mutating func teams(_ values: [CheckedValue]) -> [TeamSettings] {
        var teams: [TeamSettings] = []
        var names: [String: Int] = [:]
        for value in values {
            guard case .section(let section) = value.content else { continue }
            let path = "teams[\(value.index)]"
            require(["name"], in: section, path)
            unique(section.string("name") ?? "", section["name"]?.mark, path, &names)
            var team = TeamSettings(name: section.string("name") ?? "", position: position(section.mark))
            team.limits = limits(section.section("limits"))
            team.budget = budget(section.section("budget"), path)
            teams.append(team)
        }
        return teams
    }

    mutating func jwt(_ section: CheckedSection) -> JWTSettings {
        require(["issuer", "audience", "jwks"], in: section, "jwt")
        var jwt = JWTSettings(
            issuer: section.string("issuer") ?? "", audience: section.string("audience") ?? "",
            jwks: section.string("jwks") ?? "")
        jwt.teamClaim = section.string("team_claim")
        jwt.models = section.strings("models")
        return jwt
    }

    mutating func prices(_ section: CheckedSection) -> [PriceSettings] {
        section.members.compactMap { member in
            guard case .section(let body) = member.value.content else { return nil }
            require(["input", "output"], in: body, "prices." + Diagnostic.plain(member.name))
            var price = PriceSettings(
                model: member.name, position: position(member.mark), input: body.double("input") ?? 0,
                output: body.double("output") ?? 0)
            price.cacheRead = body.double("cache_read")
            return price
        }
    }
}
