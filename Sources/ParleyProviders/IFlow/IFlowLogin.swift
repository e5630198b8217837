// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// What a sign-in at iFlow gave: kept in the store, and never shown.
struct IFlowLogin: Sendable, Equatable {
    /// The key that models are called with.
    var apiKey: String
    var accessToken: String
    /// What new tokens are had for; nil where the service gave none.
    var refreshToken: String?
    /// When the access token ends, in milliseconds since 1970; nil where the service did not say.
    var expires: Int64?
    /// The user's name.
    var name: String?

    /// What tells one login from another: a renewed one has other tokens.
    func isSame(as other: IFlowLogin?) -> Bool {
        accessToken == other?.accessToken && refreshToken == other?.refreshToken && apiKey == other?.apiKey
    }
}

extension IFlowLogin {
    private static let type = "oauth-iflow"

    /// What was kept; nil where that is no login.
    init?(_ object: JSONObject) {
        guard let key = object["apiKey"]?.string, HeaderField.isSafe(key), !key.isEmpty,
            let token = object["oauth_access_token"]?.string
        else { return nil }
        apiKey = key
        accessToken = token
        refreshToken = object["oauth_refresh_token"]?.string
        expires = object["oauth_expires_at"]?.int.map { Int64(min(max(0, $0), Self.longest)) }
        name = object["nickName"]?.string
    }

    /// The login under the names that the original project keeps it by.
    var object: JSONObject {
        var object: JSONObject = [
            "apiKey": .string(apiKey), "selectedAuthType": .string(Self.type),
            "oauth_access_token": .string(accessToken),
        ]
        object["oauth_refresh_token"] = refreshToken.map { .string($0) }
        object["oauth_expires_at"] = expires.map { .number(String($0)) }
        object["nickName"] = name.map { .string($0) }
        return object
    }

    /// The latest moment that is believed, in milliseconds since 1970: far from where sums overflow.
    static let longest = 1 << 50
}

/// New tokens as the token endpoint gives them out.
struct IFlowTokens: Sendable, Equatable {
    var access: String
    /// Nil: the old one stays.
    var refresh: String?
    /// When the access token ends, in milliseconds since 1970.
    var expires: Int64?
}

/// What the service says about whose token it is.
struct IFlowUser: Sendable, Equatable {
    var apiKey: String
    var name: String?
}

/// A key for a call, and which state of the login it comes from.
struct IFlowKey: Sendable, Equatable {
    var text: String
    var generation: Int
}
