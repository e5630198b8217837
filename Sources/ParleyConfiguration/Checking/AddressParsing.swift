// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Addresses, URLs and dates. Their texts may hold passwords, so no fault repeats them.
extension ValueParsing {
    static func listen(_ text: String) throws(ValueFault) -> ListenAddress {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard !path.isEmpty else { throw ValueFault("unix: needs a path, as in unix:/run/parley.sock") }
            // The kernel's sockaddr_un holds 108 bytes with the final zero.
            guard path.utf8.count <= 107 else { throw ValueFault("the path is longer than 107 bytes") }
            guard !path.utf8.contains(0) else { throw ValueFault("the path holds a zero byte") }
            return .unix(path: path)
        }
        let (host, port) = try hostAndPort(text[...], fallback: nil)
        guard let port else {
            throw ValueFault("needs a port: host:port, [v6]:port or unix:/path")
        }
        return .tcp(host: host, port: port)
    }

    /// Splits `host:port`; IPv6 addresses stand in brackets.
    static func hostAndPort(_ text: Substring, fallback: Int?) throws(ValueFault) -> (host: String, port: Int?) {
        var host = text
        var port: Substring?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw ValueFault("the [ of the address is not closed") }
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw ValueFault("expects :port after the ]") }
            if !rest.isEmpty { port = rest.dropFirst() }
            guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || ":.%".contains($0) || $0.isLetter }) else {
                throw ValueFault("the brackets must hold an IPv6 address")
            }
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            guard port?.contains(":") != true else {
                throw ValueFault("an IPv6 address must stand in brackets, as in [::1]:8080")
            }
        }
        guard !host.isEmpty else { throw ValueFault("needs a host before the port; 0.0.0.0 means every address") }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2F && $0 != 0x40 }) else {
            throw ValueFault("the host holds a character that host names cannot have")
        }
        guard let port else { return (String(host), fallback) }
        guard let number = Int(port), (0...65535).contains(number), port.allSatisfy(\.isNumber) else {
            throw ValueFault("the port must be a number from 0 to 65535")
        }
        return (String(host), number)
    }

    /// A URL with a scheme, a host and maybe a path; without its trailing slashes.
    static func url(_ text: String, schemes: [String]) throws(ValueFault) -> String {
        let example = "\(schemes.last ?? "https")://host/path"
        guard let mark = text.firstRange(of: "://") else {
            throw ValueFault("must be a URL such as \(example); the scheme is missing")
        }
        let scheme = text[..<mark.lowerBound].lowercased()
        guard schemes.contains(scheme) else {
            throw ValueFault("must be a URL that begins with " + schemes.map { $0 + "://" }.joined(separator: " or "))
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw ValueFault("a URL holds no spaces or control characters")
        }
        let rest = text[mark.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.contains("@") else {
            throw ValueFault("must not hold a user or password")
        }
        let (_, port) = try hostAndPort(authority, fallback: 443)
        guard port != 0 else { throw ValueFault("port 0 cannot be called") }
        guard !rest.contains("#") else { throw ValueFault("must not hold a fragment (#)") }
        var result = text
        while result.hasSuffix("/") { result.removeLast() }
        return result
    }

    /// `http://[user:password@]host[:port]`.
    static func proxy(_ text: String) throws(ValueFault) -> ProviderSettings.Proxy {
        guard text.lowercased().hasPrefix("http://") else {
            throw ValueFault("must be an HTTP proxy's URL such as http://127.0.0.1:7890")
        }
        var rest = text.dropFirst(7)
        if rest.hasSuffix("/") { rest.removeLast() }
        var user: Substring?
        if let at = rest.lastIndex(of: "@") {
            user = rest[..<at]
            rest = rest[rest.index(after: at)...]
        }
        guard !rest.contains("/"), !rest.contains("?") else { throw ValueFault("a proxy's URL has no path") }
        let (host, port) = try hostAndPort(rest, fallback: 80)
        guard let port, port > 0 else { throw ValueFault("port 0 cannot be called") }
        var proxy = ProviderSettings.Proxy(host: host, port: port)
        if let user {
            let parts = user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            proxy.user = parts.first.map { decoded($0) }
            proxy.password = parts.count > 1 ? Secret(decoded(parts[1])) : nil
        }
        return proxy
    }

    /// Undoes `%xx`; what is not such an escape stays as it is.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8[...]
        while let byte = rest.popFirst() {
            if byte == 0x25, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.count >= 2, rest.first != 0x2B, rest.first != 0x2D
            {
                bytes.append(value)
                rest.removeFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func store(_ text: String) throws(ValueFault) -> StoreSettings {
        if text.hasPrefix("sqlite:") {
            let path = String(text.dropFirst(7))
            guard !path.isEmpty, !path.utf8.contains(0) else {
                throw ValueFault("sqlite: needs a path, as in sqlite:parley.db")
            }
            return .sqlite(path: path)
        }
        for scheme in ["postgres://", "postgresql://"] where text.hasPrefix(scheme) {
            guard text.utf8.count > scheme.utf8.count else { throw ValueFault("needs a host after \(scheme)") }
            return .postgres(url: Secret(text))
        }
        throw ValueFault("must begin with sqlite: or postgres://")
    }

    /// `YYYY-MM-DD` (00:00 UTC) or RFC 3339, as seconds since 1970.
    static func date(_ text: String) throws(ValueFault) -> Int64 {
        let fault = ValueFault("must be a date such as 2027-01-01 or 2027-01-01T12:00:00Z")
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard range.upperBound <= bytes.count else { return nil }
            let digits = bytes[range]
            guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            return digits.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
        func has(_ characters: String, at index: Int) -> Bool {
            index < bytes.count && characters.utf8.contains(bytes[index])
        }
        guard let year = number(0..<4), has("-", at: 4), let month = number(5..<7), has("-", at: 7),
            let day = number(8..<10), year >= 1970, (1...12).contains(month), day >= 1,
            day <= lengthOfMonth(month, year: year)
        else { throw fault }
        let midnight = daysSince1970(year: year, month: month, day: day) * 86_400
        if bytes.count == 10 { return midnight }
        guard has("Tt ", at: 10), let hour = number(11..<13), has(":", at: 13), let minute = number(14..<16),
            has(":", at: 16), let second = number(17..<19), hour < 24, minute < 60, second <= 60
        else { throw fault }
        var index = 19
        if has(".", at: index) {
            index += 1
            let begin = index
            while has("0123456789", at: index) { index += 1 }
            guard index > begin else { throw fault }
        }
        let time = midnight + hour * 3600 + minute * 60 + second
        if has("Zz", at: index), bytes.count == index + 1 { return time }
        guard has("+-", at: index), bytes.count == index + 6, let hours = number(index + 1..<index + 3),
            has(":", at: index + 3), let minutes = number(index + 4..<index + 6), hours < 24, minutes < 60
        else { throw fault }
        let offset = hours * 3600 + minutes * 60
        return bytes[index] == 0x2B ? time - offset : time + offset
    }

    private static func lengthOfMonth(_ month: Int64, year: Int64) -> Int64 {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
        switch month {
        case 2: return leap ? 29 : 28
        case 4, 6, 9, 11: return 30
        default: return 31
        }
    }

    /// Days in the Gregorian calendar; years are counted from March, so that the leap day is the last one.
    private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month > 2 ? year : year - 1
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
