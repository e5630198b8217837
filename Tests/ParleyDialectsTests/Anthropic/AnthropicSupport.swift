// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire

@testable import ParleyDialects

/// What the tests of the Messages dialect share.
enum Messages {
    static let dialect = Anthropic()
    static let context = AnswerContext(id: "own", model: "asked", created: 99, includeUsage: true)

    /// A request with these members beside the three it must have.
    static func request(_ members: String = "", messages: String = #"[{"role":"user","content":"Hi"}]"#) throws
        -> ChatRequest
    {
        let more = members.isEmpty ? "" : "," + members
        return try dialect.decodeRequest(
            ByteBuffer(string: #"{"model":"claude-sonnet-4-5","max_tokens":100,"messages":\#(messages)\#(more)}"#))
    }

    /// The failure of reading a request.
    static func fault(_ body: String) -> ParleyError? {
        do throws(ParleyError) {
            _ = try dialect.decodeRequest(ByteBuffer(string: body))
            return nil
        } catch {
            return error
        }
    }

    /// What an upstream is sent for a request.
    static func sent(_ request: ChatRequest, dropped: inout [String]) throws -> JSONValue {
        try JSON.parse(dialect.encodeRequest(request, dropped: &dropped))
    }

    /// What an upstream is sent for a request.
    static func sent(_ request: ChatRequest) throws -> JSONValue {
        var dropped: [String] = []
        return try sent(request, dropped: &dropped)
    }

    /// What an upstream is sent for a request of an OpenAI client.
    static func sent(openAI body: String, dropped: inout [String]) throws -> JSONValue {
        try sent(try OpenAIChat().decodeRequest(ByteBuffer(string: body)), dropped: &dropped)
    }

    /// What an upstream is sent for a request of an OpenAI client.
    static func sent(openAI body: String) throws -> JSONValue {
        var dropped: [String] = []
        return try sent(openAI: body, dropped: &dropped)
    }

    /// The failure of writing a request.
    static func refusal(_ request: ChatRequest) -> ParleyError? {
        var dropped: [String] = []
        do throws(ParleyError) {
            _ = try dialect.encodeRequest(request, dropped: &dropped)
            return nil
        } catch {
            return error
        }
    }

    /// Decodes a stream given in pieces.
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

    /// Decodes a stream given as text.
    static func decode(_ text: String) -> Decoded { decode([ArraySlice(text.utf8)]) }

    /// A stream of events, each given as its JSON, with the name that is its type.
    static func stream(_ events: String...) -> String {
        events.map { text in
            let type = (try? JSON.parse(text))?["type"]?.string ?? ""
            return "event: \(type)\ndata: \(text)\n\n"
        }.joined()
    }

    /// Encodes events as a stream for a client.
    static func encode(_ events: [Event]) -> String {
        var encoder = dialect.makeStreamEncoder(context)
        var out = ByteBuffer()
        for event in events { encoder.push(event, into: &out) }
        encoder.finish(into: &out)
        return String(buffer: out)
    }

    /// The data of each event of a stream, checked to be named by its type.
    static func events(_ text: String) -> [JSONValue] {
        text.components(separatedBy: "\n\n").compactMap { frame in
            let lines = frame.components(separatedBy: "\n")
            guard lines.count == 2, let value = try? JSON.parse(String(lines[1].dropFirst(6))) else { return nil }
            return lines[0] == "event: \(value["type"]?.string ?? "")" ? value : nil
        }
    }

    /// Pushes a stream through the relay.
    static func relay(_ pieces: [ArraySlice<UInt8>]) -> (output: [UInt8], observed: Observation, error: ParleyError?) {
        let relay = dialect.makeStreamRelay(stripUsage: false)
        var out = ByteBuffer()
        var failure: ParleyError?
        do throws(ParleyError) {
            for piece in pieces { try relay.push(ByteBuffer(bytes: piece), into: &out) }
            try relay.finish(into: &out)
        } catch {
            failure = error
        }
        return (Array(out.readableBytesView), relay.observed, failure)
    }

    static let start = #"{"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":5}}}"#
    static let stop = #"{"type":"message_stop"}"#
    static func end(_ reason: String, _ usage: String = #"{"output_tokens":3}"#) -> String {
        #"{"type":"message_delta","delta":{"stop_reason":"\#(reason)","stop_sequence":null},"usage":\#(usage)}"#
    }
}
