// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore

/// What the configuration says about one provider, before anything is made of it.
public struct ProviderSetup: Sendable, Equatable {
    /// A model's name here and at the service.
    public struct Rename: Sendable, Equatable {
        /// The name clients use, after `provider/`.
        public var name: String
        /// The name the service knows.
        public var upstream: String

        /// The service's `upstream`, called `name` here.
        public init(_ name: String, _ upstream: String) {
            self.name = name
            self.upstream = upstream
        }
    }

    /// The provider's name: the part before the slash in `provider/model`.
    public var name: String
    /// A name of `Registry.kinds`.
    public var kind: String
    /// Where the API lives; nil takes the kind's own.
    public var baseURL: String?
    /// The keys, which rotate; a value may hold several, separated by commas.
    public var apiKeys: [String] = []
    /// Headers to send with every request.
    public var headers: [HeaderField] = []
    /// An outgoing HTTP proxy as `http://[user:password@]host:port`.
    public var proxy: String?
    /// `params` and `force`.
    public var overrides: [FieldOverride] = []
    /// Time limits of this provider's attempts.
    public var timeouts = TimeoutOverrides()
    /// The most connections at once; nil is no limit.
    public var connectionLimit: Int?
    /// A PEM file of certificate authorities to trust instead of the system's.
    public var certificateAuthority: String?
    /// Changes to the kind's quirks, by their snake-case names.
    public var quirks = JSONObject()
    /// Models renamed, in the order of the file.
    public var models: [Rename] = []
    /// Whether to list models from the service; false: only those named.
    public var discover = true
    /// Where tokens are kept; nil keeps them in memory only.
    public var store: CredentialStoreReference?
    /// Settings that only the kind knows.
    public var options = ProviderOptions()

    /// A provider of the given kind with everything else at its default.
    public init(name: String, kind: String) {
        self.name = name
        self.kind = kind
    }
}

/// Settings that only one kind of provider knows, as the configuration gave them.
public struct ProviderOptions: Sendable, Equatable {
    /// The settings in order.
    public var values: JSONObject

    /// The given settings.
    public init(_ values: JSONObject = [:]) {
        self.values = values
    }

    /// The text of `name`; nil where it is not set.
    func string(_ name: String) throws(ProviderError) -> String? {
        guard let value = set(name) else { return nil }
        guard let text = value.string else { throw ProviderError("must be text", setting: name) }
        return text
    }

    /// The number `name`, also where it is written as text or in per cent; nil where it is not set.
    func double(_ name: String, in range: ClosedRange<Double>) throws(ProviderError) -> Double? {
        guard let value = set(name) else { return nil }
        var number = value.double ?? value.string.flatMap { Double($0) }
        if number == nil, let text = value.string, text.hasSuffix("%") {
            number = Double(text.dropLast()).map { $0 / 100 }
        }
        guard let number, range.contains(number) else {
            throw ProviderError("must be a number from \(range.lowerBound) to \(range.upperBound)", setting: name)
        }
        return number
    }

    /// The list of texts `name`; one text is a list of one.
    func strings(_ name: String) throws(ProviderError) -> [String]? {
        guard let value = set(name) else { return nil }
        if let text = value.string { return [text] }
        guard let array = value.array else { throw ProviderError("must be a list of texts", setting: name) }
        var strings: [String] = []
        for element in array {
            guard let text = element.string else { throw ProviderError("must be a list of texts", setting: name) }
            strings.append(text)
        }
        return strings
    }

    /// The duration `name`: a number with `ms`, `s`, `m`, `h` or `d`; a bare number counts seconds.
    func duration(_ name: String) throws(ProviderError) -> TimeAmount? {
        guard let value = set(name) else { return nil }
        let wrong = ProviderError("must be a duration such as 250ms, 5s or 10m", setting: name)
        guard case .string(let text) = value else {
            guard let seconds = value.double, let time = Self.time(seconds, unit: "s") else { throw wrong }
            return time
        }
        let digits = text.prefix { $0.isNumber || $0 == "." }
        guard let amount = Double(digits), let time = Self.time(amount, unit: String(text.dropFirst(digits.count)))
        else { throw wrong }
        return time
    }

    private func set(_ name: String) -> JSONValue? {
        guard let value = values[name], !value.isNull else { return nil }
        return value
    }

    private static func time(_ amount: Double, unit: String) -> TimeAmount? {
        let factors = ["ms": 1e6, "s": 1e9, "": 1e9, "m": 60e9, "h": 3600e9, "d": 86400e9]
        guard let factor = factors[unit], amount >= 0, let nanoseconds = Int64(exactly: (amount * factor).rounded())
        else { return nil }
        return .nanoseconds(nanoseconds)
    }
}

/// What is wrong with a provider's settings.
public struct ProviderError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, in a sentence that fits after the setting's name.
    public var message: String
    /// The setting below the provider, e.g. `base_url`; nil when it is the whole.
    public var setting: String?

    /// Describes a wrong setting.
    public init(_ message: String, setting: String? = nil) {
        self.message = message
        self.setting = setting
    }

    /// The setting and what is wrong with it.
    public var description: String { setting.map { "\($0) \(message)" } ?? message }
}
