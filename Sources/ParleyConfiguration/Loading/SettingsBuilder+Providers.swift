// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension SettingsBuilder {
    mutating func providers(_ section: CheckedSection) -> [ProviderSettings] {
        section.members.compactMap { member in
            guard case .section(let body) = member.value.content else { return nil }
            return provider(member.name, mark: member.mark, body)
        }
    }

    private mutating func provider(_ name: String, mark: Mark, _ section: CheckedSection) -> ProviderSettings {
        let path = "providers." + Diagnostic.plain(name)
        checkName(name, mark: mark, path)
        let kind = section.string("kind") ?? name
        var provider = ProviderSettings(name: name, kind: kind, position: position(mark))
        checkKind(kind, mark: mark, section, path)
        provider.baseURL = section.string("base_url")
        checkBaseURL(section, path)
        if case .secrets(let secrets)? = section["api_key"]?.content {
            provider.apiKeys = secrets
            checkKeys(secrets, section, path)
        }
        provider.headers = headers("headers", in: section, path + ".headers")
        if case .proxy(let proxy)? = section["proxy"]?.content { provider.proxy = proxy }
        provider.params = section.object("params") ?? provider.params
        provider.force = section.object("force") ?? provider.force
        provider.timeout = Self.timeout(section.section("timeout"))
        if let limits = section.section("limits") {
            provider.limits.concurrent = limits.int("concurrent")
            provider.limits.rpm = limits.int("rpm")
            provider.limits.tpm = limits.int("tpm")
        }
        provider.certificateAuthority = section.section("tls")?.string("ca")
        provider.quirks = section.object("quirks") ?? provider.quirks
        provider.renames = (section.section("models")?.members ?? []).compactMap { member in
            guard case .string(let upstream) = member.value.content else { return nil }
            return .init(name: member.name, upstream: upstream)
        }
        provider.discover = section.bool("discover") ?? provider.discover
        provider.options = options(section, kind: kind)
        return provider
    }

    private mutating func checkName(_ name: String, mark: Mark, _ path: String) {
        if name.isEmpty {
            report.error(mark, path, "a provider's name must not be empty")
        } else if name.contains("/") {
            report.error(mark, path, "a provider's name must not hold a /, which ends it in `provider/model`")
        } else if name.contains("*") || name.contains(where: \.isWhitespace) {
            report.error(mark, path, "a provider's name must hold no * and no spaces")
        }
    }

    private mutating func checkKind(_ kind: String, mark: Mark, _ section: CheckedSection, _ path: String) {
        guard context.knows(kind: kind) else {
            // A kind that is written and unknown has its report already.
            if section["kind"] == nil, !section.written.contains("kind") || section.isAbsent("kind") {
                report.error(mark, path, "needs `kind`, since its name is none")
            }
            return
        }
        if let info = context.kinds[kind], !info.built {
            report.warning(
                section["kind"]?.mark ?? mark, path + ".kind", "\(kind) is not built yet; calls answer 501")
        }
        let missing = SettingsTable.required[kind] ?? []
        require(missing, in: section, path, ", since it is of kind \(kind)")
    }

    private mutating func checkBaseURL(_ section: CheckedSection, _ path: String) {
        guard let value = section["base_url"], case .string(let url) = value.content else { return }
        if url.contains("?") {
            report.error(value.mark, path + ".base_url", "must not hold a query (?)")
        }
        for ending in ["/chat/completions", "/completions", "/messages", "/responses"] where url.hasSuffix(ending) {
            report.error(value.mark, path + ".base_url", "must end before \(ending), which is added to it")
            return
        }
    }

    /// A key goes into a header, so it must fit into one line of it.
    private mutating func checkKeys(_ secrets: [Secret], _ section: CheckedSection, _ path: String) {
        guard let mark = section["api_key"]?.mark else { return }
        if secrets.contains(where: { $0.reveal().utf8.contains { $0 < 0x20 || $0 == 0x7F } }) {
            report.error(mark, path + ".api_key", "holds a line break or another control character")
        }
        if Set(secrets).count < secrets.count {
            report.warning(mark, path + ".api_key", "the same key is listed more than once")
        }
    }

    /// The members that only some kinds have; those that are absent and have a default get it.
    private func options(_ section: CheckedSection, kind: String) -> SettingMap {
        let rows = SettingsTable.tree.member("providers", kind: nil)?.element?.members.map(\.setting) ?? []
        let own = rows.filter { $0.kinds.contains(kind) }
        let names = Set(own.map(\.name))
        var options = SettingMap(
            section.members.filter { names.contains($0.name) }.map { member in
                .init(name: member.name, value: member.value.settingValue)
            })
        for row in own where section[row.name] == nil {
            guard let fallback = row.fallback,
                let content = try? SettingsChecker.content(fallback, as: row.type.single, context)
            else { continue }
            let value = CheckedValue(content: content, mark: section.mark).settingValue
            options.entries.append(.init(name: row.name, value: value))
        }
        return options
    }
}
