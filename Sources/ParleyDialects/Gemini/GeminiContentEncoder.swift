// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

extension GeminiRequestEncoder {
    /// The literal that Gemini 3 takes in place of a signature, for calls that it did not make itself.
    static let skippedSignature = "skip_thought_signature_validator"

    /// The turns as Gemini wants them: the user's and the model's in turn, the user's first.
    mutating func encodeTurns() throws(ParleyError) -> (system: [JSONValue], contents: [JSONValue]) {
        var system: [JSONValue] = []
        var turns: [(role: String, parts: [JSONValue])] = []
        /// Media of results for models that take none inside of them; they follow the results.
        var media: [JSONValue] = []
        func add(_ role: String, _ parts: [JSONValue]) {
            guard !parts.isEmpty else { return }
            if turns.last?.role == role {
                turns[turns.count - 1].parts += parts
            } else {
                turns.append((role, parts))
            }
        }
        for (index, message) in request.messages.enumerated() {
            let path = "messages[\(index)]"
            if !message.cacheMarks.isEmpty { drop("cache_control") }
            if message.role != .tool, message.role != .function {
                add("user", media)
                media = []
                if message.name != nil { drop("messages[].name") }
            }
            switch message.role {
            case .system, .developer:
                let parts = try encode(message.content, of: message, path)
                if turns.isEmpty { system += parts } else { add("user", parts) }
            case .user: add("user", try encode(message.content, of: message, path))
            case .assistant: add("model", try encodeModel(message, path))
            case .tool, .function:
                let (result, extra) = try encodeResult(message, path)
                add("user", [result])
                media += extra
            }
        }
        add("user", media)
        // Gemini refuses a conversation that begins with its own words, and one without any.
        if turns.first?.role != "user" { turns.insert(("user", [["text": " "]]), at: 0) }
        return (system, turns.map { ["role": .string($0.role), "parts": .array($0.parts)] })
    }

    // MARK: - The model's turns

    private mutating func encodeModel(_ message: Message, _ path: String) throws(ParleyError) -> [JSONValue] {
        var parts: [JSONValue] = []
        var signatures: [String] = []
        for piece in message.reasoning {
            guard piece.origin == .gemini else {
                drop("messages[].reasoning_content")
                continue
            }
            if piece.text.isEmpty {
                if let signature = piece.signature { signatures.append(signature) }
                continue
            }
            var part: JSONObject = ["text": .string(piece.text), "thought": true]
            if let signature = piece.signature { part.members.append(.init("thoughtSignature", .string(signature))) }
            parts.append(.object(part))
        }
        var content = try encode(message.content, of: message, path, keepsEmpty: !signatures.isEmpty)
        if let refusal = message.refusal, !refusal.isEmpty { content.append(["text": .string(refusal)]) }
        Self.sign(&content, with: signatures)
        parts += content
        for (index, call) in message.toolCalls.enumerated() {
            parts.append(.object(encode(call, isFirst: index == 0)))
        }
        return parts
    }

    /// Puts the signatures back on the text they came with: on the last ones, since that is where Gemini puts them.
    private static func sign(_ parts: inout [JSONValue], with signatures: [String]) {
        var places = parts.indices.filter { parts[$0]["text"] != nil && parts[$0]["thoughtSignature"] == nil }
        for signature in signatures.reversed() {
            if let place = places.popLast(), case .object(var part) = parts[place] {
                part.members.append(.init("thoughtSignature", .string(signature)))
                parts[place] = .object(part)
            } else {
                parts.append(["text": "", "thoughtSignature": .string(signature)])
            }
        }
        parts.removeAll { $0["text"] == "" && $0["thoughtSignature"] == nil }
    }

    private func encode(_ call: ToolCall, isFirst: Bool) -> JSONObject {
        var function: JSONObject = ["name": .string(call.name), "args": .object(arguments(call))]
        if let id = sent(call.id) { function.members.append(.init("id", .string(id))) }
        var part: JSONObject = ["functionCall": .object(function)]
        if let signature = signature(of: call) {
            part.members.append(.init("thoughtSignature", .string(signature)))
        } else if isFirst, model.isThird {
            part.members.append(.init("thoughtSignature", .string(Self.skippedSignature)))
        }
        return part
    }

    private func signature(of call: ToolCall) -> String? {
        call.origin == .gemini ? call.signature : nil
    }

    private func arguments(_ call: ToolCall) -> JSONObject {
        if call.isCustom { return ["input": .string(call.arguments)] }
        guard !call.arguments.isEmpty else { return [:] }
        guard let object = (try? JSON.parse(call.arguments))?.object else { return ["input": .string(call.arguments)] }
        return object
    }

    /// The id of a call as the service may see it; nil for one that it did not give, or where it takes none.
    private func sent(_ id: String?) -> String? {
        guard dialect.platform != .vertex, let id, !id.isEmpty, !GeminiCallID.isMadeUp(id) else { return nil }
        return id
    }

    // MARK: - Results

    private mutating func encodeResult(
        _ message: Message, _ path: String
    ) throws(ParleyError) -> (result: JSONValue, media: [JSONValue]) {
        let extras = message.extras.of(.gemini)
        var text = ""
        var media: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            if case .text(let piece) = part {
                text += piece
            } else {
                media.append(.object(try encode(part, "\(path).content[\(index)]")))
            }
        }
        let name = message.toolCallID.flatMap { names[$0] } ?? message.name ?? "tool"
        var response: JSONObject = ["name": .string(name), "response": .object(response(text, message, extras))]
        if let id = sent(message.toolCallID) { response.members.insert(.init("id", .string(id)), at: 0) }
        if model.isThird, !media.isEmpty {
            response.members.append(.init("parts", .array(media)))
            media = []
        }
        response.members += extras.members.filter { $0.key != GeminiContentDecoder.wrapper }
        return (["functionResponse": .object(response)], media)
    }

    private func response(_ text: String, _ message: Message, _ extras: JSONObject) -> JSONObject {
        if let wrapper = extras[GeminiContentDecoder.wrapper]?.string { return [wrapper: .string(text)] }
        let value = try? JSON.parse(text)
        if message.isError { return ["error": value?.object.map { .object($0) } ?? .string(text)] }
        switch value {
        case .object(let object)?: return object
        case .array?: return ["result": value ?? .null]
        default: return ["result": .string(text)]
        }
    }

    // MARK: - Parts

    private mutating func encode(
        _ content: [Part], of message: Message, _ path: String, keepsEmpty: Bool = false
    ) throws(ParleyError) -> [JSONValue] {
        let extras = message.extras.of(.gemini)[GeminiContentDecoder.partExtras]?.array ?? []
        var parts: [JSONValue] = []
        for (index, part) in content.enumerated() {
            if case .text("") = part, !keepsEmpty { continue }
            var object = try encode(part, "\(path).content[\(index)]")
            if index < extras.count, let fields = extras[index].object {
                for member in fields.members { Self.merge(member, into: &object) }
            }
            parts.append(.object(object))
        }
        return parts
    }

    private static func merge(_ member: JSONObject.Member, into object: inout JSONObject) {
        if case .object(var own)? = object[member.key], case .object(let more) = member.value {
            for inner in more.members { own[inner.key] = inner.value }
            object[member.key] = .object(own)
        } else if object[member.key] == nil {
            object.members.append(member)
        }
    }

    private mutating func encode(_ part: Part, _ path: String) throws(ParleyError) -> JSONObject {
        switch part {
        case .text(let text), .refusal(let text): return ["text": .string(text)]
        case .image(let url, let detail):
            if let detail, detail != "auto" { drop("image_url.detail") }
            if let data = DataURL(url) { return Self.inline(data.mediaType, data.base64) }
            return Self.linked(url, MediaType.guess(url) ?? "image/jpeg")
        case .audio(let data, let format): return Self.inline(MediaType.audio(format), data)
        case .file(let file): return try encode(file, path)
        case .opaque(.gemini, let value):
            if let object = value.object { return object }
        case .opaque: break
        }
        throw ParleyError(
            .invalid, "Invalid value for '\(path)': Gemini has no such content part.", code: "unsupported_value",
            parameter: path)
    }

    private func encode(_ file: FilePart, _ path: String) throws(ParleyError) -> JSONObject {
        if let text = file.text { return ["text": .string(text)] }
        if let data = file.data {
            if let url = DataURL(data) { return Self.inline(file.mediaType ?? url.mediaType, url.base64, file.name) }
            return Self.inline(file.mediaType ?? file.name.flatMap(MediaType.guess) ?? "application/pdf", data)
        }
        if let url = file.url {
            if let data = DataURL(url) { return Self.inline(data.mediaType, data.base64) }
            return Self.linked(url, file.mediaType ?? MediaType.guess(file.name ?? url), file.name)
        }
        throw ParleyError(
            .invalid, "Invalid value for '\(path).file_id': files of another vendor cannot be read by Gemini.",
            code: "unsupported_value", parameter: path + ".file_id")
    }

    private static func inline(_ type: String, _ data: String, _ name: String? = nil) -> JSONObject {
        var blob: JSONObject = ["mimeType": .string(type), "data": .string(data)]
        if let name { blob.members.append(.init("displayName", .string(name))) }
        return ["inlineData": .object(blob)]
    }

    private static func linked(_ url: String, _ type: String?, _ name: String? = nil) -> JSONObject {
        var file = JSONObject()
        if let type, !type.hasSuffix("/*") { file.members.append(.init("mimeType", .string(type))) }
        file.members.append(.init("fileUri", .string(url)))
        if let name { file.members.append(.init("displayName", .string(name))) }
        return ["fileData": .object(file)]
    }
}
