// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

extension ConverseRequestEncoder {
    /// The block of a content part; nil for blank text, which Converse refuses.
    ///
    /// - Throws: `invalid` where Bedrock has no such content, naming the part.
    mutating func block(_ part: Part, _ path: String) throws(ParleyError) -> JSONValue? {
        switch part {
        case .text(let text), .refusal(let text): return text.isBlank ? nil : ["text": .string(text)]
        case .image(let url, let detail):
            if let detail, detail != "auto" { drop("image_url.detail") }
            return try image(url, path)
        case .audio(let data, let format):
            let format = format.lowercased()
            guard Self.audioFormats.contains(format) else {
                throw Self.noPart(path, "Amazon Bedrock does not take audio in this format.")
            }
            return ["audio": ["format": .string(format), "source": ["bytes": .string(data)]]]
        case .file(let file): return try self.file(file, path)
        case .opaque(.bedrock, let block): return block
        case .opaque: throw Self.noPart(path, "Amazon Bedrock has no such content part.")
        }
    }

    // MARK: - Images

    private func image(_ url: String, _ path: String) throws(ParleyError) -> JSONValue {
        if let data = DataURL(url) {
            guard let format = Self.imageFormats[data.mediaType] else {
                throw Self.noPart(path, "Amazon Bedrock takes images as PNG, JPEG, GIF or WebP.")
            }
            return ["image": ["format": .string(format), "source": ["bytes": .string(data.base64)]]]
        }
        guard url.hasPrefix("s3://") else {
            throw Self.noPart(
                path, "Amazon Bedrock does not fetch images; send a data: URL or the s3:// address of an image.")
        }
        let format = MediaType.guess(url).flatMap { Self.imageFormats[$0] } ?? "png"
        return ["image": ["format": .string(format), "source": ["s3Location": ["uri": .string(url)]]]]
    }

    // MARK: - Files

    private mutating func file(_ file: FilePart, _ path: String) throws(ParleyError) -> JSONValue {
        if let text = file.text {
            let type = file.mediaType.flatMap { Self.documentFormats[$0] }
            return document(type ?? "txt", file.name, ["text": .string(text)])
        }
        var type = file.mediaType
        let source: JSONValue
        if let given = file.data {
            let data = DataURL(given)
            type = data?.mediaType ?? type
            source = ["bytes": .string(data?.base64 ?? given)]
        } else if let url = file.url, url.hasPrefix("s3://") {
            source = ["s3Location": ["uri": .string(url)]]
        } else {
            throw Self.noPart(
                path, "Amazon Bedrock takes files as base64 or by their s3:// address, not by id or web address.")
        }
        if type == nil || type == "application/octet-stream" || type?.hasSuffix("/*") == true {
            type = (file.name ?? file.url).flatMap(MediaType.guess) ?? type
        }
        let word = type ?? "application/pdf"
        if let format = Self.documentFormats[word] { return document(format, file.name, source) }
        if let format = Self.imageFormats[word] { return ["image": ["format": .string(format), "source": source]] }
        if let format = Self.videoFormats[word] { return ["video": ["format": .string(format), "source": source]] }
        if word.hasPrefix("text/") { return document("txt", file.name, source) }
        throw Self.noPart(path, "Amazon Bedrock does not take files of this type.")
    }

    private mutating func document(_ format: String, _ name: String?, _ source: JSONValue) -> JSONValue {
        let name = documentName(name)
        return ["document": ["format": .string(format), "name": .string(name), "source": source]]
    }

    /// A name that Bedrock takes: letters, digits, single spaces, hyphens, parentheses and square brackets, and none
    /// twice in a request.
    private mutating func documentName(_ given: String?) -> String {
        var name = ""
        let stem = given.map { text in
            text.lastIndex(of: ".").map { $0 == text.startIndex ? text[...] : text[..<$0] } ?? text[...]
        }
        for character in stem ?? "" {
            let isFine = character.isASCII && (character.isLetter || character.isNumber || "-()[]".contains(character))
            if isFine { name.append(character) } else if !name.isEmpty, name.last != " " { name.append(" ") }
            if name.utf8.count == 180 { break }
        }
        while name.last == " " { name.removeLast() }
        if name.isEmpty { name = "document" }
        var unique = name
        var count = 2
        while !documentNames.insert(unique).inserted {
            unique = "\(name) \(count)"
            count += 1
        }
        return unique
    }

    // MARK: - Formats

    static let imageFormats = [
        "image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp",
    ]
    private static let videoFormats = [
        "video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm", "video/mpeg": "mpeg",
        "video/x-matroska": "mkv", "video/x-flv": "flv", "video/x-ms-wmv": "wmv", "video/3gpp": "three_gp",
    ]
    private static let audioFormats: Set<String> = [
        "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm",
    ]
    private static let documentFormats = [
        "application/pdf": "pdf", "text/csv": "csv", "application/msword": "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx", "text/html": "html",
        "text/plain": "txt", "text/markdown": "md",
    ]
}
