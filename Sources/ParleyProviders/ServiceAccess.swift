// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// What all requests to one service have in common: where it is, the keys, the headers of the configuration.
struct ServiceAccess: Sendable {
    /// Sent as `user-agent` unless the configuration or the vendor says otherwise.
    static let userAgent = "parley/\(Parley.version)"

    let base: BaseURL
    let endpoint: Endpoint
    /// The keys, a list in one value taken apart.
    let keys: [String]
    let headers: [HeaderField]
    let timeouts: TimeoutOverrides

    /// The access that `setup` describes to the service at `base`.
    ///
    /// - Parameter vendorHeaders: what the vendor wants with every request; the configuration's win.
    init(
        _ setup: ProviderSetup, base: BaseURL, vendorHeaders: [HeaderField] = []
    ) throws(ProviderError) {
        self.base = base
        keys = setup.apiKeys.flatMap { $0.split(separator: ",").map { $0.trimmed } }.filter { !$0.isEmpty }
        guard keys.allSatisfy({ HeaderField.isSafe($0) }) else {
            throw ProviderError("has a line break or a control character in it", setting: "api_key")
        }
        endpoint = Endpoint(
            host: base.host, port: base.port, isSecure: base.isSecure,
            certificateAuthority: setup.certificateAuthority, proxy: try setup.proxy.map(ProxyAddress.init(_:)),
            connectionLimit: setup.connectionLimit)
        headers = try Self.headers(vendorHeaders + setup.headers)
        timeouts = setup.timeouts
    }

    /// The base URL that `setup` gives, else `standard`; without a user in it.
    static func base(_ setup: ProviderSetup, standard: String) throws(ProviderError) -> BaseURL {
        let base = try BaseURL(setup.baseURL ?? standard, setting: "base_url")
        guard base.userInfo == nil else { throw ProviderError("must not have a user", setting: "base_url") }
        return base
    }

    /// A request for `path`, below the base URL's own path.
    func target(_ method: String = "POST", _ path: String) -> Target {
        Target(endpoint: endpoint, method: method, path: base.path + path + base.query, timeouts: timeouts)
    }

    /// Where a request goes that is passed on: `path` below the base URL, or from the host's root when it begins with
    /// `//`, with the client's query.
    func target(passing request: PassedRequest, to path: String? = nil) -> Target {
        let path = path ?? request.path
        var query = base.query
        if query.isEmpty {
            query = request.query
        } else if !request.query.isEmpty {
            query += "&" + request.query.dropFirst()
        }
        return Target(
            endpoint: endpoint, method: request.method,
            path: (path.hasPrefix("//") ? String(path.dropFirst()) : base.path + path) + query, timeouts: timeouts,
            passed: request)
    }

    /// A request's head: request line and headers, without `content-length` and the empty line.
    ///
    /// - Parameters:
    ///   - own: headers of this request, e.g. the key; one that the configuration sets itself is left to it.
    ///   - contentType: the body's type; nil where there is no body.
    func head(
        _ target: Target, _ own: [HeaderField] = [], contentType: String? = "application/json",
        accept: String = "application/json, text/event-stream"
    ) -> ByteBuffer {
        let contentType = target.passed.map(\.contentType) ?? contentType
        let accept = target.passed != nil ? "*/*" : contentType == nil ? "application/json" : accept
        var head = ByteBuffer()
        head.writeString("\(target.method) \(target.path) HTTP/1.1\r\nhost: \(base.authority)\r\n")
        for field in own + target.headers where !isSet(field.name) {
            head.writeString("\(field.name): \(field.value)\r\n")
        }
        for field in headers { head.writeString("\(field.name): \(field.value)\r\n") }
        if let contentType { head.writeString("content-type: \(contentType)\r\n") }
        if !isSet("accept") { head.writeString("accept: \(accept)\r\n") }
        head.writeString("accept-encoding: identity\r\n")
        return head
    }

    private func isSet(_ name: String) -> Bool { headers.contains { $0.name == name } }

    private static func headers(_ given: [HeaderField]) throws(ProviderError) -> [HeaderField] {
        var headers = [HeaderField("user-agent", userAgent)]
        for given in given {
            let field = HeaderField(given.name.lowercased(), given.value)
            guard HeaderField.isName(field.name) else {
                throw ProviderError("has a name that no header can have", setting: "headers")
            }
            guard HeaderField.isSafe(field.value) else {
                throw ProviderError("has a line break or a control character in \(field.name)", setting: "headers")
            }
            guard !reserved.contains(field.name) else {
                throw ProviderError("must not set \(field.name)", setting: "headers")
            }
            headers.removeAll { $0.name == field.name }
            headers.append(field)
        }
        return headers
    }

    /// What the connection itself decides.
    private static let reserved: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "accept-encoding", "content-type", "te",
        "upgrade", "trailer", "expect", "keep-alive",
    ]
}

extension HeaderField {
    /// The key as most services take it.
    static func bearer(_ key: String) -> HeaderField { HeaderField("authorization", "Bearer \(key)") }

    /// Whether `name` may be a header's name.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// Whether `value` may stand in a header line: nothing in it ends the line.
    static func isSafe(_ value: String) -> Bool {
        value.utf8.allSatisfy { $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }
    }
}

extension Substring {
    /// Without spaces at either end.
    var trimmed: String {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
