// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import CryptoExtras
import Glibc
import ParleyCore
import ParleyWire

/// A service account of Google's, as its JSON says it. Nothing of it is ever shown.
struct ServiceAccount: Sendable {
    private static let limit = 64 << 10
    private static let scope = "https://www.googleapis.com/auth/cloud-platform"

    let email: String
    let keyID: String?
    let project: String?
    let tokenAddress: String
    private let key: _RSA.Signing.PrivateKey

    /// Reads the account from the setting: the JSON itself, or the path of a file with it.
    init(setting text: String) throws(ProviderError) {
        let isInline = text.drop { $0.isWhitespace }.first == "{"
        guard let content = isInline ? text : Self.file(text) else {
            throw ProviderError("names a file that cannot be read", setting: "credentials")
        }
        guard let object = (try? JSON.parse(content))?.object else {
            throw ProviderError("is not JSON", setting: "credentials")
        }
        guard object["type"]?.string ?? "service_account" == "service_account" else {
            throw ProviderError("must be a service account's JSON", setting: "credentials")
        }
        guard let email = object["client_email"]?.string, let pem = object["private_key"]?.string else {
            throw ProviderError("has no client_email or no private_key", setting: "credentials")
        }
        guard let key = try? _RSA.Signing.PrivateKey(pemRepresentation: pem) else {
            throw ProviderError(
                "has a private_key that is not an RSA key of 2,048 bits or more", setting: "credentials")
        }
        self.email = email
        self.key = key
        keyID = object["private_key_id"]?.string
        project = object["project_id"]?.string
        tokenAddress = object["token_uri"]?.string ?? "https://oauth2.googleapis.com/token"
    }

    private static func file(_ path: String) -> String? {
        guard !path.utf8.contains(0), let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = fread(&bytes, 1, limit, file)
        return count < limit ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }

    /// The signed claim that is exchanged for a token (RFC 7523), good for an hour from `now` in seconds since 1970.
    func assertion(at now: Int) throws(ParleyError) -> String {
        var header: JSONObject = ["alg": "RS256", "typ": "JWT"]
        if let keyID { header.members.append(.init("kid", .string(keyID))) }
        let claims: JSONObject = [
            "iss": .string(email), "scope": .string(Self.scope), "aud": .string(tokenAddress), "iat": .int(now),
            "exp": .int(now + 3600),
        ]
        let text = [header, claims].map { Self.encoded(Array(JSON.text(.object($0)).utf8)) }.joined(separator: ".")
        do {
            let digest = SHA256.hash(data: Array(text.utf8))
            let signature = try key.signature(for: digest, padding: .insecurePKCS1v1_5)
            return text + "." + Self.encoded(signature.withUnsafeBytes { Array($0) })
        } catch {
            throw ParleyError(.internalError, "The service account's key cannot sign.")
        }
    }

    /// Base64 as JSON Web Tokens want it.
    private static func encoded(_ bytes: [UInt8]) -> String {
        var text = Base64.text(bytes).replacing("+", with: "-").replacing("/", with: "_")
        while text.hasSuffix("=") { text.removeLast() }
        return text
    }
}
