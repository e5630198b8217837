// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The neutral forms of what a call carries, for models that look inside: those know no dialect themselves.
public protocol NeutralForms: AnyObject, Sendable {
    /// The request, with the call's overrides set in it: whoever changes it puts it into the call with
    /// ``Call/replaceRequest(with:)``.
    ///
    /// - Throws: what is wrong with the client's request.
    func request(of call: Call) throws(ParleyError) -> ChatRequest

    /// The end user that the request names, found without decoding it; nil where it names none.
    func user(of call: Call) -> String?

    /// The dialect whose upstreams alone can read what an earlier turn left in the request (encrypted reasoning, signed
    /// blocks), as far as a cheap look tells; nil where any can.
    func binding(of call: Call) -> DialectID?

    /// Takes the events of one answer and puts them together.
    func makeCollector() -> any AnswerCollector

    /// A whole answer as the events of a stream.
    func events(of response: ChatResponse) -> [Event]

    /// A value as JSON text.
    func text(of value: JSONValue) -> String
}

extension NeutralForms {
    /// Nobody looked.
    public func user(of call: Call) -> String? { nil }

    /// Nobody looked.
    public func binding(of call: Call) -> DialectID? { nil }
}

/// Puts the events of one answer together.
public protocol AnswerCollector: Sendable {
    /// Takes the next event.
    mutating func add(_ event: Event)

    /// The answer so far.
    func response() -> ChatResponse
}

extension Call {
    /// The request in the neutral form, with the overrides set in it.
    ///
    /// - Throws: what is wrong with the client's request.
    public func neutralRequest() throws(ParleyError) -> ChatRequest {
        guard let forms else {
            throw ParleyError(.internalError, "Nobody here can read the request.")
        }
        return try forms.request(of: self)
    }

    /// Says something else than the client did. The overrides go: they are in what ``neutralRequest()`` gave.
    public mutating func replaceRequest(with request: ChatRequest) {
        self.request = request
        overrides = []
    }
}
