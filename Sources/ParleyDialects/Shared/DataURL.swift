// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A `data:` URL with base64 in it, taken apart (RFC 2397).
struct DataURL: Equatable {
    /// The media type without its parameters, e.g. `image/png`.
    var mediaType: String
    /// The content as base64.
    var base64: String

    init(mediaType: String, base64: String) {
        self.mediaType = mediaType
        self.base64 = base64
    }

    /// Takes an address apart; nil where it is no `data:` URL or not in base64.
    init?(_ url: String) {
        guard url.utf8.count > 5, url.prefix(5).lowercased() == "data:" else { return nil }
        guard let comma = url.utf8.firstIndex(of: UInt8(ascii: ",")) else { return nil }
        let words = url[..<comma].dropFirst(5).split(separator: ";", omittingEmptySubsequences: false)
        guard words.dropFirst().contains(where: { $0.lowercased() == "base64" }) else { return nil }
        let type = words.first.map { $0.lowercased() } ?? ""
        mediaType = type.isEmpty ? "text/plain" : type
        base64 = String(url[url.utf8.index(after: comma)...])
    }

    /// The address.
    var text: String { "data:\(mediaType);base64,\(base64)" }
}

/// Media types by the endings of names and addresses, for APIs that want one where the client gave none.
enum MediaType {
    static let byEnding = [
        "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
        "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain",
        "md": "text/markdown", "html": "text/html", "csv": "text/csv", "json": "application/json",
        "mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg", "flac": "audio/flac", "m4a": "audio/mp4",
        "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mpeg": "video/mpeg",
        "doc": "application/msword", "xls": "application/vnd.ms-excel",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ]

    /// The type that a file name or an address suggests; nil where it suggests none.
    static func guess(_ name: String) -> String? {
        let path = name.prefix { $0 != "?" && $0 != "#" }
        guard let dot = path.lastIndex(of: ".") else { return nil }
        return byEnding[path[path.index(after: dot)...].lowercased()]
    }

    /// The type of OpenAI's audio formats (`wav`, `mp3`, …).
    static func audio(_ format: String) -> String { byEnding[format.lowercased()] ?? "audio/\(format.lowercased())" }

    /// OpenAI's word for an audio type.
    static func audioFormat(_ type: String) -> String {
        if type == "audio/x-wav" { return "wav" }
        return byEnding.filter { $0.value == type }.keys.min() ?? String(type.dropFirst("audio/".count))
    }
}
