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

    /// Where the members are that matter, the last one of each name.
    private struct Places {
        var choices: Range<Int>?
        var usage: Range<Int>?
        var groq: Range<Int>?
        var error: Range<Int>?
        var base: Range<Int>?
        var object: Range<Int>?
    }

    private mutating func read(_ text: JSONText) throws(JSONError) {
        var places = Places()
        var members = try text.members()
        while let member = try members.next() {
            if member.isNamed("choices", in: text) {
                places.choices = member.value
            } else if member.isNamed("usage", in: text) {
                places.usage = member.value
            } else if member.isNamed("object", in: text) {
                places.object = member.value
            } else if member.isNamed("error", in: text) {
                places.error = member.value
            } else if member.isNamed("x_groq", in: text) {
                places.groq = member.value
            } else if member.isNamed("base_resp", in: text) {
                places.base = member.value
            }
        }
        try members.expectEnd()
        // From here on all of it is known to be JSON, so that nothing fails any more.
        if let place = places.choices, var choices = text.elements(at: place.lowerBound) {
            var count = 0
            while let start = try choices.nextObject(&count) { choices.resume(at: try read(choiceAt: start, in: text)) }
            hasChoices = count > 0
        }
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

    /// Reads a choice.
    ///
    /// - Returns: where it ends.
    private mutating func read(choiceAt start: Int, in text: JSONText) throws(JSONError) -> Int {
        var delta: Range<Int>?
        var message: Range<Int>?
        var reason: Range<Int>?
        var usage: Range<Int>?
        var completion: Range<Int>?
        var members = try text.members(at: start)
        while let member = try members.next() {
            if member.isNamed("delta", in: text) {
                delta = member.value
            } else if member.isNamed("message", in: text) {
                message = member.value
            } else if member.isNamed("finish_reason", in: text) {
                reason = member.value
            } else if member.isNamed("usage", in: text) {
                usage = member.value
            } else if member.isNamed("text", in: text) {
                completion = member.value
            }
        }
        if finish == nil, let reason, let word = text.string(reason), !word.isEmpty, word != "null" { finish = word }
        try note(usage: usage, in: text)
        if isMeaningful { return members.position }
        if let delta, text.isObject(delta) {
            isMeaningful = try Self.hasAnswer(delta, in: text)
        } else if let message, text.isObject(message) {
            isMeaningful = try Self.hasAnswer(message, in: text)
        } else if let completion {
            isMeaningful = !text.isBlank(completion)
        }
        return members.position
    }

    private mutating func note(usage place: Range<Int>?, in text: JSONText) throws(JSONError) {
        guard let place, text.isObject(place) else { return }
        usage.merge(try Usage(chat: text, at: place.lowerBound, reasoningOutsideOutput: reasoningOutsideOutput))
    }

    /// Whether a delta or a message holds a part of the answer.
    private static func hasAnswer(_ said: Range<Int>, in text: JSONText) throws(JSONError) -> Bool {
        // A bit for each field, since only the last of a name counts.
        var filled: UInt32 = 0
        var members = try text.members(at: said.lowerBound)
        while let member = try members.next() {
            guard let field = answerField(member, in: text) else { continue }
            filled &= ~(1 << field)
            if !text.isBlank(member.value) { filled |= 1 << field }
        }
        return filled != 0
    }

    /// The number of a field of a delta or a message that holds a part of the answer, reasoning under every name
    /// vendors give it.
    @inline(__always)
    private static func answerField(_ member: JSONMember, in text: JSONText) -> UInt32? {
        if member.isNamed("content", in: text) { return 0 }
        if member.isNamed("reasoning_content", in: text) { return 1 }
        if member.isNamed("reasoning", in: text) { return 2 }
        if member.isNamed("reasoning_details", in: text) { return 3 }
        if member.isNamed("thinking", in: text) { return 4 }
        if member.isNamed("tool_calls", in: text) { return 5 }
        if member.isNamed("function_call", in: text) { return 6 }
        if member.isNamed("refusal", in: text) { return 7 }
        if member.isNamed("audio", in: text) { return 8 }
        if member.isNamed("images", in: text) { return 9 }
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
