// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Guesses the tokens of an answer whose service does not say them: the prompt's from the request, the answer's from what
/// passes by. What a service does say wins.
struct EstimatedUsage {
    /// The prompt's tokens.
    private let input: Int
    private var output = TokenEstimate()
    private var isReported = false
    private var isSettled = false

    /// An estimate for an answer to a prompt of so many tokens.
    init(input: Int) {
        self.input = input
    }

    /// What a prompt is taken for.
    static func input(of request: ChatRequest) -> Int {
        var estimate = TokenEstimate()
        estimate.add(request)
        return estimate.count
    }

    /// A whole answer, with an estimate where it says nothing.
    func filled(_ response: ChatResponse) -> ChatResponse {
        guard response.usage.isEmpty else { return response }
        var counted = self
        for event in EventReplay.events(of: response) { counted.note(event) }
        var filled = response
        filled.usage = counted.usage
        return filled
    }

    /// Takes note of an event that passes.
    mutating func note(_ event: Event) {
        switch event {
        case .text(_, let text), .refusal(_, let text), .arguments(_, _, let text): output.add(text)
        case .reasoning(_, let piece): output.add(piece.text)
        case .toolCall(_, _, let call):
            output.add(call.name)
            output.add(call.arguments)
        case .usage(let usage): if !usage.isEmpty { isReported = true }
        case .start, .audio, .logprobs, .extra, .finish: break
        }
    }

    /// The estimate at an answer's end, once; nil where the service has said it.
    mutating func settle() -> Event? {
        guard !isReported, !isSettled else { return nil }
        isSettled = true
        return .usage(usage)
    }

    private var usage: Usage {
        var usage = Usage(input: input, output: output.count)
        usage.estimated = true
        return usage
    }
}

/// A stream decoder that ends an answer with an estimate of its tokens where the service did not say them.
struct EstimatingDecoder: StreamDecoder {
    private var decoder: any StreamDecoder
    private var estimate: EstimatedUsage

    init(_ decoder: any StreamDecoder, _ estimate: EstimatedUsage) {
        self.decoder = decoder
        self.estimate = estimate
    }

    var isComplete: Bool { decoder.isComplete }

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        let start = events.count
        try decoder.push(bytes, into: &events)
        for event in events[start...] { estimate.note(event) }
        if decoder.isComplete { settle(into: &events) }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        let start = events.count
        try decoder.finish(into: &events)
        for event in events[start...] { estimate.note(event) }
        settle(into: &events)
    }

    private mutating func settle(into events: inout [Event]) {
        if let usage = estimate.settle() { events.append(usage) }
    }
}

extension Reply.Content {
    /// Whether its tokens are, or will be, an estimate: a stream of a service that says none is marked before its end.
    var isEstimated: Bool {
        switch self {
        case .client(let body): body.observed.usage.estimated || !body.observed.isComplete
        case .events: true
        case .whole(let response): response.usage.estimated
        }
    }
}
