// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

extension AnthropicTurnEncoder {
    /// A message's content as blocks; text without a character is left out, since the API refuses it.
    mutating func blocks(of message: Message, _ path: String) throws(ParleyError) -> [JSONValue] {
        let extras = message.extras.of(.anthropic)[AnthropicTurnDecoder.partExtras]?.array ?? []
        var blocks: [JSONValue] = []
        for (index, part) in message.content.enumerated() {
            guard var block = try block(part, "\(path).content[\(index)]") else { continue }
            if let mark = message.cacheMarks[index] { block["cache_control"] = .object(CacheControl.object(mark)) }
            if index < extras.count, let fields = extras[index].object {
                for member in fields.members where block[member.key] == nil { block.members.append(member) }
            }
            blocks.append(.object(block))
        }
        return blocks
    }

    /// An assistant's turn: reasoning, content and calls, in the order they came in where that is known.
    mutating func assistant(_ message: Message, _ path: String) throws(ParleyError) -> [JSONValue] {
        let thoughts = message.reasoning.joinedSignatures
        var lists: [Character: [JSONValue?]] = ["r": thoughts.map(Self.block), "c": [], "t": []]
        if thoughts.contains(where: { Self.block($0) == nil && !$0.text.isEmpty }) {
            drop("messages[].reasoning_content")
        }
        var single = message
        for (index, part) in message.content.enumerated() {
            single.content = [part]
            single.cacheMarks = message.cacheMarks[index].map { [0: $0] } ?? [:]
            let extras = message.extras.of(.anthropic)[AnthropicTurnDecoder.partExtras]?.array ?? []
            single.extras = Extras()
            if index < extras.count { single.extras = Extras(.anthropic, ["content": .array([extras[index]])]) }
            lists["c"]?.append(try blocks(of: single, "\(path).content[\(index)]").first)
        }
        for (index, call) in message.toolCalls.enumerated() {
            lists["t"]?.append(.object(try Self.block(call, "\(path).tool_calls[\(index)]")))
        }
        var blocks = Self.ordered(lists, message.extras.of(.anthropic))
        if let refusal = message.refusal, !refusal.isEmpty {
            blocks.append(["type": "text", "text": .string(refusal)])
        }
        return blocks
    }

    /// Reasoning (r), content (c) and calls (t) in the order that an assistant's extras tell, else in that of the neutral
    /// form.
    ///
    /// - Parameter between: blocks that come before the calls where no order is told.
    static func ordered(
        _ lists: [Character: [JSONValue?]], _ extras: JSONObject, between: [JSONValue] = []
    ) -> [JSONValue] {
        var next: [Character: Int] = [:]
        var blocks: [JSONValue] = []
        let order = Array(extras[AnthropicTurnDecoder.order]?.string ?? "")
        let letters: [Character] = ["r", "c", "t"]
        // Whoever changed the turn on its way made the order void.
        let isValid = letters.allSatisfy { letter in
            order.count { $0 == letter } == lists[letter]?.count ?? 0
        }
        guard isValid else {
            return (lists["r"] ?? []).compactMap(\.self) + (lists["c"] ?? []).compactMap(\.self) + between
                + (lists["t"] ?? []).compactMap(\.self)
        }
        for letter in order {
            let index = next[letter, default: 0]
            next[letter] = index + 1
            if let list = lists[letter], index < list.count, let block = list[index] { blocks.append(block) }
        }
        return blocks + between
    }

    /// The block of a piece of reasoning; nil where the API would refuse it.
    static func block(_ reasoning: Reasoning) -> JSONValue? {
        guard isOwn(reasoning) else { return nil }
        if let opaque = reasoning.opaque, let data = opaque["data"]?.string ?? reasoning.signature,
            reasoning.text.isEmpty, opaque["type"] != "reasoning.text"
        {
            return opaque["type"] == "redacted_thinking"
                ? opaque : ["type": "redacted_thinking", "data": .string(data)]
        }
        guard let signature = reasoning.signature else { return nil }
        return ["type": "thinking", "thinking": .string(reasoning.text), "signature": .string(signature)]
    }

    /// The block of a call.
    static func block(_ call: ToolCall, _ path: String) throws(ParleyError) -> JSONObject {
        var block: JSONObject = [
            "type": "tool_use", "id": .string(toolID(call.id)),
            "name": .string(try AnthropicRequestEncoder.checked(call.name, path + ".name")),
            "input": .object(input(call)),
        ]
        block.members += call.extras.of(.anthropic).members
        return block
    }

    /// The arguments as the object they must be: none are `{}`, and what is no object is one's `input`.
    static func input(_ call: ToolCall) -> JSONObject {
        if call.arguments.utf8.allSatisfy({ $0 <= 0x20 }) { return [:] }
        if !call.isCustom, case .object(let object)? = try? JSON.parse(call.arguments) { return object }
        return ["input": .string(call.arguments)]
    }

    // MARK: - Parts

    /// The block of a part; nil for text without a character.
    private mutating func block(_ part: Part, _ path: String) throws(ParleyError) -> JSONObject? {
        switch part {
        case .text(let text), .refusal(let text):
            // White space alone is refused as well.
            guard text.contains(where: { !$0.isWhitespace }) else { return nil }
            return ["type": "text", "text": .string(text)]
        case .image(let url, let detail):
            if let detail, detail != "auto" { drop("image_url.detail") }
            return try Self.image(url, path)
        case .audio:
            throw Self.unsupported(path, "this model's provider takes no audio")
        case .file(let file): return try Self.file(file, path)
        case .opaque(.anthropic, let value):
            guard let object = value.object else { return nil }
            return object
        case .opaque: throw Self.unsupported(path, "this model's provider has no such content part")
        }
    }

    private static func unsupported(_ path: String, _ why: String) -> ParleyError {
        ParleyError(.invalid, "Invalid value for '\(path)': \(why).", code: "unsupported_value", parameter: path)
    }

    private static let imageTypes: Set<String> = ["image/jpeg", "image/png", "image/gif", "image/webp"]

    private static func image(_ url: String, _ path: String) throws(ParleyError) -> JSONObject {
        if let data = DataURL(url) { return try image(data, path) }
        guard url.hasPrefix("https://") || url.hasPrefix("http://") else {
            throw unsupported(path, "an image must be a data: URL in base64 or an http address")
        }
        return ["type": "image", "source": ["type": "url", "url": .string(url)]]
    }

    private static func image(_ data: DataURL, _ path: String) throws(ParleyError) -> JSONObject {
        let type = data.mediaType == "image/jpg" ? "image/jpeg" : data.mediaType
        guard imageTypes.contains(type) else {
            throw unsupported(path, "images of this type are not taken; send JPEG, PNG, GIF or WebP")
        }
        return [
            "type": "image",
            "source": ["type": "base64", "media_type": .string(type), "data": .string(data.base64)],
        ]
    }

    private static func file(_ file: FilePart, _ path: String) throws(ParleyError) -> JSONObject {
        let isImage = file.mediaType?.hasPrefix("image/") == true
        let source: JSONValue
        if let text = file.text {
            source = ["type": "text", "media_type": "text/plain", "data": .string(text)]
        } else if let id = file.id {
            source = ["type": "file", "file_id": .string(id)]
            if isImage { return ["type": "image", "source": source] }
        } else if let url = file.url {
            if isImage { return try image(url, path) }
            guard url.hasPrefix("https://") || url.hasPrefix("http://") else {
                throw unsupported(path, "a file must be given inline or by an http address")
            }
            source = ["type": "url", "url": .string(url)]
        } else {
            let data = try inline(file, path)
            if data.mediaType.hasPrefix("image/") { return try image(data, path) }
            source = try document(data, path)
        }
        var block: JSONObject = ["type": "document", "source": source]
        if let name = file.name { block["title"] = .string(name) }
        return block
    }

    /// The content with its type: said, in the data URL, by the name's ending, or by how a PDF begins.
    private static func inline(_ file: FilePart, _ path: String) throws(ParleyError) -> DataURL {
        guard let data = file.data, !data.isEmpty else { throw RequestFault.missing(path + ".file_data") }
        if var url = DataURL(data) {
            if url.mediaType == "application/octet-stream" { url.mediaType = file.name.flatMap(MediaType.guess) ?? "" }
            return url
        }
        let looksLikePDF = data.hasPrefix("JVBERi")
        let type = file.mediaType ?? file.name.flatMap(MediaType.guess) ?? (looksLikePDF ? "application/pdf" : "")
        return DataURL(mediaType: type, base64: data)
    }

    private static func document(_ data: DataURL, _ path: String) throws(ParleyError) -> JSONValue {
        if data.mediaType == "application/pdf" {
            return ["type": "base64", "media_type": "application/pdf", "data": .string(data.base64)]
        }
        guard data.mediaType.hasPrefix("text/") || data.mediaType == "application/json",
            let bytes = data.bytes, let text = String(validating: bytes, as: UTF8.self)
        else {
            throw unsupported(path, "files of this type are not taken; send PDF, plain text or an image")
        }
        return ["type": "text", "media_type": "text/plain", "data": .string(text)]
    }
}

extension DataURL {
    /// The content without its base64; nil where it is none. White space and the padding are passed over.
    fileprivate var bytes: [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(base64.utf8.count / 4 * 3)
        var group: UInt32 = 0
        var count = 0
        for byte in base64.utf8 where byte > 0x20 && byte != UInt8(ascii: "=") {
            let sextet: UInt8
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): sextet = byte - 0x41
            case UInt8(ascii: "a")...UInt8(ascii: "z"): sextet = byte - 0x61 + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): sextet = byte - 0x30 + 52
            case UInt8(ascii: "+"), UInt8(ascii: "-"): sextet = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): sextet = 63
            default: return nil
            }
            group = group << 6 | UInt32(sextet)
            count += 1
            // Every character behind the first of its four completes a byte.
            guard count % 4 != 1 else { continue }
            let shift = UInt32(6 - 2 * ((count - 1) % 4))
            out.append(UInt8(truncatingIfNeeded: group >> shift))
        }
        return out
    }
}

extension [Reasoning] {
    /// Text whose signature came as a piece of its own, as a stream gives it, in one piece with it.
    var joinedSignatures: [Reasoning] {
        var list: [Reasoning] = []
        for piece in self { ReasoningPieces.append(piece, to: &list) }
        return list
    }
}
