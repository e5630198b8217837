// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
import ParleyDialects
import ParleyWire

/// Reads clients' requests by their dialects.
public final class ClientForms: NeutralForms {
    /// It has no state, so there is one.
    public static let shared = ClientForms()

    private init() {}

    /// The request as the client sent it, or as a composition left it, with the call's overrides.
    public func request(of call: Call) throws(ParleyError) -> ChatRequest {
        var request: ChatRequest
        if let given = call.request {
            request = given
        } else {
            request = try Dialects.dialect(call.dialect).decodeRequest(call.body)
        }
        request.model = call.model
        request.stream = call.stream
        try request.apply(call.overrides)
        return request
    }

    /// The end user, from the request's own field.
    public func user(of call: Call) -> String? {
        if let request = call.request { return request.user }
        return RequestLook.user(in: call.body, reading: call.reading, dialect: call.dialect)
    }

    /// What binds the request, which is decoded only where its bytes may hold such a thing.
    public func binding(of call: Call) -> DialectID? {
        if let request = call.request { return request.binding }
        guard RequestLook.mayBeBound(call.body) else { return nil }
        return (try? Dialects.dialect(call.dialect).decodeRequest(call.body))?.binding
    }

    /// Puts events together.
    public func makeCollector() -> any AnswerCollector { ChatCollector() }

    /// The events of a whole answer.
    public func events(of response: ChatResponse) -> [Event] { EventReplay.events(of: response) }

    /// A value as JSON text.
    public func text(of value: JSONValue) -> String { JSON.text(value) }
}
