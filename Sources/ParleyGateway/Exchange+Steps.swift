// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyDialects
import ParleyModels
import ParleyProviders

/// The steps of an exchange, one function each.
extension Exchange {
    /// Finds the key that the request carries.
    ///
    /// - Throws: `unauthenticated`; the same answer whether a key is unknown or malformed.
    func identify() throws(ParleyError) -> KeyRecord {
        guard let presented = request.head.credential else {
            throw ParleyError(
                .unauthenticated,
                "You did not provide a key. Send it as \"Authorization: Bearer KEY\"; parley prints one at its start.",
                code: "missing_api_key")
        }
        if let caller = client.caller, caller.isSame(presented, snapshot) { return caller.key }
        switch snapshot.keys.identify(presented) {
        case .known(let key):
            client.caller = Caller(secret: Array(presented.utf8), key: key, serial: snapshot.serial)
            return key
        case .expired:
            throw ParleyError(.unauthenticated, "This key has expired.", code: "invalid_api_key")
        case .unknown:
            throw ParleyError(
                .unauthenticated, "Incorrect key provided. parley prints its keys' names at its start.",
                code: "invalid_api_key")
        }
    }

    /// The name of the model to use: the key's forced one, the request's, the default, or the only one there is.
    func modelName(_ asked: String?, _ key: KeyRecord) throws(ParleyError) -> String {
        if let forced = key.forced(asked) { return forced }
        if key.forcedModel == nil {
            if let asked, !asked.isEmpty { return asked }
            if let name = snapshot.defaultModel ?? snapshot.lists.directory.only { return name }
        }
        let names = names(for: key)
        let shown = names.prefix(20).joined(separator: ", ")
        throw ParleyError(
            .invalid, "The request names no model. Available: \(shown)\(names.count > 20 ? ", …" : "").",
            code: "missing_required_parameter", parameter: "model")
    }

    /// The names that a client with this key may ask for.
    func names(for key: KeyRecord) -> [String] {
        let directory = snapshot.lists.directory
        guard let forced = key.forcedModel else { return directory.names(allowedBy: key.models) }
        guard forced.contains("*") else { return [forced] }
        let pattern = NamePattern(forced)
        return directory.names(allowedBy: key.models).compactMap { pattern.match($0).map(String.init) }
    }

    /// Finds a model, asking the providers for their lists where the name may be in one that was not fetched yet.
    ///
    /// - Throws: `forbidden` where the key may not use it, `notFound` with the closest names.
    func resolve(_ name: String, _ key: KeyRecord) async throws(ParleyError) -> any Model {
        if let model = try known(name, key) { return model }
        await snapshot.lists.refresh(through: shard)
        return try listed(name, key)
    }

    @inline(never)
    private func known(_ name: String, _ key: KeyRecord) throws(ParleyError) -> (any Model)? {
        // A forced model that is a whole name needs no leave; one that the client has a part in does.
        let isFixed = key.forcedModel.map { !$0.contains("*") } ?? false
        let asked = isFixed ? name : try withoutStrategies(name, key)
        if !isFixed, !Directory.allowed(asked, patterns: key.models) {
            throw ParleyError(
                .forbidden, "The key \"\(key.name)\" may not use the model \"\(name.prefix(200))\".",
                code: "model_not_allowed", parameter: "model")
        }
        return snapshot.lists.model(named: name)
    }

    /// The model behind the strategies that a name asks for, each of which the key must be allowed.
    private func withoutStrategies(_ name: String, _ key: KeyRecord) throws(ParleyError) -> String {
        // Hardly any name begins with a strategy, and only then is the directory asked.
        guard StrategyName(name) != nil else { return name }
        let directory = snapshot.lists.directory
        var model = name
        while let asked = directory.strategy(in: model) {
            let strategy = asked.strategy.rawValue
            guard key.strategies?.contains(strategy) ?? false else {
                throw ParleyError(
                    .forbidden, "The key \"\(key.name)\" may not ask for the strategy \"\(strategy)\".",
                    code: "strategy_not_allowed", parameter: "model")
            }
            model = asked.model
        }
        return model
    }

    @inline(never)
    private func listed(_ name: String, _ key: KeyRecord) throws(ParleyError) -> any Model {
        switch snapshot.lists.directory.resolve(name, patterns: key.models) {
        case .model(let model): return model
        case .unknown(let suggestions):
            var message = "The model \"\(name.prefix(200))\" does not exist."
            if !suggestions.isEmpty { message += " Did you mean \(suggestions.joined(separator: ", "))?" }
            if let hint = snapshot.hint { message += " \(hint)" }
            throw ParleyError(.notFound, message, code: "model_not_found", parameter: "model")
        }
    }

    /// Writes answers and errors in the dialect of this route from now on.
    func speak(_ route: Route) {
        // The model list has one path for both, also where it is refreshed; the version header tells who asks.
        if case .refreshModels = route, request.head.isAnthropic { return speak(.anthropic) }
        speak(route.dialect)
    }

    /// Writes answers and errors in this dialect from now on.
    func speak(_ id: DialectID) {
        guard id != .openAIChat || request.head.isAnthropic else { return }
        let wanted = id == .openAIChat && request.head.isAnthropic && request.head.method != .POST ? .anthropic : id
        if let known = try? Dialects.dialect(wanted) { dialect = known }
    }

    /// The call as models see it.
    func call(_ intake: Intake, _ name: String, _ key: KeyRecord, _ deadline: NIODeadline) -> Call {
        let head = request.head
        return Call(
            id: id, dialect: dialectID, operation: .chat, model: name, caller: key.name, stream: intake.stream,
            includeUsage: intake.includeUsage, isStrict: head.isStrict ?? snapshot.isStrict, body: intake.body,
            reading: intake.reading, overrides: key.overrides, headers: head.passed, deadline: deadline,
            connector: shard, trace: trace, forms: ClientForms.shared, caching: head.caching)
    }

    /// The reply as bytes for this client.
    func body(of reply: Reply, _ call: Call) -> any AnswerBody {
        switch reply.content {
        case .client(let body): return body
        case .events(let source) where call.stream:
            return EncodedEvents(source: source, encoder: dialect.makeStreamEncoder(AnswerContext(call)))
        case .events(let source):
            return HeldAnswer(collecting: source, dialect: dialect, context: AnswerContext(call))
        case .whole(let response): return HeldAnswer(response, dialect: dialect, context: AnswerContext(call))
        }
    }

    /// Says in headers who answered, and passes on the upstream's limits.
    func describe(_ reply: Reply, _ name: String, in head: AnswerHead) {
        if head.headers.isEmpty { head.headers = reply.headers } else { head.headers += reply.headers }
        head.model = name
        if let plain = trace.plain {
            (head.upstream, head.attempts) = (plain.upstream, plain.upstream == nil ? 0 : 1)
            return
        }
        let seen = trace.contents
        head.upstream = seen.upstream
        head.attempts = seen.attemptCount
        if !seen.dropped.isEmpty {
            head.headers.append(HeaderField("x-parley-dropped", seen.dropped.joined(separator: ", ")))
        }
        if !seen.degraded.isEmpty {
            head.headers.append(HeaderField("x-parley-degraded", seen.degraded.joined(separator: ", ")))
        }
    }

    // MARK: Cross-origin requests

    /// Headers that let a browser's page read the answer, where the configuration allows its origin.
    func crossOriginHeaders() -> [HeaderField] {
        let allowed = snapshot.server.crossOrigins
        guard !allowed.isEmpty, let origin = request.head.origin else { return [] }
        let isOpen = allowed.contains("*")
        guard isOpen || allowed.contains(origin) else { return [] }
        return [
            HeaderField("access-control-allow-origin", isOpen ? "*" : origin),
            HeaderField("vary", "origin"),
            HeaderField(
                "access-control-expose-headers",
                "x-request-id, retry-after, x-parley-model, x-parley-upstream, x-parley-attempts, x-parley-dropped, "
                    + "x-parley-degraded, x-parley-cache"),
        ]
    }

    /// Answers `OPTIONS`, with the cross-origin headers where the origin is allowed.
    func answerPreflight(_ route: Route) {
        let head = AnswerHead(status: 204, requestID: id)
        let methods = (route.methods + [.OPTIONS]).map(\.rawValue).joined(separator: ", ")
        head.headers = crossOriginHeaders()
        if !head.headers.isEmpty {
            head.headers.append(HeaderField("access-control-allow-methods", methods))
            let asked = request.head.preflightHeaders
            head.headers.append(HeaderField("access-control-allow-headers", asked ?? "authorization, content-type"))
            head.headers.append(HeaderField("access-control-max-age", "86400"))
        }
        head.headers.append(HeaderField("allow", methods))
        client.send(head, body: ByteBuffer())
    }
}
