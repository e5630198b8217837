// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Why a client command could not do what it was asked, in words for the person at the terminal.
struct ClientError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Where a server is: `http://host:port`, `https://host`, `host:port` or `unix:/path`.
struct ServerAddress: Sendable, Equatable, CustomStringConvertible {
    /// What to connect to.
    enum Endpoint: Sendable, Equatable {
        case host(String, port: Int)
        case socket(path: String)
    }

    let endpoint: Endpoint
    let isTLS: Bool
    /// The value of the `host` header.
    let authority: String
    /// What comes before `/v1`; empty or `/like/this`.
    let prefix: String
    /// The address as it was given.
    let description: String

    /// The address a server has that was told nothing.
    static let usual = "http://127.0.0.1:8080"

    /// Reads an address; a trailing `/v1`, as SDKs want it, may be there or not.
    init(_ text: String) throws(ClientError) {
        description = text
        if text.hasPrefix("unix:") {
            let path = text.dropFirst("unix:".count)
            guard !path.isEmpty else { throw ClientError("\(text) names no socket; write unix:/path/to/socket") }
            (endpoint, isTLS, authority, prefix) = (.socket(path: String(path)), false, "localhost", "")
            return
        }
        var rest = text[...]
        var isTLS = false
        if let scheme = text.firstRange(of: "://") {
            switch text[..<scheme.lowerBound].lowercased() {
            case "http": break
            case "https": isTLS = true
            default: throw ClientError("\(text) is not an address; it begins with http://, https:// or unix:")
            }
            rest = text[scheme.upperBound...]
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        authority = String(rest[..<slash])
        var path = rest[slash...].prefix { $0 != "?" && $0 != "#" }
        while path.hasSuffix("/") { path = path.dropLast() }
        if path.hasSuffix("/v1") { path = path.dropLast("/v1".count) }
        prefix = String(path)
        guard let (host, port) = Self.split(authority, defaultPort: isTLS ? 443 : 80) else {
            throw ClientError("\(text) is not an address; an example is \(Self.usual)")
        }
        endpoint = .host(host, port: port)
        self.isTLS = isTLS
    }

    /// True for this very machine: only there is the key that a server wrote to disk for its own user sent.
    var isLocal: Bool {
        switch endpoint {
        case .socket: true
        case .host(let host, _): host == "localhost" || host == "::1" || host.isLoopbackIPv4
        }
    }

    /// Splits `host`, `host:port` or `[v6]:port`; nil when it is none of them.
    private static func split(_ authority: String, defaultPort: Int) -> (String, Int)? {
        guard !authority.contains("@"), !authority.contains(where: \.isWhitespace) else { return nil }
        var host = authority[...]
        var tail = Substring()
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return nil }
            tail = host[host.index(after: end)...]
            host = host[..<end].dropFirst()
        } else if let colon = host.lastIndex(of: ":") {
            tail = host[colon...]
            host = host[..<colon]
        }
        guard !host.isEmpty else { return nil }
        guard !tail.isEmpty else { return (String(host), defaultPort) }
        guard tail.hasPrefix(":"), let port = Int(tail.dropFirst()), (1...65_535).contains(port) else { return nil }
        return (String(host), port)
    }
}

extension String {
    fileprivate var isLoopbackIPv4: Bool {
        let parts = split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.first == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    fileprivate func firstRange(of other: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(other) { return start..<index(start, offsetBy: other.count) }
            start = index(after: start)
        }
        return nil
    }
}
