// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// The way an answer takes from the upstream's dialect to the client. An object, since it goes from step to step.
final class UpstreamRoute: Sendable {
    /// What the upstream speaks.
    let upstream: any Dialect
    /// What the client speaks.
    let client: any Dialect
    /// The dialect in which answers are passed on as they are; nil where they are written anew.
    let relaying: (any RelayingDialect)?
    /// Whether a relay takes out the usage that only Parley asked for.
    let stripsUsage: Bool

    /// Both speak the same. Answers are passed on as they are where `relays`.
    init(same dialect: any RelayingDialect, relays: Bool, stripsUsage: Bool) {
        upstream = dialect
        client = dialect
        relaying = relays ? dialect : nil
        self.stripsUsage = stripsUsage
    }

    /// Each has its own.
    init(from upstream: any Dialect, to client: any Dialect) {
        self.upstream = upstream
        self.client = client
        relaying = nil
        stripsUsage = false
    }

    /// A request that is ready to be sent.
    struct Prepared {
        var route: UpstreamRoute
        var body: ByteBuffer
        /// Set where the service does not say how many tokens an answer has.
        var estimate: EstimatedUsage?
    }

    /// Chooses the way and writes the request's body.
    static func prepare(
        _ call: Call, provider: any Provider, face: Face, model: String
    ) throws(ParleyError) -> Prepared {
        var dropped: [String] = []
        let prepared = try prepare(call, provider, face, model, &dropped)
        try settle(dropped, of: call, at: "\(provider.id)/\(model)")
        return prepared
    }

    /// Says what was left out, or refuses a strict call for it.
    static func settle(_ dropped: [String], of call: Call, at model: @autoclosure () -> String) throws(ParleyError) {
        guard !dropped.isEmpty else { return }
        if call.isStrict {
            throw ParleyError(
                .invalid,
                "\(model()) cannot be told \(dropped.joined(separator: ", ")); leave it out, or do not ask for "
                    + "strictness.", code: "unsupported_parameter", parameter: dropped.first)
        }
        call.trace.drop(dropped)
    }

    private static func prepare(
        _ call: Call, _ provider: any Provider, _ face: Face, _ model: String, _ dropped: inout [String]
    ) throws(ParleyError) -> Prepared {
        guard let relaying = face.relaying, relaying.id == call.dialect else {
            let client = try Dialects.dialect(call.dialect)
            return try encoded(
                call, provider, face, UpstreamRoute(from: face.dialect, to: client), model, &dropped)
        }
        var relays = false
        // What is missing can only be put into an answer that is written anew.
        if case .client = call.form, !face.estimatesUsage { relays = relaying.relays(call) }
        let strips = relays && call.stream && !call.includeUsage && relaying.asksForUsage
        let route = face.route(relays: relays, stripsUsage: strips, by: relaying)
        if !call.isRewritten, !face.estimatesUsage,
            let body = try relaying.splice(
                call.body, reading: call.reading, model: model, stream: call.stream, overrides: call.overrides,
                dropped: &dropped)
        {
            return Prepared(route: route, body: body)
        }
        return try encoded(call, provider, face, route, model, &dropped)
    }

    /// The request by way of the neutral form.
    private static func encoded(
        _ call: Call, _ provider: any Provider, _ face: Face, _ route: UpstreamRoute, _ model: String,
        _ dropped: inout [String]
    ) throws(ParleyError) -> Prepared {
        let client = route.client
        var request: ChatRequest
        if let given = call.request { request = given } else { request = try client.decodeRequest(call.body) }
        if client.id != face.dialect.id { try client.checkTranslatable(request) }
        request.model = model
        request.stream = call.stream
        request.includeUsage = call.stream
        try request.apply(call.overrides)
        if client.id != face.dialect.id { try client.prepareForTranslation(&request) }
        provider.adjust(&request, for: face)
        let body = try face.dialect.encodeRequest(request, dropped: &dropped)
        let estimate = face.estimatesUsage ? EstimatedUsage(input: EstimatedUsage.input(of: request)) : nil
        return Prepared(route: route, body: body, estimate: estimate)
    }
}
