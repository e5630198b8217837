// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyAccess
import ParleyCore
import ParleyModels
import ParleyProviders

extension TimeAmount {
    /// The same time in the event loop's units; a time too long for them is the longest there is.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        self = overflow ? .hours(24 * 365) : .nanoseconds(whole + attoseconds / 1_000_000_000)
    }
}

extension ParleyCore.TimeoutOverrides {
    init(_ settings: TimeoutSettings) {
        self.init(
            connect: TimeAmount(settings.connect), first: TimeAmount(settings.first), idle: TimeAmount(settings.idle),
            total: TimeAmount(settings.total))
    }

    init(_ settings: ParleyConfiguration.TimeoutOverrides) {
        self.init(
            connect: settings.connect.map { TimeAmount($0) }, first: settings.first.map { TimeAmount($0) },
            idle: settings.idle.map { TimeAmount($0) }, total: settings.total.map { TimeAmount($0) })
    }
}

extension RetryPolicy {
    init(_ settings: RetrySettings) {
        self.init(
            attempts: settings.attempts, on: Set(settings.on.compactMap { RetryClass(rawValue: $0.rawValue) }),
            backoff: TimeAmount(settings.backoff), maxWait: TimeAmount(settings.maxWait))
    }
}

extension RouteStrategy {
    init(_ strategy: RouteSettings.Strategy) {
        switch strategy {
        case .fallback: self = .fallback
        case .roundRobin: self = .roundRobin
        case .random: self = .random
        case .weighted: self = .weighted
        case .leastBusy: self = .leastBusy
        case .fastest: self = .fastest
        case .race: self = .race
        }
    }
}

extension AffinityKind {
    init(_ affinity: RouteSettings.Affinity) {
        switch affinity {
        case .conversation: self = .conversation
        case .user: self = .user
        case .key: self = .key
        case .none: self = .none
        }
    }
}

extension ParleyModels.BreakerSettings {
    init(_ settings: ParleyConfiguration.BreakerSettings) {
        self.init(failures: settings.failures, cooldown: TimeAmount(settings.cooldown))
    }
}

extension Blueprint.Route {
    init(_ route: RouteSettings, _ defaults: DefaultsSettings) {
        self.init(
            RouteStrategy(route.strategy),
            of: route.of.map { Blueprint.Member($0.model, priority: $0.priority, weight: $0.weight) })
        if route.retry != RetryOverrides() { retry = RetryPolicy(defaults.retry.applying(route.retry)) }
        if route.breaker != BreakerOverrides() {
            breaker = ParleyModels.BreakerSettings(defaults.breaker.applying(route.breaker))
        }
        hedge = route.hedge.map { HedgeSettings(after: TimeAmount($0.after), budget: $0.budget) }
        affinity = AffinityKind(route.affinity)
        onContextExceeded = route.onContextExceeded
        onContentFilter = route.onContentFilter
        resumes = route.resume
    }
}

extension Blueprint.Chain {
    /// What settings describe.
    init(_ settings: ReasonSettings) {
        var rules = ReasonRules(ReasonRules.Strategy(settings.strategy))
        rules.show = ReasonRules.Show(rawValue: settings.show.rawValue) ?? rules.show
        rules.whole = ReasonRules.Whole(rawValue: settings.whole.rawValue) ?? rules.whole
        rules.status = settings.status
        rules.maxSteps = settings.maxSteps
        rules.stepTokens = settings.tokens.step
        rules.finalTokens = settings.tokens.final
        rules.attempts = settings.attempts
        rules.wait = TimeAmount(settings.wait)
        rules.temperature = settings.temperature
        rules.samples = settings.samples
        rules.stepPrompt = settings.stepPrompt
        rules.finalPrompt = settings.finalPrompt
        rules.caps.calls = settings.caps.calls
        rules.caps.tokens = settings.caps.tokens
        rules.caps.usd = settings.caps.usd
        rules.caps.time = settings.caps.time.map { TimeAmount($0) }
        self.init(rules, with: settings.with, judge: settings.judge)
    }
}

extension ReasonRules.Strategy {
    init(_ settings: ReasonSettings.Strategy) {
        self =
            switch settings {
            case .steps: .steps
            case .reflect: .reflect
            case .vote: .vote
            case .bestOf: .bestOf
            case .panel: .panel
            case .reread: .reread
            case .plan: .plan
            }
    }
}

extension FieldOverride {
    /// `params` and `force` as overrides, the forced ones last, since the last one wins.
    static func list(params: SettingMap, force: SettingMap) -> [FieldOverride] {
        params.entries.map { FieldOverride(name: $0.name, json: $0.value.json, force: false) }
            + force.entries.map { FieldOverride(name: $0.name, json: $0.value.json, force: true) }
    }
}

extension PriceBook {
    /// The prices of a configuration.
    convenience init(_ settings: [PriceSettings], providers: [ProviderSetup]) {
        var overrides: [String: Price] = [:]
        for entry in settings where overrides[entry.model] == nil {
            guard let input = Price.picodollars(entry.input), let output = Price.picodollars(entry.output) else {
                continue
            }
            var price = Price(input: input, output: output)
            price.cacheRead = entry.cacheRead.flatMap { Price.picodollars($0) }
            overrides[entry.model] = price
        }
        let known = providers.map { setup in
            let renames = setup.models.map { ($0.name, $0.upstream) }
            return (setup.name, Provider(kind: setup.kind, renames: Dictionary(renames) { _, last in last }))
        }
        self.init(providers: Dictionary(known) { first, _ in first }, overrides: overrides)
    }
}

extension KeyRecord {
    /// The key that settings describe; nil where its digest is no digest, which validation has refused before.
    convenience init?(_ settings: KeySettings) {
        let digest: KeyDigest
        switch settings.credential {
        case .plain(let secret): digest = KeyDigest(of: secret.reveal())
        case .sha256(let hex):
            guard let read = KeyDigest(hex: hex) else { return nil }
            digest = read
        }
        self.init(
            name: settings.name, digest: digest, models: settings.models, forcedModel: settings.model,
            strategies: settings.strategies?.map(\.rawValue),
            overrides: FieldOverride.list(params: settings.params, force: settings.force),
            expires: settings.expires)
    }
}

extension ProviderSetup {
    init(_ settings: ProviderSettings) {
        self.init(name: settings.name, kind: settings.kind)
        baseURL = settings.baseURL
        apiKeys = settings.apiKeys.map { $0.reveal() }
        headers = settings.headers.map { HeaderField($0.name.lowercased(), $0.value.reveal()) }
        proxy = settings.proxy.map(Self.url)
        overrides = FieldOverride.list(params: settings.params, force: settings.force)
        timeouts = ParleyCore.TimeoutOverrides(settings.timeout)
        connectionLimit = settings.limits.concurrent
        certificateAuthority = settings.certificateAuthority
        quirks = settings.quirks.object
        models = settings.renames.map { Rename($0.name, $0.upstream) }
        discover = settings.discover
        options = ProviderOptions(settings.options.object)
        // Relative to the file, wherever the program was started.
        if let directory = options.values["directory"]?.string, !directory.hasPrefix("/") {
            let folder = FileReading.folder(of: settings.position.file)
            options.values["directory"] = .string(folder + directory)
        }
    }

    /// The same provider, with the configuration's default time limits where it sets none.
    func filled(with defaults: ParleyCore.TimeoutOverrides) -> ProviderSetup {
        var setup = self
        setup.timeouts = timeouts.filled(from: defaults)
        return setup
    }

    private static func url(_ proxy: ProviderSettings.Proxy) -> String {
        let host = proxy.host.contains(":") ? "[\(proxy.host)]" : proxy.host
        let user = proxy.user.map { name in
            escaped(name) + (proxy.password.map { ":" + escaped($0.reveal()) } ?? "") + "@"
        }
        return "http://\(user ?? "")\(host):\(proxy.port)"
    }

    /// Percent-escapes what could be taken for a part of the URL.
    private static func escaped(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
                || (0x61...0x7A).contains(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E
            if isPlain {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                out += "%" + (hex.utf8.count < 2 ? "0" : "") + hex
            }
        }
        return out
    }
}

extension SettingMap {
    /// The settings as a JSON object; a duration counts seconds, a secret is revealed.
    var object: JSONObject {
        JSONObject(entries.map { JSONObject.Member($0.name, $0.value.value) })
    }
}

extension SettingValue {
    fileprivate var value: JSONValue {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .number(let text): .number(text)
        case .string(let text): .string(text)
        case .list(let elements): .array(elements.map(\.value))
        case .map(let map): .object(map.object)
        case .secret(let secret): .string(secret.reveal())
        case .duration(let duration):
            .double(Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18)
        }
    }
}
