// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire

@testable import ParleyDialects

/// A small generator with a seed, so that a failure can be played again.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed &+ 0x9E37_79B9_7F4A_7C15
    }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}

/// What a stream came to: its events, and the failure that ended it.
struct Decoded: Equatable {
    var events: [Event] = []
    var failure: ParleyError?
    var isComplete = false

    /// The answer the events make.
    var response: ChatResponse {
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }
}

/// Decodes a stream given in pieces.
func decode(_ pieces: [ArraySlice<UInt8>], quirks: Quirks = Quirks()) -> Decoded {
    var decoder = OpenAIChat(quirks: quirks).makeStreamDecoder()
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
func decode(_ text: String, quirks: Quirks = Quirks()) -> Decoded {
    decode([ArraySlice(text.utf8)], quirks: quirks)
}

/// A stream made of `data:` frames.
func stream(_ frames: String..., done: Bool = true) -> String {
    frames.map { "data: \($0)\n\n" }.joined() + (done ? "data: [DONE]\n\n" : "")
}

/// A chunk with one choice's delta.
func chunk(_ delta: String, finish: String = "null", more: String = "") -> String {
    #"{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","#
        + #""choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(finish)}]\#(more)}"#
}

/// Pieces of random sizes.
func pieces(of bytes: [UInt8], seed: UInt64) -> [ArraySlice<UInt8>] {
    var dice = Dice(seed: seed)
    var list: [ArraySlice<UInt8>] = []
    var start = 0
    while start < bytes.count {
        let end = min(bytes.count, start + Int.random(in: 1...97, using: &dice))
        list.append(bytes[start..<end])
        start = end
    }
    return list
}

let context = AnswerContext(id: "own", model: "asked", created: 99, includeUsage: true)

/// Encodes events as a stream for a client.
func encode(_ events: [Event], _ context: AnswerContext = context) -> String {
    var encoder = OpenAIChat().makeStreamEncoder(context)
    var out = ByteBuffer()
    for event in events { encoder.push(event, into: &out) }
    encoder.finish(into: &out)
    return String(buffer: out)
}

/// The JSON of each frame but the terminator.
func frames(_ text: String) -> [JSONValue] {
    text.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: {") }
        .compactMap { try? JSON.parse(String($0.dropFirst(6))) }
}

/// The failure of decoding a request.
func requestFault(_ body: String) -> ParleyError? {
    do throws(ParleyError) {
        _ = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
        return nil
    } catch {
        return error
    }
}

/// A request read, written and parsed again.
func reencoded(_ body: String, quirks: Quirks = Quirks(), dropped: inout [String]) throws -> JSONValue {
    let dialect = OpenAIChat(quirks: quirks)
    let request = try dialect.decodeRequest(ByteBuffer(string: body))
    return try JSON.parse(dialect.encodeRequest(request, dropped: &dropped))
}

/// A request read, written and parsed again.
func reencoded(_ body: String, quirks: Quirks = Quirks()) throws -> JSONValue {
    var dropped: [String] = []
    return try reencoded(body, quirks: quirks, dropped: &dropped)
}

/// Whether two values say the same, whatever the order of members and the spelling of numbers.
func same(_ a: JSONValue?, _ b: JSONValue?) -> Bool {
    switch (a, b) {
    case (.object(let a)?, .object(let b)?):
        return a.members.count == b.members.count && a.members.allSatisfy { same($0.value, b[$0.key]) }
    case (.array(let a)?, .array(let b)?):
        return a.count == b.count && zip(a, b).allSatisfy { same($0, $1) }
    case (.number(let a)?, .number(let b)?): return Double(a) == Double(b)
    default: return a == b
    }
}
