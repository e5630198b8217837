// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

extension OpenAIResponses {
    /// Refuses what only an upstream that speaks Responses can do, since leaving it out would change the question.
    ///
    /// - Throws: `invalid`, naming the field.
    public func checkTranslatable(_ request: ChatRequest) throws(ParleyError) {
        let fields = request.extras.of(.openAIResponses)
        if fields["background"] == true {
            try ResponseHistory.refuseBackground(.init(isBackground: true))
        }
        if let previous = fields["previous_response_id"]?.string { throw ResponseHistory.notFound(previous: previous) }
        for (name, why) in [
            ("prompt", "templates are kept by OpenAI only; send their text."),
            ("conversation", "this conversation is not kept here; send its items."),
        ] where fields[name] != nil {
            throw ResponsesRequestEncoder.unsupported(name, why)
        }
    }
}
