// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// The way an answer takes from the upstream's dialect to the client.
struct UpstreamRoute {
    /// What the upstream speaks.
    var upstream: any Dialect
    /// What the client speaks.
    var client: any Dialect
    /// Set where answers are passed on as they are.
    var relaying: (any RelayingDialect)?
    /// Whether the relay takes out the usage that only Parley asked for.
    var stripsUsage = false

    /// Chooses the way and writes the request's body.
    static func prepare(
        _ call: Call, provider: any Provider, model: String
    ) throws(ParleyError) -> (UpstreamRoute, ByteBuffer) {
        var dropped: [String] = []
        if let relaying = provider.relaying, relaying.id == call.dialect {
            var route = UpstreamRoute(upstream: relaying, client: relaying)
            if case .client = call.form, relaying.relaysAnswers {
                route.relaying = relaying
                route.stripsUsage = call.stream && !call.includeUsage && relaying.asksForUsage
            }
            if call.request == nil,
                let body = try relaying.splice(
                    call.body, model: model, stream: call.stream, overrides: call.overrides, dropped: &dropped)
            {
                call.trace.drop(dropped)
                return (route, body)
            }
            let body = try encoded(call, for: relaying, from: relaying, model: model, dropped: &dropped)
            call.trace.drop(dropped)
            return (route, body)
        }
        let client = try Dialects.dialect(call.dialect)
        let route = UpstreamRoute(upstream: provider.dialect, client: client)
        let body = try encoded(call, for: route.upstream, from: client, model: model, dropped: &dropped)
        call.trace.drop(dropped)
        return (route, body)
    }

    /// The request by way of the neutral form.
    private static func encoded(
        _ call: Call, for upstream: any Dialect, from client: any Dialect, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        var request: ChatRequest
        if let given = call.request { request = given } else { request = try client.decodeRequest(call.body) }
        request.model = model
        request.stream = call.stream
        request.includeUsage = call.stream
        try request.apply(call.overrides)
        return try upstream.encodeRequest(request, dropped: &dropped)
    }
}
