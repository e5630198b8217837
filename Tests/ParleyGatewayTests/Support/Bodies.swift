// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyTestKit

/// Requests and answers that tests use.
enum Bodies {
    /// A chat request.
    static func chat(_ model: String? = "m", stream: Bool = false, text: String = "Hello", more: String = "") -> String
    {
        let model = model.map { #""model":"\#($0)","# } ?? ""
        let stream = stream ? #""stream":true,"# : ""
        return #"{\#(model)\#(stream)"messages":[{"role":"user","content":"\#(text)"}]\#(more)}"#
    }

    /// A whole answer.
    static let whole =
        #"{ "id":"chatcmpl-1", "object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"#
        + #""message":{"role":"assistant","content":"Hi, w\u00f6rld. 🌍"},"finish_reason":"stop"}],"#
        + #""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7},"vendor_field":{"kept":true}}"#

    /// A chunk with text.
    static func chunk(_ text: String, finish: String? = nil) -> String {
        let finish = finish.map { #""\#($0)""# } ?? "null"
        return #"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":"#
            + #"[{"index":0,"delta":{"content":"\#(text)"},"finish_reason":\#(finish)}]}"#
    }

    /// The chunk that ends the answer.
    static let last =
        #"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":"#
        + #"[{"index":0,"delta":{},"finish_reason":"stop"}]}"#

    /// The chunk that has usage alone.
    static let usage =
        #"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[],"#
        + #""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#

    /// Events as they are framed.
    static func frames(_ data: [String]) -> String {
        data.map { "data: \($0)\n\n" }.joined()
    }

    /// A complete stream that says `text`.
    static func stream(_ text: String = "Hello") -> [String] { [chunk(text), last] }

    /// The head of an event stream.
    static let streamHead = Script.Step.head(.init(200, headers: ["content-type": "text/event-stream"]))
    /// The head of a whole answer whose body ends with the chunks.
    static let jsonHead = Script.Step.head(.init(200, headers: ["content-type": "application/json"]))

    /// A step that sends events without an end.
    static func events(_ data: [String]) -> Script.Step { .sse(.init(data, done: false)) }
}
