// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What is known of a version of Spark, by the names people use for it.
///
/// Source: iFLYTEK's documentation of the WebSocket API, and the version names of openai-style-api and one-api.
public struct SparkModel: Sendable, Equatable {
    /// What a request calls the version (`parameter.chat.domain`).
    public var domain: String
    /// The path of the version's address, which the domain must fit; nil where only the configuration knows.
    public var path: String?
    /// The most tokens an answer can have; nil where that is not known.
    var longestAnswer: Int?
    /// Whether the first turn may be the system's.
    var hasSystemRole: Bool
    /// Whether it can call functions.
    var hasFunctions: Bool

    private init(_ domain: String, _ path: String?, _ longestAnswer: Int?, isLarge: Bool = false) {
        self.domain = domain
        self.path = path
        self.longestAnswer = longestAnswer
        hasSystemRole = isLarge
        hasFunctions = isLarge
    }

    private static let general = SparkModel("general", "/v1.1/chat", 4096)
    private static let lite = SparkModel("lite", "/v1.1/chat", 4096)
    private static let second = SparkModel("generalv2", "/v2.1/chat", 8192)
    private static let pro = SparkModel("generalv3", "/v3.1/chat", 8192)
    private static let longPro = SparkModel("pro-128k", "/chat/pro-128k", 4096)
    private static let max = SparkModel("generalv3.5", "/v3.5/chat", 8192, isLarge: true)
    private static let longMax = SparkModel("max-32k", "/chat/max-32k", 8192, isLarge: true)
    private static let ultra = SparkModel("4.0Ultra", "/v4.0/chat", 8192, isLarge: true)
    private static let reasoning = SparkModel("x1", "/v1/x1", 32768)

    /// Every name, the one to list each version by first.
    private static let names: [(SparkModel, [String])] = [
        (lite, ["lite"]), (general, ["general", "v1.1", "v1.5"]), (second, ["generalv2", "v2.1", "v2.0"]),
        (pro, ["generalv3", "v3.1", "v3.0"]), (longPro, ["pro-128k"]), (max, ["generalv3.5", "v3.5"]),
        (longMax, ["max-32k"]), (ultra, ["4.0ultra", "v4.0", "4.0"]), (reasoning, ["x1"]),
    ]

    private static let byName = Dictionary(
        names.flatMap { model, all in all.map { ($0, model) } }, uniquingKeysWith: { first, _ in first })

    /// The domains, in the order of the documentation.
    public static let domains = names.map(\.0.domain)

    /// The version called `name`: by domain, by version, or by one-api's `SparkDesk-v3.5`, in any case; an unknown name
    /// is a domain of its own, such as a model tuned by the user, and gets what it asks for.
    public init(_ name: String) {
        var key = name.lowercased()
        if key.hasPrefix("sparkdesk-") { key.removeFirst("sparkdesk-".count) }
        self = Self.byName[key] ?? SparkModel(name, nil, nil, isLarge: true)
    }
}
