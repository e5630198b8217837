// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOHTTP1
import ParleyCore

/// A path whose requests are passed on as they come.
struct PassedPath: Sendable, Equatable {
    /// The part of the API it belongs to.
    let kind: PassedRequest.Kind
    /// The path below a provider's base URL.
    let path: String
    /// The methods OpenAI has for it.
    let methods: [HTTPMethod]

    private static let longestID = 256

    private init(_ kind: PassedRequest.Kind, _ path: String, _ methods: [HTTPMethod]) {
        self.kind = kind
        self.path = path
        self.methods = methods
    }

    /// The path of a request, with or without its version in front; nil where it is none of these.
    static func find(_ path: Substring) -> PassedPath? {
        if path == "/v2/rerank" { return PassedPath(.rerank, "/rerank", [.POST]) }
        let short = path.hasPrefix("/v1/") ? path.dropFirst(3) : path
        let words = short.dropFirst().split(separator: "/", maxSplits: 4, omittingEmptySubsequences: false)
        guard let first = words.first, let kind = PassedRequest.Kind(rawValue: String(first)),
            let methods = methods(kind, words.dropFirst())
        else { return nil }
        return PassedPath(kind, String(short), methods)
    }

    private static func methods(_ kind: PassedRequest.Kind, _ rest: ArraySlice<Substring>) -> [HTTPMethod]? {
        let (id, action) = (rest.first, rest.dropFirst().first)
        switch (kind, rest.count) {
        case (.moderations, 0), (.rerank, 0): return [.POST]
        case (.images, 1): return ["generations", "edits", "variations"].contains(id) ? [.POST] : nil
        case (.audio, 1): return ["speech", "transcriptions", "translations"].contains(id) ? [.POST] : nil
        case (.files, 0), (.batches, 0): return [.GET, .POST]
        case (.files, 1): return isID(id) ? [.GET, .DELETE] : nil
        case (.files, 2): return isID(id) && action == "content" ? [.GET] : nil
        case (.batches, 1): return isID(id) ? [.GET] : nil
        case (.batches, 2): return isID(id) && action == "cancel" ? [.POST] : nil
        default: return nil
        }
    }

    /// Whether a word can stand in an upstream's path without changing what the path means.
    private static func isID(_ word: Substring?) -> Bool {
        guard let word, (1...longestID).contains(word.utf8.count), word != ".", word != ".." else { return false }
        return word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-_.~:".utf8.contains(byte)
            }
        }
    }

    /// Whether the body of such a request is sent on while it arrives: whatever is not JSON may be large.
    static func isUpload(_ head: RequestHead) -> Bool {
        guard head.method == .POST, let type = head.contentType, !isJSON(type) else { return false }
        return find(Route.path(of: head.target)) != nil
    }

    private static let json: StaticString = "application/json"

    /// Whether a content type is that of JSON. Asked of every request, so without another string.
    static func isJSON(_ type: String) -> Bool {
        // As nearly every client writes it.
        if type == "application/json" { return true }
        var count = 0
        for byte in type.utf8 where count < json.utf8CodeUnitCount {
            let lower = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
            if lower != json.utf8Start[count] { return false }
            count += 1
        }
        return count == json.utf8CodeUnitCount
    }

    /// The query that an upstream sees: all but what is meant for Parley, and no key.
    static func query(of target: String) throws(ParleyError) -> String {
        guard let start = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return "" }
        let text = target[target.utf8.index(after: start)...].prefix { $0 != "#" }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw ParleyError(.invalid, "The query has characters that are not allowed there.", code: "invalid_query")
        }
        let kept = text.split(separator: "&").filter { pair in
            !["provider", "key", "api_key"].contains(Route.percentDecoded(pair.prefix { $0 != "=" }))
        }
        return kept.isEmpty ? "" : "?" + kept.joined(separator: "&")
    }
}
