// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Reads the turns of a request. What belongs to a part beside its content (`videoMetadata`, `mediaResolution`) is kept
/// by part in the message's extras.
enum GeminiContentDecoder {
    /// The member of a message's extras that holds, part by part, the fields its parts had beside their own.
    static let partExtras = "parts"
    /// The member of a tool message's extras that names the member its text was in.
    static let wrapper = "wrapper"

    static func contents(_ value: JSONValue) throws(ParleyError) -> [Message] {
        if let text = value.string { return [Message(.user, text: text)] }
        var pairing = CallPairing()
        var messages: [Message] = []
        // Clients that keep a stream send each of its frames as a turn of its own: they are one.
        var spoken: [(part: JSONObject, path: String)] = []
        var first = 0
        func endModel() throws(ParleyError) {
            guard !spoken.isEmpty else { return }
            messages.append(try model(spoken, turn: first, &pairing))
            spoken = []
        }
        for (index, value) in (value.array ?? [value]).enumerated() {
            let path = value.object != nil || value.string != nil ? "contents[\(index)]" : "contents"
            if let text = value.string {
                try endModel()
                messages.append(Message(.user, text: text))
                continue
            }
            guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
            var fields = FieldReader(GeminiNames.camel(object), path: path)
            let role = try fields.string("role") ?? "user"
            let parts = try parts(&fields, path)
            if role == "model" || role == "assistant" {
                if spoken.isEmpty { first = index }
                spoken += parts.enumerated().map { ($1, "\(path).parts[\($0)]") }
                continue
            }
            try endModel()
            switch role {
            case "user", "function", "tool": messages += try user(parts, path, &pairing)
            case "system": messages.append(Message(.system, try plain(parts, path)))
            default: throw RequestFault.value(path + ".role", role, supported: ["user", "model"])
            }
        }
        try endModel()
        return messages
    }

    static func system(_ value: JSONValue, _ path: String) throws(ParleyError) -> Message {
        if let text = value.string { return Message(.system, text: text) }
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(GeminiNames.camel(object), path: path)
        return Message(.system, try plain(try parts(&fields, path), path))
    }

    private static func parts(_ fields: inout FieldReader, _ path: String) throws(ParleyError) -> [JSONObject] {
        guard let value = fields.take("parts") else { return [] }
        var parts: [JSONObject] = []
        for (index, part) in (value.array ?? [value]).enumerated() {
            if let text = part.string {
                parts.append(["text": .string(text)])
            } else if let object = part.object {
                parts.append(GeminiNames.camel(object))
            } else {
                throw RequestFault.type("\(path).parts[\(index)]", expected: "an object", got: part)
            }
        }
        return parts
    }

    private static func plain(_ parts: [JSONObject], _ path: String) throws(ParleyError) -> [Part] {
        var content: [Part] = []
        for (index, part) in parts.enumerated() {
            content.append(try GeminiPartDecoder.decode(part, "\(path).parts[\(index)]").part)
        }
        return content
    }

    // MARK: - Turns

    /// A user's turn: each result of a call is a message of its own.
    private static func user(
        _ parts: [JSONObject], _ path: String, _ pairing: inout CallPairing
    ) throws(ParleyError) -> [Message] {
        var messages: [Message] = []
        var run: [(Part, JSONObject)] = []
        func flush() {
            guard !run.isEmpty else { return }
            messages.append(message(.user, run))
            run = []
        }
        for (index, part) in parts.enumerated() {
            let path = "\(path).parts[\(index)]"
            if let response = part["functionResponse"], !response.isNull {
                flush()
                messages.append(try result(response, path + ".functionResponse", &pairing))
            } else {
                let (part, rest) = try GeminiPartDecoder.decode(part, path)
                run.append((part, rest))
            }
        }
        flush()
        if messages.isEmpty { messages.append(Message(.user, [])) }
        return messages
    }

    private static func message(_ role: Message.Role, _ parts: [(Part, JSONObject)]) -> Message {
        var message = Message(role, parts.map(\.0))
        if parts.contains(where: { !$0.1.isEmpty }) {
            let extras = parts.map { $0.1.isEmpty ? JSONValue.null : .object($0.1) }
            message.extras = Extras(.gemini, [partExtras: .array(extras)])
        }
        return message
    }

    /// The model's turn.
    private static func model(
        _ parts: [(part: JSONObject, path: String)], turn: Int, _ pairing: inout CallPairing
    ) throws(ParleyError) -> Message {
        var reasoning: [Reasoning] = []
        var calls: [ToolCall] = []
        var content: [(Part, JSONObject)] = []
        pairing.begin()
        for (part, path) in parts {
            var fields = FieldReader(part, path: path)
            if let value = part["functionCall"], !value.isNull {
                guard let object = value.object else {
                    throw RequestFault.type(path + ".functionCall", expected: "an object", got: value)
                }
                var inner = FieldReader(GeminiNames.camel(object), path: path + ".functionCall")
                let name = try inner.required("name")
                let id = try inner.string("id") ?? GeminiCallID.make("", turn, calls.count)
                let arguments = try inner.object("args") ?? [:]
                var call = ToolCall(id: id, name: name, arguments: JSON.text(.object(arguments)))
                if let signature = try fields.string("thoughtSignature"), ReasoningSeal.openBytes(signature) == nil {
                    call.signature = signature
                    call.origin = .gemini
                }
                pairing.note(call)
                calls.append(call)
            } else if let text = part["text"]?.string, part["thought"]?.bool == true {
                add(text, signed: try fields.string("thoughtSignature"), to: &reasoning)
            } else if part["text"]?.string != nil, let signature = try fields.string("thoughtSignature"),
                ReasoningSeal.openBytes(signature) == nil
            {
                reasoning.append(Reasoning("", signature: signature, origin: .gemini))
                content.append(try GeminiPartDecoder.decode(fields.rest, path))
            } else {
                content.append(try GeminiPartDecoder.decode(part, path))
            }
        }
        var message = message(.assistant, content)
        message.reasoning = reasoning
        message.toolCalls = calls
        return message
    }

    /// Adds a thought. Where its signature is another vendor's, it also signs what was thought since the last one.
    private static func add(_ text: String, signed signature: String?, to reasoning: inout [Reasoning]) {
        guard let signature, let seal = ReasoningSeal.openBytes(signature) else {
            return reasoning.append(Reasoning(text, signature: signature, origin: .gemini))
        }
        var whole = text
        if seal.opaque == nil {
            let signed = reasoning.lastIndex { $0.signature != nil || $0.opaque != nil }
            let start = signed.map { $0 + 1 } ?? 0
            whole = reasoning[start...].map(\.text).joined() + text
            reasoning.removeSubrange(start...)
        }
        reasoning.append(Reasoning(whole, signature: seal.signature, opaque: seal.opaque, origin: seal.origin))
    }

    /// The result of a call.
    private static func result(
        _ value: JSONValue, _ path: String, _ pairing: inout CallPairing
    ) throws(ParleyError) -> Message {
        guard let object = value.object else { throw RequestFault.type(path, expected: "an object", got: value) }
        var fields = FieldReader(GeminiNames.camel(object), path: path)
        let name = try fields.required("name")
        let id = try fields.string("id")
        let response = try fields.object("response") ?? [:]
        var message = Message(.tool, [])
        message.name = name
        message.toolCallID = pairing.pair(id: id, name: name)
        var extras = JSONObject()
        if response.members.count == 1, let member = response.members.first,
            ["output", "result", "error"].contains(member.key), let text = member.value.string
        {
            message.content = [.text(text)]
            message.isError = member.key == "error"
            extras[wrapper] = .string(member.key)
        } else {
            message.content = [.text(JSON.text(.object(response)))]
        }
        message.contentIsText = true
        for (index, part) in (try fields.array("parts") ?? []).enumerated() {
            let path = "\(path).parts[\(index)]"
            guard let object = part.object else { throw RequestFault.type(path, expected: "an object", got: part) }
            message.content.append(try GeminiPartDecoder.decode(GeminiNames.camel(object), path).part)
            message.contentIsText = false
        }
        for member in fields.rest.members where !member.value.isNull { extras.members.append(member) }
        if !extras.isEmpty { message.extras = Extras(.gemini, extras) }
        return message
    }
}

/// Pairs results with the calls before them where they have no ids: by name, in order.
struct CallPairing {
    private var open: [(id: String, name: String)] = []
    private var made = 0

    /// A new turn of the model begins: older calls are over.
    mutating func begin() { open = [] }

    mutating func note(_ call: ToolCall) { open.append((call.id, call.name)) }

    /// The id of the call that a result answers.
    mutating func pair(id: String?, name: String) -> String {
        if let id {
            open.removeAll { $0.id == id }
            return id
        }
        if let index = open.firstIndex(where: { $0.name == name }) { return open.remove(at: index).id }
        made += 1
        return GeminiCallID.make("unpaired", made, 0)
    }
}

/// Reads one part that is neither a call nor a result.
enum GeminiPartDecoder {
    /// The part and the fields it had beside its own.
    static func decode(_ object: JSONObject, _ path: String) throws(ParleyError) -> (part: Part, rest: JSONObject) {
        var fields = FieldReader(object, path: path)
        fields.rest.members.removeAll { $0.value.isNull }
        guard fields.rest.members.contains(where: { isContent($0.key) }) else {
            guard !fields.rest.isEmpty else { throw RequestFault.missing(path + ".text") }
            return (.opaque(.gemini, .object(fields.rest)), [:])
        }
        if let text = try fields.string("text") { return (.text(text), fields.rest) }
        if let blob = try fields.object("inlineData") { return (try inline(blob, path + ".inlineData"), fields.rest) }
        if let file = try fields.object("fileData") {
            let part = try linked(file, path + ".fileData", &fields.rest)
            return (part, fields.rest)
        }
        throw RequestFault.missing(path + ".text")
    }

    private static func isContent(_ name: String) -> Bool { ["text", "inlineData", "fileData"].contains(name) }

    private static func inline(_ object: JSONObject, _ path: String) throws(ParleyError) -> Part {
        var fields = FieldReader(GeminiNames.camel(object), path: path)
        let type = try fields.required("mimeType").lowercased()
        let data = Base64Text.standard(try fields.required("data"))
        let url = DataURL(mediaType: type, base64: data).text
        if type.hasPrefix("image/") { return .image(url: url, detail: nil) }
        if type.hasPrefix("audio/") { return .audio(data: data, format: MediaType.audioFormat(type)) }
        var file = FilePart(data: url, name: try fields.string("displayName"))
        file.mediaType = type
        return .file(file)
    }

    private static func linked(
        _ object: JSONObject, _ path: String, _ rest: inout JSONObject
    ) throws(ParleyError) -> Part {
        var fields = FieldReader(GeminiNames.camel(object), path: path)
        let uri = try fields.required("fileUri")
        let type = try fields.string("mimeType")
        let isOwn = uri.hasPrefix("gs:") || uri.contains("googleapis.com/")
        if let type, type.hasPrefix("image/"), uri.hasPrefix("http"), !isOwn {
            // The type is only worth keeping where the address does not say it.
            if MediaType.guess(uri) != type { rest["fileData"] = ["mimeType": .string(type)] }
            return .image(url: uri, detail: nil)
        }
        var file = FilePart(name: try fields.string("displayName"))
        file.url = uri
        file.mediaType = type
        return .file(file)
    }
}
