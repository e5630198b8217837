// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// What one chunk or one whole answer of OpenAI's chat API, or of the legacy one, says to a tap, read by position and without a tree.
struct ChatPayload {
    /// Whether `choices` is there and not empty.
    private(set) var hasChoices = false
    /// Whether it is an error, in one of the shapes that come with status 200.
    private(set) var isError = false
    /// Whether it has a top-level `usage` that is not null.
    private(set) var hasUsage = false
    /// Tokens, wherever they were reported: top level, first choice (Moonshot), `x_groq` (Groq).
    private(set) var usage = Usage()
    /// The first finish reason.
    private(set) var finish: String?
    /// Whether it has any part of an answer, or its end.
    private(set) var isMeaningful = false
    private let reasoningOutsideOutput: Bool

    /// Reads a payload, which must be one JSON object.
    init(_ bytes: ByteBuffer, reasoningOutsideOutput: Bool = false) throws(JSONError) {
        self.reasoningOutsideOutput = reasoningOutsideOutput
        try bytes.withUnsafeReadableBytes { raw throws(JSONError) in try read(JSONText(raw)) }
    }

    /// Reads a payload where it lies.
    init(_ bytes: UnsafeRawBufferPointer, reasoningOutsideOutput: Bool) throws(JSONError) {
        self.reasoningOutsideOutput = reasoningOutsideOutput
        try read(JSONText(bytes))
    }

    /// Where the members are that matter beside the choices, the last one of each name.
    private struct Places {
        var usage: Range<Int>?
        var groq: Range<Int>?
        var error: Range<Int>?
        var base: Range<Int>?
        var object: Range<Int>?
    }

    /// Goes over the text once; only the few members beside the choices are looked at again.
    private mutating func read(_ text: JSONText) throws(JSONError) {
        var places = Places()
        var members = try text.members()
        while let key = try members.nextKey() {
            if key.isNamed("choices", in: text) {
                try readChoices(&members, in: text)
                continue
            }
            let value = try members.skipValue()
            if key.isNamed("usage", in: text) {
                places.usage = value
            } else if key.isNamed("object", in: text) {
                places.object = value
            } else if key.isNamed("error", in: text) {
                places.error = value
            } else if key.isNamed("x_groq", in: text) {
                places.groq = value
            } else if key.isNamed("base_resp", in: text) {
                places.base = value
            }
        }
        try members.expectEnd()
        // From here on all of it is known to be JSON, so that nothing fails any more.
        if let place = places.usage, !text.isNull(place) {
            hasUsage = true
            try note(usage: place, in: text)
        }
        if let place = places.groq { try note(usage: try text.last("usage", of: place), in: text) }
        if finish == "error" { isError = true }
        if let error = places.error, !text.isBlank(error) { isError = true }
        if !hasChoices, try Self.hasError(places, in: text) { isError = true }
        if finish != nil { isMeaningful = true }
    }

    private mutating func readChoices(_ members: inout JSONMembers, in text: JSONText) throws(JSONError) {
        // Of members of one name the last one counts.
        (hasChoices, finish, isMeaningful, usage) = (false, nil, false, Usage())
        guard members.valueBegins(with: UInt8(ascii: "[")), var choices = text.elements(at: members.position) else {
            _ = try members.skipValue()
            return
        }
        var count = 0
        while let start = try choices.nextObject(&count) { choices.resume(at: try read(choiceAt: start, in: text)) }
        hasChoices = count > 0
        members.resume(at: choices.position)
    }

    /// Reads a choice.
    ///
    /// - Returns: where it ends.
    private mutating func read(choiceAt start: Int, in text: JSONText) throws(JSONError) -> Int {
        // Whether there is a part of an answer; nil where there is no such object.
        var delta: Bool?
        var message: Bool?
        var reason: Range<Int>?
        var usage: Range<Int>?
        var completion: Range<Int>?
        var members = try text.members(at: start)
        while let key = try members.nextKey() {
            if key.isNamed("delta", in: text) {
                delta = try Self.hasAnswer(&members, in: text)
                continue
            }
            if key.isNamed("message", in: text) {
                message = try Self.hasAnswer(&members, in: text)
                continue
            }
            let value = try members.skipValue()
            if key.isNamed("finish_reason", in: text) {
                reason = value
            } else if key.isNamed("usage", in: text) {
                usage = value
            } else if key.isNamed("text", in: text) {
                completion = value
            }
        }
        if finish == nil, let reason, let word = text.string(reason), !word.isEmpty, word != "null" { finish = word }
        try note(usage: usage, in: text)
        if !isMeaningful, let found = delta ?? message ?? completion.map({ !text.isBlank($0) }) { isMeaningful = found }
        return members.position
    }

    private mutating func note(usage place: Range<Int>?, in text: JSONText) throws(JSONError) {
        guard let place, text.isObject(place) else { return }
        usage.merge(try Usage(chat: text, at: place.lowerBound, reasoningOutsideOutput: reasoningOutsideOutput))
    }

    /// Whether a delta or a message, which comes next, holds a part of the answer; nil where it is no object.
    private static func hasAnswer(_ outer: inout JSONMembers, in text: JSONText) throws(JSONError) -> Bool? {
        guard outer.valueBegins(with: UInt8(ascii: "{")) else {
            _ = try outer.skipValue()
            return nil
        }
        // A bit for each field, since only the last of a name counts.
        var filled: UInt32 = 0
        var members = try text.members(at: outer.position)
        while let key = try members.nextKey() {
            let value = try members.skipValue()
            guard let field = answerField(key, in: text) else { continue }
            filled &= ~(1 << field)
            if !text.isBlank(value) { filled |= 1 << field }
        }
        outer.resume(at: members.position)
        return filled != 0
    }

    /// The number of a field of a delta or a message that holds a part of the answer, reasoning under every name
    /// vendors give it.
    @inline(__always)
    private static func answerField(_ key: JSONKey, in text: JSONText) -> UInt32? {
        if key.isNamed("content", in: text) { return 0 }
        if key.isNamed("reasoning_content", in: text) { return 1 }
        if key.isNamed("reasoning", in: text) { return 2 }
        if key.isNamed("reasoning_details", in: text) { return 3 }
        if key.isNamed("thinking", in: text) { return 4 }
        if key.isNamed("tool_calls", in: text) { return 5 }
        if key.isNamed("function_call", in: text) { return 6 }
        if key.isNamed("refusal", in: text) { return 7 }
        if key.isNamed("audio", in: text) { return 8 }
        if key.isNamed("images", in: text) { return 9 }
        return nil
    }

    /// An `error` that is not null; MiniMax's `base_resp` with a status; vLLM's `object: error`.
    private static func hasError(_ places: Places, in text: JSONText) throws(JSONError) -> Bool {
        if let error = places.error, !text.isNull(error) { return true }
        if let base = places.base, let status = try text.last("status_code", of: base).flatMap(text.int), status != 0 {
            return true
        }
        if let object = places.object, text.string(object) == "error" { return true }
        return false
    }
}

extension JSONText {
    /// Whether the value is an object.
    func isObject(_ value: Range<Int>) -> Bool { first(value) == UInt8(ascii: "{") }

    /// The value of the last member called `name` of the object at `place`; nil where there is none.
    fileprivate func last(_ name: StaticString, of place: Range<Int>) throws(JSONError) -> Range<Int>? {
        guard isObject(place) else { return nil }
        var value: Range<Int>?
        var members = try members(at: place.lowerBound)
        while let member = try members.next() {
            if member.isNamed(name, in: self) { value = member.value }
        }
        return value
    }
}
