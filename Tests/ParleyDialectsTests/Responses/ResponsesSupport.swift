// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire

@testable import ParleyDialects

/// What the suites of Responses share.
enum Responses {
    static let dialect = OpenAIResponses()

    static func decode(_ pieces: [ArraySlice<UInt8>]) -> Decoded {
        var decoder = dialect.makeStreamDecoder()
        var result = Decoded()
        do throws(ParleyError) {
            for piece in pieces { try decoder.push(ByteBuffer(bytes: piece), into: &result.events) }
            try decoder.finish(into: &result.events)
        } catch {
            result.failure = error
        }
        result.isComplete = decoder.isComplete
        return result
    }

    static func decode(_ text: String) -> Decoded { decode([ArraySlice(text.utf8)]) }

    /// A context whose client sent this request.
    static func context(_ request: String = #"{"model":"asked","input":"Hi"}"#) -> AnswerContext {
        var context = AnswerContext(id: "own", model: "asked", created: 99, includeUsage: true)
        context.request = ByteBuffer(string: request)
        return context
    }

    static func encode(_ events: [Event], _ context: AnswerContext = context(), error: ParleyError? = nil) -> String {
        var encoder = dialect.makeStreamEncoder(context)
        var out = ByteBuffer()
        for event in events { encoder.push(event, into: &out) }
        if let error { encoder.fail(error, into: &out) } else { encoder.finish(into: &out) }
        return String(buffer: out)
    }

    /// The JSON of each event; the names of the frames must be those of the events.
    static func frames(_ text: String) -> [JSONValue] {
        text.components(separatedBy: "\n\n").filter { !$0.isEmpty }.compactMap { frame in
            let lines = frame.components(separatedBy: "\n")
            guard lines.count == 2, lines[0].hasPrefix("event: "), lines[1].hasPrefix("data: "),
                let value = try? JSON.parse(String(lines[1].dropFirst(6))),
                value["type"]?.string == String(lines[0].dropFirst(7))
            else { return nil }
            return value
        }
    }

    static func types(_ text: String) -> [String] {
        frames(text).map { $0["type"]?.string?.replacingOccurrences(of: "response.", with: "") ?? "" }
    }

    static func request(_ body: String) throws -> ChatRequest {
        try dialect.decodeRequest(ByteBuffer(string: body))
    }

    static func fault(_ body: String) -> ParleyError? {
        do throws(ParleyError) {
            _ = try dialect.decodeRequest(ByteBuffer(string: body))
            return nil
        } catch {
            return error
        }
    }

    static func written(_ request: ChatRequest, dropped: inout [String]) throws -> JSONValue {
        try JSON.parse(try dialect.encodeRequest(request, dropped: &dropped))
    }

    static func written(_ request: ChatRequest) throws -> JSONValue {
        var dropped: [String] = []
        return try written(request, dropped: &dropped)
    }

    /// What a request in Chat becomes.
    static func fromChat(_ body: String, dropped: inout [String]) throws -> JSONValue {
        try written(try OpenAIChat().decodeRequest(ByteBuffer(string: body)), dropped: &dropped)
    }

    static func json(_ text: String) throws -> JSONValue { try JSON.parse(text) }

    /// A response object with the given output.
    static func response(_ output: String, status: String = "completed", more: String = "") -> String {
        #"{"id":"resp_1","object":"response","created_at":7,"status":"\#(status)","model":"m","output":\#(output)"#
            + #","usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}\#(more)}"#
    }

    static func frame(_ type: String, _ members: String) -> String {
        "event: \(type)\ndata: {\"type\":\"\(type)\",\(members)}\n\n"
    }
}
