// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// From checked values to the settings' structs, with what only several values together can get wrong.
struct SettingsBuilder {
    let context: LoadContext
    var report: Report

    mutating func build(_ file: CheckedSection) -> Settings {
        var settings = Settings()
        if let section = file.section("server") { settings.server = server(section) }
        settings.admin.key = file.section("admin")?.secret("key")
        if let section = file.section("console") { settings.console = console(section) }
        if let section = file.section("log") { settings.log = log(section) }
        if let section = file.section("telemetry") { settings.telemetry = telemetry(section) }
        if let value = file["store"], case .store(let store) = value.content {
            settings.store = store
            if case .postgres = store {
                report.warning(value.mark, "store", "PostgreSQL is not built yet; use sqlite:PATH")
            }
        }
        if let section = file.section("retention") { settings.retention = retention(section) }
        if let section = file.section("capture") {
            settings.capture.bodies = section.choice("bodies") ?? settings.capture.bodies
            settings.capture.limit = section.int("limit") ?? settings.capture.limit
        }
        if let section = file.section("providers") { settings.providers = providers(section) }
        if let section = file.section("defaults") { settings.defaults = defaults(section) }
        if let section = file.section("models") { settings.models = models(section) }
        if let section = file.section("conversations") {
            settings.conversations.idle = section.duration("idle") ?? settings.conversations.idle
            settings.conversations.maxTurns = section.int("max_turns") ?? settings.conversations.maxTurns
        }
        if let section = file.section("cache") {
            settings.cache.memory = section.int("memory") ?? settings.cache.memory
            settings.cache.ttl = section.duration("ttl") ?? settings.cache.ttl
        }
        if let list = file.list("keys") { settings.keys = keys(list) }
        if let list = file.list("teams") { settings.teams = teams(list) }
        if let section = file.section("jwt") { settings.jwt = jwt(section) }
        if let section = file.section("prices") { settings.prices = prices(section) }
        return settings
    }

    func position(_ mark: Mark) -> SourcePosition {
        SourcePosition(file: report.file, line: mark.line, column: mark.column)
    }

    /// Reports a required member that the file does not write. One that is written and wrong has its report already.
    mutating func require(_ names: [String], in section: CheckedSection, _ path: String, _ why: String = "") {
        for name in names where section[name] == nil {
            if section.written.contains(name), !section.isAbsent(name) { continue }
            report.error(section.mark, path, "needs `\(name)`" + why)
        }
    }

    private mutating func server(_ section: CheckedSection) -> ServerSettings {
        var server = ServerSettings()
        if let values = section.list("listen") {
            server.listen = values.compactMap { if case .listen(let address) = $0.content { address } else { nil } }
            repeated(values.map { ($0.mark, $0.text) }, "server.listen", "address")
            if values.isEmpty, let mark = section["listen"]?.mark {
                report.error(mark, "server.listen", "needs at least one address")
            }
        }
        if let tls = section.section("tls") {
            require(["certificate", "key"], in: tls, "server.tls")
            server.tls = .init(certificate: tls.string("certificate") ?? "", key: tls.string("key") ?? "")
        }
        server.cors = section.strings("cors") ?? server.cors
        for value in section.list("cors") ?? [] { checkOrigin(value) }
        server.bodyLimit = section.int("body_limit") ?? server.bodyLimit
        server.headerLimit = section.int("header_limit") ?? server.headerLimit
        server.maxConnections = section.int("max_connections") ?? server.maxConnections
        server.idle = section.duration("idle") ?? server.idle
        server.headerTimeout = section.duration("header_timeout") ?? server.headerTimeout
        server.keepaliveComment = section.duration("keepalive_comment") ?? server.keepaliveComment
        server.drain = section.duration("drain") ?? server.drain
        server.compatibility = section.choices("compatibility") ?? server.compatibility
        return server
    }

    /// Browsers compare origins letter by letter: a path or a final slash would never match.
    private mutating func checkOrigin(_ value: CheckedValue) {
        guard case .string(let origin) = value.content, origin != "*", origin != "null" else { return }
        guard let mark = origin.firstRange(of: "://"), !origin[..<mark.lowerBound].isEmpty,
            !origin[mark.upperBound...].isEmpty, !origin[mark.upperBound...].contains("/")
        else {
            report.error(value.mark, "server.cors", "must be * or an origin such as https://app.example.com")
            return
        }
    }

    private mutating func repeated(_ values: [(Mark, String)], _ path: String, _ noun: String) {
        var seen: [String: Int] = [:]
        for (mark, text) in values {
            if let line = seen[text] {
                report.error(mark, path, "the \(noun) \(Diagnostic.quote(text)) is already on line \(line)")
            } else {
                seen[text] = mark.line
            }
        }
    }

    private func console(_ section: CheckedSection) -> ConsoleSettings {
        var console = ConsoleSettings()
        switch section["listen"]?.content {
        case .listen(let address): console.listen = .address(address)
        case .string("off"): console.listen = .off
        default: console.listen = .shared
        }
        console.session = section.duration("session") ?? console.session
        return console
    }

    private mutating func log(_ section: CheckedSection) -> LogSettings {
        var log = LogSettings()
        log.level = section.choice("level") ?? log.level
        log.format = section.choice("format") ?? log.format
        log.access = section.bool("access") ?? log.access
        if let file = section.section("file") {
            require(["path"], in: file, "log.file")
            var target = LogSettings.File(path: file.string("path") ?? "")
            target.rotate = file.int("rotate") ?? target.rotate
            target.keep = file.int("keep") ?? target.keep
            log.file = target
        }
        return log
    }

    private mutating func telemetry(_ section: CheckedSection) -> TelemetrySettings {
        var telemetry = TelemetrySettings()
        telemetry.metrics = section.bool("metrics") ?? telemetry.metrics
        if let otlp = section.section("otlp") {
            require(["endpoint"], in: otlp, "telemetry.otlp")
            var target = TelemetrySettings.OTLP(endpoint: otlp.string("endpoint") ?? "")
            target.headers = headers("headers", in: otlp, "telemetry.otlp.headers")
            target.sample = otlp.double("sample") ?? target.sample
            telemetry.otlp = target
        }
        return telemetry
    }

    private func retention(_ section: CheckedSection) -> RetentionSettings {
        var retention = RetentionSettings()
        retention.requests = section.duration("requests") ?? retention.requests
        retention.rollups = section.duration("rollups") ?? retention.rollups
        retention.bodies = section.duration("bodies") ?? retention.bodies
        retention.conversations = section.duration("conversations") ?? retention.conversations
        retention.audit = section.duration("audit") ?? retention.audit
        return retention
    }

    private func defaults(_ section: CheckedSection) -> DefaultsSettings {
        var defaults = DefaultsSettings()
        defaults.model = section.string("model")
        defaults.retry = defaults.retry.applying(Self.retry(section.section("retry")))
        defaults.timeout = defaults.timeout.applying(Self.timeout(section.section("timeout")))
        defaults.breaker = defaults.breaker.applying(Self.breaker(section.section("breaker")))
        defaults.strict = section.bool("strict") ?? defaults.strict
        return defaults
    }

    static func retry(_ section: CheckedSection?) -> RetryOverrides {
        var retry = RetryOverrides()
        retry.attempts = section?.int("attempts")
        retry.on = section?.choices("on")
        retry.backoff = section?.duration("backoff")
        retry.maxWait = section?.duration("max_wait")
        return retry
    }

    static func timeout(_ section: CheckedSection?) -> TimeoutOverrides {
        var timeout = TimeoutOverrides()
        timeout.connect = section?.duration("connect")
        timeout.first = section?.duration("first")
        timeout.idle = section?.duration("idle")
        timeout.total = section?.duration("total")
        return timeout
    }

    static func breaker(_ section: CheckedSection?) -> BreakerOverrides {
        var breaker = BreakerOverrides()
        breaker.failures = section?.int("failures")
        breaker.cooldown = section?.duration("cooldown")
        return breaker
    }

    /// Header fields, whose names must be tokens and whose values must not break out of their line (RFC 9110, 5).
    mutating func headers(_ name: String, in section: CheckedSection, _ path: String) -> [HeaderSettings] {
        var seen: Set<String> = []
        for member in section.section(name)?.members ?? [] {
            let field = path + "." + Diagnostic.plain(member.name)
            let isToken = member.name.utf8.allSatisfy {
                $0 > 0x20 && $0 < 0x7F && !"\"(),/:;<=>?@[\\]{}".utf8.contains($0)
            }
            if !isToken { report.error(member.mark, field, "is not a header's name") }
            if !seen.insert(member.name.lowercased()).inserted {
                report.error(member.mark, field, "is given twice; case makes no difference in a header's name")
            }
            if case .secret(let value) = member.value.content,
                value.reveal().utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F })
            {
                report.error(member.value.mark, field, "holds a line break or another control character")
            }
        }
        return section.headers(name) ?? []
    }
}
