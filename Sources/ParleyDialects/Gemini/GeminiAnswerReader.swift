// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads answers of Gemini, whole ones and the pieces of a stream alike: a piece is an answer with more of the text.
struct GeminiAnswerReader {
    private struct Choice {
        var number: Int
        var calls = 0
        var hasContent = false
        var isFinished = false
        /// A call whose arguments come in pieces.
        var open: PartialCall?
    }

    private var identity: AnswerIdentity?
    private var seed = ""
    private var choices: [Choice] = []
    private var usage = Usage()

    /// Whether every choice so far has its end.
    var isFinished: Bool { !choices.isEmpty && choices.allSatisfy(\.isFinished) }

    /// Reads an answer or a piece of one.
    ///
    /// - Throws: the upstream's error, `contentFiltered` for a blocked prompt, `upstreamUnavailable` for an answer that
    ///   was broken off without content.
    mutating func read(_ frame: JSONObject, into events: inout [Event]) throws(ParleyError) {
        if let failure = GeminiFailure.embedded(frame) { throw failure }
        let candidates = frame["candidates"]?.array ?? []
        if candidates.isEmpty, choices.isEmpty, let reason = frame["promptFeedback"]?["blockReason"]?.string {
            throw GeminiFinish.blocked(reason)
        }
        identify(frame, into: &events)
        for (position, value) in candidates.enumerated() {
            guard let candidate = value.object else { continue }
            let index = slot(max(0, candidate["index"]?.int ?? position))
            try read(candidate, index, into: &events)
        }
        var merged = usage
        merged.merge(GeminiUsage.read(frame["usageMetadata"]))
        if merged != usage {
            usage = merged
            events.append(.usage(merged))
        }
    }

    /// The upstream ended: what is open is closed.
    mutating func end(into events: inout [Event]) {
        for index in choices.indices { closeCall(index, into: &events) }
    }

    private mutating func identify(_ frame: JSONObject, into events: inout [Event]) {
        guard identity == nil else { return }
        var known = AnswerIdentity(
            id: frame["responseId"]?.string ?? "", model: frame["modelVersion"]?.string ?? "", created: 0)
        let own = ["candidates", "usageMetadata", "modelVersion", "responseId", "error"]
        let rest = frame.members.filter { !own.contains($0.key) && !$0.value.isNull }
        if !rest.isEmpty { known.extras = Extras(.gemini, JSONObject(rest)) }
        identity = known
        seed = known.id.isEmpty ? String(UInt64.random(in: .min ... .max)) : known.id
        events.append(.start(known))
    }

    private mutating func slot(_ number: Int) -> Int {
        if let index = choices.firstIndex(where: { $0.number == number }) { return index }
        choices.append(Choice(number: number))
        return choices.count - 1
    }

    private mutating func read(
        _ candidate: JSONObject, _ index: Int, into events: inout [Event]
    ) throws(ParleyError) {
        let number = choices[index].number
        for part in candidate["content"]?["parts"]?.array ?? [] {
            if let part = part.object { readPart(part, index, into: &events) }
        }
        if let value = candidate["logprobsResult"], let logprobs = GeminiLogprobs.read(value) {
            events.append(.logprobs(choice: number, logprobs))
        }
        let meaning = GeminiFinish.read(candidate["finishReason"]?.string)
        putExtras(candidate, number, isLast: meaning != .none, into: &events)
        guard meaning != .none, !choices[index].isFinished else { return }
        closeCall(index, into: &events)
        var reason = FinishReason.stop
        switch meaning {
        case .none: break
        case .finish(let said): reason = said
        case .broken(let word):
            guard choices[index].hasContent else {
                throw GeminiFinish.failure(word, candidate["finishMessage"]?.string)
            }
        }
        if reason == .stop, choices[index].calls > 0 { reason = .toolCalls }
        choices[index].isFinished = true
        events.append(.finish(choice: number, reason))
    }

    /// What a candidate has beside its content, e.g. its grounding; ratings are repeated and only the last ones count.
    private func putExtras(_ candidate: JSONObject, _ number: Int, isLast: Bool, into events: inout [Event]) {
        var rest = JSONObject()
        for member in candidate.members {
            switch member.key {
            case "content", "finishReason", "index", "logprobsResult": continue
            case "safetyRatings", "tokenCount": if !isLast { continue }
            default: break
            }
            guard !member.value.isNull, member.value != [:], member.value != [] else { continue }
            rest.members.append(member)
        }
        if !rest.isEmpty { events.append(.extra(choice: number, Extras(.gemini, rest))) }
    }

    // MARK: - Parts

    private mutating func readPart(_ part: JSONObject, _ index: Int, into events: inout [Event]) {
        let number = choices[index].number
        let signature = part["thoughtSignature"]?.string
        if let call = part["functionCall"]?.object {
            readCall(call, signature, index, into: &events)
        } else if let text = part["text"]?.string {
            if part["thought"]?.bool == true {
                guard !text.isEmpty || signature != nil else { return }
                events.append(
                    .reasoning(choice: number, Reasoning(text, signature: signature, origin: .gemini)))
            } else {
                if !text.isEmpty { events.append(.text(choice: number, text)) }
                if let signature {
                    events.append(.reasoning(choice: number, Reasoning("", signature: signature, origin: .gemini)))
                }
                guard !text.isEmpty else { return }
            }
            choices[index].hasContent = true
        } else if !part.isEmpty {
            choices[index].hasContent = true
            events += Self.media(part, number)
        }
    }

    /// Audio and images as OpenAI's clients know them; anything else is Gemini's own.
    private static func media(_ part: JSONObject, _ number: Int) -> [Event] {
        if part["thoughtSignature"] == nil, let blob = part["inlineData"], let data = blob["data"]?.string {
            let type = blob["mimeType"]?.string ?? ""
            if type.hasPrefix("audio/") {
                return [.audio(choice: number, ["data": .string(data), "mime_type": .string(type)])]
            }
            if type.hasPrefix("image/") {
                let url = DataURL(mediaType: type, base64: data).text
                let image: JSONValue = ["type": "image_url", "image_url": ["url": .string(url)]]
                return [.extra(choice: number, Extras(.openAIChat, ["images": [image]]))]
            }
        }
        return [.extra(choice: number, Extras(.gemini, ["parts": [.object(part)]]))]
    }

    // MARK: - Calls

    private mutating func readCall(
        _ object: JSONObject, _ signature: String?, _ index: Int, into events: inout [Event]
    ) {
        let number = choices[index].number
        choices[index].hasContent = true
        let goesOn = object["willContinue"]?.bool ?? false
        guard let name = object["name"]?.string, !name.isEmpty else {
            for piece in object["partialArgs"]?.array ?? [] { choices[index].open?.take(piece) }
            if !goesOn { closeCall(index, into: &events) }
            return
        }
        closeCall(index, into: &events)
        let place = choices[index].calls
        choices[index].calls += 1
        let given = object["id"]?.string ?? ""
        var call = ToolCall(
            id: given.isEmpty ? GeminiCallID.make(seed, number, place) : given, name: name, arguments: "")
        if let signature {
            call.signature = signature
            call.origin = .gemini
        }
        events.append(.toolCall(choice: number, index: place, call))
        if goesOn || object["partialArgs"] != nil {
            var open = PartialCall(index: place, arguments: object["args"]?.object ?? [:])
            for piece in object["partialArgs"]?.array ?? [] { open.take(piece) }
            choices[index].open = open
            if !goesOn { closeCall(index, into: &events) }
        } else {
            let arguments = JSON.text(.object(object["args"]?.object ?? [:]))
            events.append(.arguments(choice: number, index: place, arguments))
        }
    }

    private mutating func closeCall(_ index: Int, into events: inout [Event]) {
        guard let open = choices[index].open.take() else { return }
        events.append(
            .arguments(
                choice: choices[index].number, index: open.index, JSON.text(.object(open.arguments))))
    }
}

/// Arguments that come in pieces (`streamFunctionCallArguments`): `{"jsonPath":"$.a.b[0]","stringValue":"…"}`.
private struct PartialCall {
    let index: Int
    var arguments: JSONObject

    /// The most steps of a path that are followed.
    private static let deepest = 32

    private enum Step {
        case name(String)
        case element(Int)
    }

    mutating func take(_ piece: JSONValue) {
        guard let path = piece["jsonPath"]?.string else { return }
        let value: JSONValue
        if let text = piece["stringValue"] {
            value = text
        } else if let number = piece["numberValue"] {
            value = number
        } else if let truth = piece["boolValue"] {
            value = truth
        } else {
            value = .null
        }
        let steps = Self.steps(path)
        guard !steps.isEmpty, steps.count <= Self.deepest else { return }
        if case .object(let changed) = Self.put(value, at: steps[...], in: .object(arguments)) { arguments = changed }
    }

    /// `$.a['b'][0]` in steps.
    private static func steps(_ path: String) -> [Step] {
        var steps: [Step] = []
        var rest = Substring(path)
        if rest.hasPrefix("$") { rest.removeFirst() }
        while let first = rest.first {
            rest.removeFirst()
            if first == "[" {
                let inside = rest.prefix { $0 != "]" }
                rest = rest.dropFirst(inside.count + 1)
                if let number = Int(inside), number >= 0 {
                    steps.append(.element(number))
                } else {
                    steps.append(.name(inside.filter { $0 != "'" && $0 != "\"" }))
                }
            } else {
                let name = first == "." ? rest.prefix { $0 != "." && $0 != "[" } : Substring(String(first))
                rest = first == "." ? rest.dropFirst(name.count) : rest
                if !name.isEmpty { steps.append(.name(String(name))) }
            }
        }
        return steps
    }

    private static func put(_ value: JSONValue, at steps: ArraySlice<Step>, in target: JSONValue?) -> JSONValue {
        guard let step = steps.first else {
            if case .string(let text)? = target, case .string(let more) = value { return .string(text + more) }
            return value
        }
        let rest = steps.dropFirst()
        switch step {
        case .name(let name):
            var object = target?.object ?? [:]
            object[name] = put(value, at: rest, in: object[name])
            return .object(object)
        case .element(let number):
            var list = target?.array ?? []
            // Elements come in order: one far behind the end would be a hole.
            if number < list.count {
                list[number] = put(value, at: rest, in: list[number])
            } else {
                list.append(put(value, at: rest, in: nil))
            }
            return .array(list)
        }
    }
}
