// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

extension ChatRequestEncoder {
    mutating func encode(_ messages: [Message]) throws(ParleyError) -> [JSONValue] {
        var list: [JSONValue] = []
        list.reserveCapacity(messages.count)
        var shown: [Part] = []
        for (index, message) in messages.enumerated() {
            if message.role != .tool, !shown.isEmpty { list.append(try aside(&shown)) }
            list.append(.object(try encode(split(message, &shown), "messages[\(index)]")))
        }
        if !shown.isEmpty { list.append(try aside(&shown)) }
        return list
    }

    /// A tool's result without what only a user's turn may show: images, audio and files gather in `shown`, since the
    /// turn that shows them has to wait for all results.
    private func split(_ message: Message, _ shown: inout [Part]) -> Message {
        func isPlain(_ part: Part) -> Bool {
            switch part {
            case .text, .refusal, .opaque: true
            case .file(let file): file.text != nil && file.data == nil && file.id == nil
            case .image, .audio: false
            }
        }
        guard message.role == .tool, message.extras.of(.openAIChat).isEmpty,
            !message.content.allSatisfy({ isPlain($0) })
        else { return message }
        var message = message
        shown.append(.text("Shown by the tool call \(toolID(message.toolCallID ?? "")):"))
        shown += message.content.filter { !isPlain($0) }
        message.content.removeAll { !isPlain($0) }
        if message.content.isEmpty { message.content = [.text("The result is shown in the user's next message.")] }
        message.cacheMarks = message.cacheMarks.filter { message.content.indices.contains($0.key) }
        return message
    }

    private mutating func aside(_ shown: inout [Part]) throws(ParleyError) -> JSONValue {
        defer { shown = [] }
        return .object(try encode(Message(.user, shown), "messages[].content"))
    }

    private mutating func encode(_ message: Message, _ path: String) throws(ParleyError) -> JSONObject {
        var object = JSONObject()
        var extras = message.extras.of(.openAIChat)
        let partExtras = extras.remove(MessageDecoder.partExtras)?.array ?? []
        let details = extras.remove("reasoning_details")
        let sendsLegacyResult = message.role == .function && quirks.legacyFunctions
        object.members.append(.init("role", .string(word(for: message.role))))
        object.members.append(.init("content", try content(of: message, marked(message, partExtras), path)))
        if let name = message.name { object.members.append(.init("name", .string(name))) }
        if let refusal = message.refusal { object.members.append(.init("refusal", .string(refusal))) }
        if let id = message.toolCallID, !sendsLegacyResult {
            object.members.append(.init("tool_call_id", .string(toolID(id))))
        }
        if let call = message.toolCalls.first, call.isLegacy, quirks.legacyFunctions {
            object.members.append(
                .init("function_call", ["name": .string(call.name), "arguments": .string(call.arguments)]))
        } else if !message.toolCalls.isEmpty {
            object.members.append(.init("tool_calls", .array(message.toolCalls.map { encode($0) })))
        }
        if !message.reasoning.isEmpty {
            if quirks.acceptsReasoningBack {
                let carried = quirks.foreignReasoning ? message.reasoning : message.reasoning.compactMap(Self.plain)
                ReasoningFields.put(carried, into: &object, name: quirks.reasoningField)
                if let details, carried == message.reasoning, Self.says(details, carried) {
                    object["reasoning_details"] = details
                }
            } else {
                drop(["messages[].reasoning_content"])
            }
        }
        if message.isError { drop(["messages[].is_error"]) }
        for member in extras.members where object[member.key] == nil { object.members.append(member) }
        return object
    }

    /// Reasoning of another dialect's as its text alone; nil where there is none to be read.
    private static func plain(_ reasoning: Reasoning) -> Reasoning? {
        guard let origin = reasoning.origin, origin != .openAIChat else { return reasoning }
        return reasoning.text.isEmpty ? nil : Reasoning(reasoning.text)
    }

    /// Whether the elements a message came with are still what its reasoning says.
    private static func says(_ details: JSONValue, _ reasoning: [Reasoning]) -> Bool {
        (details.array ?? []).allSatisfy { reasoning.contains(ReasoningDetails.reasoning($0)) }
    }

    /// The fields of a message's parts beside their own, with the cache marks that nobody has said yet.
    private mutating func marked(_ message: Message, _ extras: [JSONValue]) -> [JSONValue] {
        var extras = extras
        let saysItself = message.extras.of(.openAIChat)[ChatCacheControl.field] != nil
        for (index, mark) in message.cacheMarks.sorted(by: { $0.key < $1.key }) {
            guard message.content.indices.contains(index) else { continue }
            if extras.indices.contains(index), extras[index][ChatCacheControl.field] != nil { continue }
            if saysItself, index == message.content.count - 1 { continue }
            guard quirks.cacheControl else {
                drop([ChatCacheControl.field])
                continue
            }
            while extras.count <= index { extras.append(.null) }
            var fields = extras[index].object ?? [:]
            fields[ChatCacheControl.field] = ChatCacheControl.value(mark)
            extras[index] = .object(fields)
        }
        return extras
    }

    private func word(for role: Message.Role) -> String {
        switch role {
        case .developer where quirks.developerIsSystem: "system"
        case .function where !quirks.legacyFunctions: "tool"
        default: role.rawValue
        }
    }

    private func content(of message: Message, _ extras: [JSONValue], _ path: String) throws(ParleyError) -> JSONValue {
        // Only a part can have fields beside its own.
        let isPlain = message.contentIsText && extras.isEmpty
        if isPlain, message.content.count == 1, case .text(let text)? = message.content.first {
            return .string(text)
        }
        if message.content.isEmpty {
            return message.role == .assistant || message.role == .function ? .null : .array([])
        }
        var parts: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            var object = try encode(part, "\(path).content[\(index)]")
            if index < extras.count, let fields = extras[index].object {
                for member in fields.members { Self.merge(member, into: &object) }
            }
            parts.append(.object(object))
        }
        return .array(parts)
    }

    /// Adds a field a part had beside its own, inside the part's own object where both are objects.
    private static func merge(_ member: JSONObject.Member, into object: inout JSONObject) {
        if case .object(var own)? = object[member.key], case .object(let more) = member.value {
            own.members += more.members
            object[member.key] = .object(own)
        } else if object[member.key] == nil {
            object.members.append(member)
        }
    }

    private func encode(_ part: Part, _ path: String) throws(ParleyError) -> JSONObject {
        switch part {
        case .text(let text): return ["type": "text", "text": .string(text)]
        case .refusal(let text): return ["type": "refusal", "refusal": .string(text)]
        case .image(let url, let detail):
            var image: JSONObject = ["url": .string(url)]
            if let detail { image.members.append(.init("detail", .string(detail))) }
            return ["type": "image_url", "image_url": .object(image)]
        case .audio(let data, let format):
            return ["type": "input_audio", "input_audio": ["data": .string(data), "format": .string(format)]]
        case .file(let file): return try encode(file, path)
        case .opaque(let dialect, let value):
            if dialect == .openAIChat, let object = value.object { return object }
            throw ParleyError(
                .invalid, "Invalid value for '\(path)': this model's provider has no such content part.",
                code: "unsupported_value", parameter: path)
        }
    }

    private func encode(_ file: FilePart, _ path: String) throws(ParleyError) -> JSONObject {
        if file.id == nil, file.data == nil, let text = file.text { return ["type": "text", "text": .string(text)] }
        let data = file.data.map { Self.dataURL($0, file.mediaType) }
        if quirks.documentURLs, file.id == nil, let address = file.url ?? data {
            return ["type": "document_url", "document_url": .string(address)]
        }
        if let url = file.url, file.id == nil, data == nil, file.mediaType?.hasPrefix("image/") == true {
            return ["type": "image_url", "image_url": ["url": .string(url)]]
        }
        guard file.id != nil || data != nil else {
            throw RequestFault.unsupported(path, "takes files by id or content, not by address")
        }
        var object = JSONObject()
        if let id = file.id { object.members.append(.init("file_id", .string(id))) }
        if let data { object.members.append(.init("file_data", .string(data))) }
        if let name = file.name {
            object.members.append(.init("filename", .string(name)))
        } else if file.mediaType != nil, file.id == nil {
            // OpenAI takes a file's content with a name only; a client of this dialect has said one if it wanted to.
            object.members.append(.init("filename", "file"))
        }
        return ["type": "file", "file": .object(object)]
    }

    /// Content with its type, which other dialects say apart.
    private static func dataURL(_ data: String, _ mediaType: String?) -> String {
        guard let mediaType, DataURL(data) == nil, !data.hasPrefix("data:") else { return data }
        return DataURL(mediaType: mediaType, base64: data).text
    }

    private func encode(_ call: ToolCall) -> JSONValue {
        let type = call.isCustom ? "custom" : "function"
        var inner: JSONObject = [
            "name": .string(call.name), (call.isCustom ? "input" : "arguments"): .string(call.arguments),
        ]
        var extras = quirks.thoughtSignatures ? ThoughtSignature.fields(of: call) : call.extras.of(.openAIChat)
        if call.isLegacy { extras[ToolDecoder.legacyMark] = nil }
        if let nested = extras.remove(type)?.object { inner.members += nested.members }
        var object: JSONObject = ["id": .string(toolID(call.id)), "type": .string(type), type: .object(inner)]
        object.members += extras.members
        return .object(object)
    }

    private func toolID(_ id: String) -> String {
        quirks.shortToolIDs ? ShortToolID.make(id) : id
    }
}

/// Tool call ids of exactly nine letters or digits, as Mistral wants them.
enum ShortToolID {
    /// The same short id for the same id, so that a call and its result still match.
    static func make(_ id: String) -> String {
        if id.utf8.count == 9, id.utf8.allSatisfy(isAlphanumeric) { return id }
        var hash = StableHash()
        hash.combine(id)
        return hash.letters(9)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
}

/// FNV-1a over strings: the same in every process, unlike `Hasher`.
struct StableHash {
    private var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func combine(_ text: String) {
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        value = (value ^ 0xFF) &* 0x0000_0100_0000_01b3
    }

    /// The hash as letters and digits; eleven carry all of it.
    func letters(_ count: Int) -> String {
        let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        var rest = value
        var bytes: [UInt8] = []
        for _ in 0..<count {
            bytes.append(alphabet[Int(rest % 62)])
            rest /= 62
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
