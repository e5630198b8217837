// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
import NIOHTTP1
import ParleyCore

/// What the gateway needs of a request's head, taken out in one pass; the head itself is not kept.
///
/// An object, since it is looked at all along the way of a request, and a copy of it is a dozen retains.
final class RequestHead {
    private(set) var method = HTTPMethod.GET
    /// The request target as it came.
    private(set) var target = ""
    /// Whether the client speaks HTTP/1.0 and knows no chunks.
    private(set) var isHTTP10 = false
    /// Whether the connection may carry another request.
    private(set) var keepsAlive = false
    private var hasClose = false
    /// The body's length, where the head says it.
    private(set) var contentLength: Int?
    /// Whether the body comes in chunks.
    private(set) var isChunked = false
    /// The body's type, where the head says it.
    private(set) var contentType: String?
    /// The provider that the client chooses, where it names no model.
    private(set) var chosenProvider: String?
    /// The model that the client chooses outside the body.
    private(set) var chosenModel: String?
    /// Whether the client waits for `100 Continue` before it sends the body.
    private(set) var expectsContinue = false
    /// The client's own id of the request.
    private(set) var requestID: String?
    /// The key that the client presents; `authorization` wins over the other headers.
    private(set) var credential: String?
    private(set) var origin: String?
    /// Whether the client speaks Anthropic's API: it says so with the version it wants.
    private(set) var isAnthropic = false
    /// Whether the client wants a field that cannot be kept to be refused; nil leaves it to the configuration.
    private(set) var isStrict: Bool?
    /// Whether a kept answer will do.
    private(set) var caching = CachePolicy.normal
    /// The conversation that the client goes on with, where the head says it.
    private(set) var conversation: String?
    /// What a browser asks to be allowed to send.
    private(set) var preflightHeaders: String?
    /// Headers that upstreams may see.
    private(set) var passed: [HeaderField] = []
    /// Every header, of a request that is relayed to the control plane; nil of every other.
    private(set) var relayed: [HeaderField]?
    /// What is wrong with a head that can be read.
    private(set) var failure: ParleyError?

    /// The head of a request that could not be read.
    init() {}

    /// Takes out what is needed of a head's bytes, its empty line included.
    ///
    /// - Throws: `FramingError` where it cannot be told with certainty what was sent.
    init(_ bytes: UnsafeRawBufferPointer) throws(FramingError) {
        var lines = HeadLines(bytes)
        guard let first = lines.next() else { throw FramingError(reason: "there is no request line") }
        try read(RequestLine(first))
        var hosts = 0
        while let line = lines.next() {
            let (name, value) = try Self.field(line)
            if name.isName("host") { hosts += 1 } else { try take(name, value) }
            relayed?.append(HeaderField(String(name).lowercased(), String(value)))
        }
        if isChunked, contentLength != nil {
            throw FramingError(reason: "there are a content-length and a transfer-encoding")
        }
        if isChunked, isHTTP10 { throw FramingError(reason: "HTTP/1.0 has no transfer-encoding") }
        if hosts != 1, !isHTTP10 {
            failure = ParleyError(.invalid, "A request has exactly one host header.", code: "invalid_http")
        }
        // Gemini's clients may send the key in the query.
        if credential == nil, target.utf8.contains(UInt8(ascii: "?")) { credential = Route.query("key", of: target) }
        if isHTTP10 { expectsContinue = false }
    }

    private func read(_ line: RequestLine) {
        method = line.method
        target = line.target
        isHTTP10 = line.isHTTP10
        keepsAlive = !isHTTP10
        if Route.isConsole(target) { relayed = [] }
    }

    /// The name and the value of a header line.
    private static func field(
        _ line: UnsafeRawBufferPointer
    ) throws(FramingError) -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        var colon = 0
        while colon < line.count, line[colon].isTokenCharacter { colon += 1 }
        guard colon > 0, colon < line.count, line[colon] == UInt8(ascii: ":") else {
            throw FramingError(reason: "a header's name is missing, folded or has a character that names cannot have")
        }
        let value = UnsafeRawBufferPointer(rebasing: line[(colon + 1)...]).trimmed
        guard parley_field_run(value.baseAddress, value.count) == value.count else {
            throw FramingError(reason: "a control character is in a header")
        }
        return (UnsafeRawBufferPointer(rebasing: line[..<colon]), value)
    }

    /// The length decides first, so that most headers cost one comparison.
    private func take(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(FramingError) {
        switch name.count {
        case 6 where name.isName("expect"): expectsContinue = true
        case 6 where name.isName("origin"): origin = String(value)
        case 9 where name.isName("x-api-key"): credential = credential ?? String(value)
        case 10 where name.isName("connection"): connect(value)
        case 11 where name.isName("openai-beta"): pass("openai-beta", value)
        case 12 where name.isName("x-request-id"): requestID = requestID ?? String(value)
        case 12 where name.isName("content-type"): contentType = contentType ?? String(value)
        case 13 where name.isName("cache-control"): caching = Self.caching(String(value))
        case 13 where name.isName("authorization"): credential = Self.token(value)
        case 14 where name.isName("content-length"): try readLength(value)
        case 14 where name.isName("anthropic-beta"): pass("anthropic-beta", value)
        case 14 where name.isName("x-goog-api-key"): credential = credential ?? String(value)
        case 14 where name.isName("x-parley-model"): chosenModel = String(value)
        case 15 where name.isName("x-parley-strict"): isStrict = value.isWord("true") || value.isWord("1")
        case 16 where name.isName("content-encoding") && !value.isWord("identity"):
            failure = ParleyError(
                .invalid, "Request bodies with content-encoding are not read; send the body as it is.",
                code: "unsupported_encoding", status: 415)
        case 17 where name.isName("x-conversation-id"): conversation = String(value)
        case 17 where name.isName("anthropic-version"): isAnthropic = true
        case 17 where name.isName("x-parley-provider"): chosenProvider = String(value)
        case 17 where name.isName("transfer-encoding"):
            guard value.isWord("chunked"), !isChunked else {
                throw FramingError(reason: "the only transfer-encoding of requests is chunked")
            }
            isChunked = true
        case 30 where name.isName("access-control-request-headers"): preflightHeaders = String(value)
        default: break
        }
    }

    /// What the client says of the connection; of an offer to upgrade nothing is taken.
    private func connect(_ value: UnsafeRawBufferPointer) {
        for option in value.split(separator: UInt8(ascii: ",")) {
            let option = UnsafeRawBufferPointer(rebasing: option).trimmed
            if option.isWord("close") { hasClose = true }
            if option.isWord("keep-alive"), isHTTP10 { keepsAlive = true }
        }
        if hasClose { keepsAlive = false }
    }

    private func readLength(_ value: UnsafeRawBufferPointer) throws(FramingError) {
        guard contentLength == nil else { throw FramingError(reason: "there are two content-lengths") }
        guard let length = value.contentLength else { throw FramingError(reason: "the content-length is no number") }
        contentLength = length
    }

    private func pass(_ name: String, _ value: UnsafeRawBufferPointer) {
        let value = String(value)
        if AnswerHead.isSafe(value) { passed.append(HeaderField(name, value)) }
    }

    /// The stricter of the two where both are said.
    private static func caching(_ value: String) -> CachePolicy {
        var policy = CachePolicy.normal
        for directive in value.lowercased().split(separator: ",") {
            switch directive.drop(while: { $0 == " " }).prefix(while: { $0 != " " && $0 != "=" }) {
            case "no-store": return .none
            case "no-cache": policy = .anew
            default: break
            }
        }
        return policy
    }

    private static func token(_ authorization: UnsafeRawBufferPointer) -> String {
        let scheme = UnsafeRawBufferPointer(rebasing: authorization.prefix(7))
        return String(scheme.isWord("bearer ") ? UnsafeRawBufferPointer(rebasing: authorization[7...]) : authorization)
    }
}

/// The first line of a request.
struct RequestLine {
    let method: HTTPMethod
    let target: String
    let isHTTP10: Bool

    /// Reads a line without its end.
    ///
    /// - Throws: `FramingError` where it is none of HTTP/1.0 or HTTP/1.1.
    init(_ line: UnsafeRawBufferPointer) throws(FramingError) {
        let ending = 9
        guard line.count > ending, let space = line.place(of: 0x20), space < line.count - ending else {
            throw FramingError(reason: "the request line is incomplete")
        }
        let version = UnsafeRawBufferPointer(rebasing: line[(line.count - ending)...])
        let minor = version[ending - 1]
        guard version.begins(with: " HTTP/1."), minor == UInt8(ascii: "0") || minor == UInt8(ascii: "1") else {
            throw FramingError(reason: "the version is none of HTTP/1.0 and HTTP/1.1")
        }
        isHTTP10 = minor == UInt8(ascii: "0")
        method = try Self.method(UnsafeRawBufferPointer(rebasing: line[..<space]))
        let target = UnsafeRawBufferPointer(rebasing: line[(space + 1)..<(line.count - ending)])
        guard let first = target.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "*") || target.isURL else {
            throw FramingError(reason: "the request target is no path")
        }
        guard target.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw FramingError(reason: "the request target has a character that it cannot have")
        }
        // Most requests are for this one, and a text of the program's own is never counted or freed.
        self.target = target.is("/v1/chat/completions") ? "/v1/chat/completions" : String(target)
    }

    private static let longestMethod = 32

    private static func method(_ name: UnsafeRawBufferPointer) throws(FramingError) -> HTTPMethod {
        if name.is("POST") { return .POST }
        guard !name.isEmpty, name.count <= longestMethod, name.allSatisfy({ $0.isTokenCharacter }) else {
            throw FramingError.noMethod
        }
        return HTTPMethod(rawValue: String(name))
    }
}

extension String {
    /// A text of a head; what is no UTF-8 in it is replaced.
    fileprivate init(_ bytes: UnsafeRawBufferPointer) {
        self = String(decoding: bytes, as: UTF8.self)
    }
}
