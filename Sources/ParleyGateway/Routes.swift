// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOHTTP1
import ParleyCore

/// What a path is for: every path of the data plane, once.
enum Route: Sendable, Equatable {
    /// A request for an answer, in one of the dialects.
    case generate(Generation)
    /// The length of a request in tokens.
    case countTokens(Generation)
    /// Vectors for texts.
    case embed(Embedding)
    /// A request that is passed on as it came.
    case pass(PassedPath)
    /// A question about a response that was kept.
    case stored(Stored)
    /// A conversation that was kept, by its id.
    case conversation(String)
    case newConversation
    case models(DialectID)
    /// The list of models, fetched anew first.
    case refreshModels(DialectID)
    case model(String, DialectID)
    /// A path of the control plane, which is relayed to it.
    case console
    case health
    case healthLive
    case healthReady
    case billingSubscription
    case billingUsage
    /// A path of the API that is known and not built yet, with its name.
    case planned(String)

    /// What a path says about a request for an answer; the rest is in the body.
    struct Generation: Sendable, Equatable {
        var dialect: DialectID
        /// The model, where the path names it.
        var model: String?
        /// Whether to stream, where the path says it.
        var stream: Bool?
        /// Whether a stream is to be one JSON array.
        var asArray = false
    }

    /// What a path says about a request for vectors.
    struct Embedding: Sendable, Equatable {
        var dialect: DialectID
        /// The model, where the path names it.
        var model: String?
    }

    /// The methods the path has.
    var methods: [HTTPMethod] {
        switch self {
        case .generate, .countTokens, .embed, .refreshModels, .newConversation: [.POST]
        case .conversation: [.GET, .HEAD, .DELETE]
        case .console: [.GET, .HEAD, .POST, .PUT, .PATCH, .DELETE]
        case .models, .model, .health, .healthLive, .healthReady, .billingSubscription, .billingUsage: [.GET, .HEAD]
        case .pass(let path): path.methods
        case .stored(let stored):
            switch stored.part {
            case .response: [.GET, .HEAD, .DELETE]
            case .cancel: [.POST]
            case .inputItems: [.GET, .HEAD]
            }
        case .planned: [.GET, .POST, .DELETE]
        }
    }

    /// The dialect that answers on this path are written in, errors included.
    var dialect: DialectID {
        switch self {
        case .generate(let generation), .countTokens(let generation): generation.dialect
        case .embed(let embedding): embedding.dialect
        case .models(let dialect), .refreshModels(let dialect), .model(_, let dialect): dialect
        case .stored: .openAIResponses
        case .health, .healthLive, .healthReady, .billingSubscription, .billingUsage, .pass, .planned,
            .console, .conversation, .newConversation:
            .openAIChat
        }
    }

    private static let chat = Route.generate(Generation(dialect: .openAIChat))

    private static let fixed: [Substring: Route] = [
        "/chat/completions": chat,
        "/completions": .generate(Generation(dialect: .openAICompletions)),
        "/responses": .generate(Generation(dialect: .openAIResponses)),
        "/responses/input_tokens": .countTokens(Generation(dialect: .openAIResponses)),
        "/messages": .generate(Generation(dialect: .anthropic)),
        "/messages/count_tokens": .countTokens(Generation(dialect: .anthropic)),
        "/embeddings": .embed(Embedding(dialect: .openAIChat)),
        "/conversations": .newConversation,
        "/models": .models(.openAIChat),
        "/models/refresh": .refreshModels(.openAIChat),
        "/health": .health,
        "/health/live": .healthLive,
        "/health/ready": .healthReady,
        "/dashboard/billing/subscription": .billingSubscription,
        "/dashboard/billing/usage": .billingUsage,
    ]

    private static let planned: Set<Substring> = [
        "/responses", "/realtime", "/conversations",
    ]

    /// The route of a request target, with or without `/v1` in front; nil for an unknown one.
    static func find(_ target: String, billing: Bool) -> Route? {
        // What nearly every request is for needs no look-up.
        if target == "/v1/chat/completions" { return chat }
        let path = self.path(of: target)
        if let route = gemini(path, target: target) { return route }
        let short = path.hasPrefix("/v1/") ? path.dropFirst(3) : path
        if let route = fixed[short] {
            if route == .billingSubscription || route == .billingUsage { return billing ? route : nil }
            return route
        }
        if short.hasPrefix("/models/") {
            let name = percentDecoded(short.dropFirst("/models/".count))
            return name.isEmpty ? nil : .model(name, .openAIChat)
        }
        if isConsole(target) { return .console }
        if let stored = stored(short) { return stored }
        if short.hasPrefix("/conversations/"), !short.dropFirst("/conversations/".count).contains("/") {
            let id = percentDecoded(short.dropFirst("/conversations/".count))
            return id.isEmpty ? nil : .conversation(id)
        }
        if let passed = PassedPath.find(path) { return .pass(passed) }
        let first = short.dropFirst().prefix { $0 != "/" }
        return planned.contains("/" + first) && path.hasPrefix("/v1/") ? .planned(String(path)) : nil
    }

    /// What is relayed to the control plane: these paths and everything below them.
    private static let consolePaths = ["/oauth", "/admin"]

    /// Whether a request target is one of the control plane's.
    static func isConsole(_ target: String) -> Bool {
        // Asked of every request: what nearly all are for, which begins with `/v1`, goes first.
        guard target.utf8.dropFirst().first != UInt8(ascii: "v") else { return false }
        let path = path(of: target)
        return consolePaths.contains { path == $0 || path.hasPrefix($0 + "/") }
    }

    /// The dialect of errors on a path that is none: clients of Gemini's API are told apart by its version.
    static func dialect(ofUnknown target: String) -> DialectID {
        let path = path(of: target)
        if path.hasPrefix("/v1beta/") { return .gemini }
        return path.hasPrefix("/v1/messages") ? .anthropic : .openAIChat
    }

    /// The path of a request target: without query and, in absolute form, without scheme and host.
    static func path(of target: String) -> Substring {
        var path = target[...]
        if let end = path.utf8.firstIndex(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) {
            path = path[..<end]
        }
        if path.hasPrefix("http://") || path.hasPrefix("https://") {
            let afterScheme = path.drop { $0 != ":" }.dropFirst(3)
            path = afterScheme.drop { $0 != "/" }
        }
        while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path = path.dropLast() }
        return path
    }

    /// The value of a query parameter, decoded.
    static func query(_ name: String, of target: String) -> String? {
        guard let start = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        for pair in target[target.index(after: start)...].split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            if parts.first.map(String.init) == name { return parts.count > 1 ? percentDecoded(parts[1]) : "" }
        }
        return nil
    }

    static func percentDecoded(_ text: Substring) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
