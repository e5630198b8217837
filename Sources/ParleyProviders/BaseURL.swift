// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// An `http:` or `https:` address, taken apart into what a request needs.
struct BaseURL: Equatable {
    var isSecure: Bool
    /// Without brackets.
    var host: String
    var port: Int
    /// Starts with a slash or is empty; never ends with one.
    var path: String
    /// With its question mark, or empty.
    var query: String
    /// User and password, unescaped, as `user:password`; only proxies may have them.
    var userInfo: String?

    /// What a `host` header says: the port only where it is not the scheme's own.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// Reads an address; an ending of `/chat/completions`, as people paste it, is taken off.
    init(_ text: String, setting: String) throws(ProviderError) {
        let scheme: Bool
        var rest: Substring
        if text.lowercased().hasPrefix("https://") {
            (scheme, rest) = (true, text.dropFirst(8))
        } else if text.lowercased().hasPrefix("http://") {
            (scheme, rest) = (false, text.dropFirst(7))
        } else {
            throw ProviderError("must begin with http:// or https://", setting: setting)
        }
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw ProviderError("must not contain spaces or characters that are not ASCII", setting: setting)
        }
        isSecure = scheme
        rest = rest.prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let target = rest.dropFirst(authority.count)
        let pathPart = target.prefix { $0 != "?" }
        query = String(target.dropFirst(pathPart.count))
        path = Self.trimmed(pathPart)
        let place = try Self.split(authority, secure: scheme, setting: setting)
        userInfo = place.userInfo
        host = place.host
        port = place.port
    }

    private static func trimmed(_ path: Substring) -> String {
        var path = path
        while path.hasSuffix("/") { path.removeLast() }
        if path.hasSuffix("/chat/completions") { path.removeLast("/chat/completions".count) }
        while path.hasSuffix("/") { path.removeLast() }
        return String(path)
    }

    private static func split(
        _ authority: Substring, secure: Bool, setting: String
    ) throws(ProviderError) -> (userInfo: String?, host: String, port: Int) {
        var place = authority
        var userInfo: String?
        if let at = authority.lastIndex(of: "@") {
            userInfo = unescaped(authority[..<at])
            place = authority[authority.index(after: at)...]
        }
        var host = place
        var portText: Substring = ""
        if place.hasPrefix("["), let close = place.firstIndex(of: "]") {
            host = place[place.index(after: place.startIndex)..<close]
            portText = place[place.index(after: close)...]
        } else if let colon = place.lastIndex(of: ":") {
            host = place[..<colon]
            portText = place[colon...]
        }
        guard !host.isEmpty else { throw ProviderError("has no host", setting: setting) }
        guard portText.isEmpty || portText == ":" else {
            guard portText.hasPrefix(":"), let port = Int(portText.dropFirst()), (1...65535).contains(port) else {
                throw ProviderError("has a port that is not a number from 1 to 65535", setting: setting)
            }
            return (userInfo, String(host), port)
        }
        return (userInfo, String(host), secure ? 443 : 80)
    }

    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == 0x25, let code = UInt8(String(Substring(rest.prefix(2))), radix: 16), rest.count >= 2 {
                bytes.append(code)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension ProxyAddress {
    /// Reads a proxy's address.
    init(_ text: String) throws(ProviderError) {
        let url = try BaseURL(text, setting: "proxy")
        guard !url.isSecure else { throw ProviderError("must begin with http://", setting: "proxy") }
        self.init(
            host: url.host, port: url.port,
            authorization: url.userInfo.map { "Basic " + Base64.text(Array($0.utf8)) })
    }
}

/// Base64 as HTTP's basic authentication wants it.
enum Base64 {
    static func text(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group: UInt32 = 0
            for offset in 0..<3 { group = group << 8 | UInt32(offset < count ? bytes[index + offset] : 0) }
            for position in 0..<4 {
                let sextet = Int(group >> UInt32(18 - 6 * position) & 63)
                out.append(position <= count ? alphabet[sextet] : 0x3D)
            }
            index += 3
        }
        return String(decoding: out, as: UTF8.self)
    }
}
