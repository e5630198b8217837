// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import NIOCore
import ParleyCore

/// AWS's request signature, version 4, with the headers that carry it.
///
/// A value with no clock of its own: the same request at the same time has the same signature.
struct SigV4: Sendable {
    var accessKey: String
    var secretKey: String
    /// The token of temporary credentials.
    var sessionToken: String?
    var region: String
    var service = "bedrock"

    /// A request as the signature sees it.
    struct Request {
        var method: String
        /// Path and query as they are on the wire.
        var target: String
        /// Headers to sign beside the signature's own, `host` among them.
        var headers: [HeaderField]
        var body: ByteBuffer
    }

    /// The headers that sign `request`, at `time` in seconds since 1970.
    func headers(for request: Request, at time: Int) -> [HeaderField] {
        let stamp = Self.stamp(time)
        var own = [HeaderField("x-amz-date", stamp)]
        if let sessionToken { own.append(HeaderField("x-amz-security-token", sessionToken)) }
        let scope = "\(stamp.prefix(8))/\(region)/\(service)/aws4_request"
        let signed = (request.headers + own).sorted { $0.name < $1.name }
        let names = signed.map(\.name).joined(separator: ";")
        let canonical = Self.canonical(request, signed, names: names)
        let text = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(Self.hex(SHA256.hash(data: Array(canonical.utf8))))"
        let signature = Self.hex(Self.code(text, with: key(String(stamp.prefix(8)))))
        let value =
            "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
        return [HeaderField("authorization", value)] + own
    }

    private func key(_ date: String) -> SymmetricKey {
        var key = SymmetricKey(data: Array("AWS4\(secretKey)".utf8))
        for word in [date, region, service, "aws4_request"] {
            key = SymmetricKey(data: Self.code(word, with: key))
        }
        return key
    }

    private static func code(_ text: String, with key: SymmetricKey) -> HMAC<SHA256>.MAC {
        HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key)
    }

    // MARK: - The canonical request

    static func canonical(_ request: Request, _ signed: [HeaderField], names: String) -> String {
        let path = request.target.prefix { $0 != "?" }
        let query = request.target.dropFirst(path.count + 1)
        var lines = [request.method, canonicalPath(path), canonicalQuery(query)]
        for field in signed { lines.append("\(field.name):\(collapsed(field.value))") }
        let hash = request.body.withUnsafeReadableBytes { bytes in
            var hash = SHA256()
            hash.update(bufferPointer: bytes)
            return hash.finalize()
        }
        return (lines + ["", names, hex(hash)]).joined(separator: "\n")
    }

    /// The wire's path, encoded once more, as every service but S3 wants it.
    static func canonicalPath(_ path: Substring) -> String {
        path.isEmpty ? "/" : PercentEncoding.encode(String(path), keeping: "/")
    }

    /// The wire's query in the order of its names; what is not encoded yet is the caller's to do.
    static func canonicalQuery(_ query: Substring) -> String {
        let pairs = query.split(separator: "&").map { pair in
            let name = pair.prefix { $0 != "=" }
            return (name: String(name), value: String(pair.dropFirst(name.count + 1)))
        }
        return pairs.sorted { ($0.name, $0.value) < ($1.name, $1.value) }.map { "\($0.name)=\($0.value)" }
            .joined(separator: "&")
    }

    /// A header's value without spaces around it, and with one where there were several.
    private static func collapsed(_ value: String) -> String {
        value.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    // MARK: - Text

    /// `20250102T030405Z`.
    static func stamp(_ time: Int) -> String {
        let days = Int((Double(time) / 86_400).rounded(.down))
        let second = time - days * 86_400
        // Counted from March of year 0, so that leap days come last in their years and eras are alike.
        let shifted = days + 719_468
        let era = Int((Double(shifted) / 146_097).rounded(.down))
        let day = shifted - era * 146_097
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        func padded(_ number: Int, _ width: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
        }
        let date =
            padded(year + era * 400 + (month >= 10 ? 1 : 0), 4) + padded(month < 10 ? month + 3 : month - 9, 2)
            + padded(dayOfMonth, 2)
        return "\(date)T\(padded(second / 3600, 2))\(padded(second % 3600 / 60, 2))\(padded(second % 60, 2))Z"
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
