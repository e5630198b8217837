// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

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
    /// The body's length, where the head says it.
    private(set) var contentLength: Int?
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
    private(set) var credential: Substring?
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
    private(set) var relayed: HTTPHeaders?
    /// What is wrong with the head beyond what the parser checks.
    private(set) var failure: ParleyError?

    /// The head of a request that could not be read.
    init() {}

    /// Takes out what is needed.
    init(_ head: HTTPRequestHead) {
        method = head.method
        target = head.uri
        isHTTP10 = head.version.major == 1 && head.version.minor == 0
        keepsAlive = head.isKeepAlive
        var hosts = 0
        for (name, value) in head.headers {
            if name.equals("host") { hosts += 1 } else { take(name, value) }
        }
        if hosts != 1, !isHTTP10 {
            failure = ParleyError(.invalid, "A request has exactly one host header.", code: "invalid_http")
        }
        if Route.isConsole(target) { relayed = head.headers }
        // Gemini's clients may send the key in the query.
        if credential == nil, target.utf8.contains(UInt8(ascii: "?")), let key = Route.query("key", of: target) {
            credential = key[...]
        }
        if isHTTP10 { expectsContinue = false }
    }

    /// The length decides first, so that most headers cost one comparison.
    private func take(_ name: String, _ value: String) {
        switch name.utf8.count {
        case 6 where name.equals("expect"): expectsContinue = true
        case 6 where name.equals("origin"): origin = value
        // The parser reads nothing after a request that offers to upgrade; the offer itself is not taken.
        case 7 where name.equals("upgrade"): keepsAlive = false
        case 9 where name.equals("x-api-key"): credential = credential ?? value[...]
        case 11 where name.equals("openai-beta"): pass("openai-beta", value)
        case 12 where name.equals("x-request-id"): requestID = requestID ?? value
        case 12 where name.equals("content-type"): contentType = contentType ?? value
        case 13 where name.equals("cache-control"): caching = Self.caching(value)
        case 13 where name.equals("authorization"): credential = Self.token(value)
        case 14 where name.equals("content-length"): contentLength = Int(value)
        case 14 where name.equals("anthropic-beta"): pass("anthropic-beta", value)
        case 14 where name.equals("x-goog-api-key"): credential = credential ?? value[...]
        case 14 where name.equals("x-parley-model"): chosenModel = value
        case 15 where name.equals("x-parley-strict"): isStrict = value.lowercased() == "true" || value == "1"
        case 17 where name.equals("x-conversation-id"): conversation = value
        case 17 where name.equals("anthropic-version"): isAnthropic = true
        case 17 where name.equals("x-parley-provider"): chosenProvider = value
        case 16 where name.equals("content-encoding") && value.lowercased() != "identity":
            failure = ParleyError(
                .invalid, "Request bodies with content-encoding are not read; send the body as it is.",
                code: "unsupported_encoding", status: 415)
        case 17 where name.equals("transfer-encoding") && value.lowercased() != "chunked":
            failure = ParleyError(
                .invalid, "The only transfer-encoding of requests is chunked.", code: "invalid_http")
        case 30 where name.equals("access-control-request-headers"): preflightHeaders = value
        default: break
        }
    }

    private func pass(_ name: String, _ value: String) {
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

    private static func token(_ authorization: String) -> Substring {
        let end = authorization.utf8.index(authorization.startIndex, offsetBy: 7, limitedBy: authorization.endIndex)
        guard let end, String(authorization[..<end]).equals("bearer ") else { return authorization[...] }
        return authorization[end...]
    }
}

extension String {
    /// Whether this is `name` (lower case), whatever the case of its ASCII letters.
    ///
    /// For names that the parser let through: in tokens the bit that tells the cases apart tells nothing else apart.
    fileprivate func equals(_ name: StaticString) -> Bool {
        let length = name.utf8CodeUnitCount
        guard utf8.count == length else { return false }
        let same = utf8.withContiguousStorageIfAvailable { bytes in
            var difference: UInt8 = 0
            for index in 0..<length { difference |= (bytes[index] | 0x20) ^ (name.utf8Start[index] | 0x20) }
            return difference == 0
        }
        return same ?? (lowercased() == "\(name)")
    }
}
