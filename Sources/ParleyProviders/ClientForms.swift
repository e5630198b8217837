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

    /// Puts events together.
    public func makeCollector() -> any AnswerCollector { ChatCollector() }

    /// The events of a whole answer.
    public func events(of response: ChatResponse) -> [Event] { EventReplay.events(of: response) }

    /// A value as JSON text.
    public func text(of value: JSONValue) -> String { JSON.text(value) }
}
