// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import ParleyCore

/// One application's access to Spark: its id, key and secret belong together.
struct SparkCredential: Sendable, Equatable {
    var appID: String
    var key: String
    var secret: String

    /// The query that signs a handshake. It is good for about five minutes, so that each connection needs its own.
    ///
    /// - Parameters:
    ///   - host: host, and port where the address has one.
    ///   - path: the path without a query.
    ///   - time: seconds since 1970.
    func query(host: String, path: String, at time: Int) -> String {
        let date = WallClock.httpDate(time)
        let text = "host: \(host)\ndate: \(date)\nGET \(path) HTTP/1.1"
        let code = HMAC<SHA256>.authenticationCode(
            for: Array(text.utf8), using: SymmetricKey(data: Array(secret.utf8)))
        let signature = Base64.text(Array(code))
        let authorization =
            "api_key=\"\(key)\", algorithm=\"hmac-sha256\", headers=\"host date request-line\", "
            + "signature=\"\(signature)\""
        let fields = [
            ("authorization", Base64.text(Array(authorization.utf8))), ("date", date), ("host", host),
        ]
        return fields.map { "\($0.0)=\(Self.formEncoded($0.1))" }.joined(separator: "&")
    }

    /// Text in a form: like any in a query, but that a space is a plus sign.
    private static func formEncoded(_ text: String) -> String {
        PercentEncoding.encode(text, keeping: " ").replacing(" ", with: "+")
    }
}

extension SparkCredential {
    /// The credentials of a configuration: lists of equal length, of which each place is one application.
    static func all(_ setup: ProviderSetup, keys: [String]) throws(ProviderError) -> [SparkCredential] {
        let ids = try list(setup, "app_id")
        let secrets = try list(setup, "api_secret")
        guard !keys.isEmpty else { throw ProviderError("must be given", setting: "api_key") }
        for (values, setting) in [(ids, "app_id"), (secrets, "api_secret")] {
            guard !values.isEmpty else { throw ProviderError("must be given", setting: setting) }
            guard values.count == keys.count else {
                throw ProviderError(
                    "has \(values.count) values where api_key has \(keys.count): they go together one by one",
                    setting: setting)
            }
        }
        // A quotation mark would end the key inside the signature's text.
        guard keys.allSatisfy({ !$0.contains("\"") }) else {
            throw ProviderError("has a quotation mark in it", setting: "api_key")
        }
        return keys.indices.map { SparkCredential(appID: ids[$0], key: keys[$0], secret: secrets[$0]) }
    }

    /// The values of a setting: a list, or one text with commas.
    static func list(_ setup: ProviderSetup, _ name: String) throws(ProviderError) -> [String] {
        let texts = try setup.options.strings(name) ?? []
        return texts.flatMap { text in
            text.split(separator: ",").map(\.trimmed)
        }.filter { !$0.isEmpty }
    }
}
