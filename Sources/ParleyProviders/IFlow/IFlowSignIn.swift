// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// iFlow's side of a sign-in: its page, the token endpoint, and whose a token is.
///
/// Facts: the worker of kai648846760/iflow_openapi. The parameter of the page is `redirect`, not `redirect_uri`; the token
/// endpoint wants the client both in `authorization` and in the form; models are called with the user's `apiKey`, not with
/// the token.
struct IFlowSignIn: Sendable {
    static let standardBase = "https://iflow.cn"
    private static let answerLimit = 256 << 10

    /// Why the service gave out nothing.
    struct Refusal: Error {
        /// What it said, or that it could not be asked; nothing secret.
        var message: String
        /// Whether it said no; else it may say yes later.
        var isNo: Bool
        /// Whether it will never say anything else.
        var isFinal = false
    }

    private let access: ServiceAccess
    private let clientID: String
    private let clientSecret: String

    /// The sign-in of a provider whose API is at `base`.
    init(
        _ setup: ProviderSetup, base: BaseURL, clientID: String, clientSecret: String
    ) throws(ProviderError) {
        self.clientID = clientID
        self.clientSecret = clientSecret
        // Tokens' places get neither the provider's headers nor its keys.
        var own = setup
        own.headers = []
        own.apiKeys = []
        own.connectionLimit = nil
        own.timeouts = TimeoutOverrides(
            connect: setup.timeouts.connect ?? .seconds(5), first: .seconds(20), idle: .seconds(20), total: .seconds(30)
        )
        access = try ServiceAccess(
            own, base: try Self.place(setup, base: base), vendorHeaders: [IFlowProvider.userAgent])
    }

    /// Where the pages are: `url`, else at the host of a base URL that is not iFlow's own, else at iFlow's.
    private static func place(_ setup: ProviderSetup, base: BaseURL) throws(ProviderError) -> BaseURL {
        if let url = try setup.options.string("url"), !url.isEmpty { return try BaseURL(url, setting: "url") }
        guard base.host != "apis.iflow.cn" else { return try BaseURL(standardBase, setting: "url") }
        var place = base
        place.dropEnding(of: ["/v1"])
        place.query = ""
        return place
    }

    /// The address of the page to sign in at.
    func page(redirect: String, state: String) -> String {
        let base = access.base
        return "\(base.isSecure ? "https" : "http")://\(base.authority)\(base.path)/oauth?"
            + Self.form([
                ("client_id", clientID), ("loginMethod", "phone"), ("type", "phone"), ("redirect", redirect),
                ("state", state),
            ])
    }

    /// The login that a code stands for.
    ///
    /// - Throws: `unauthenticated` where the service said no, `upstreamUnavailable` where it said nothing.
    func login(
        code: String, redirect: String, now: Int64, through connector: any Connector
    ) async throws(ParleyError) -> IFlowLogin {
        do throws(Refusal) {
            let tokens = try await tokens(
                [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect)], now: now, connector)
            let user = try await user(tokens.access, through: connector)
            return IFlowLogin(
                apiKey: user.apiKey, accessToken: tokens.access, refreshToken: tokens.refresh, expires: tokens.expires,
                name: user.name)
        } catch {
            throw ParleyError(error.isNo ? .unauthenticated : .upstreamUnavailable, error.message)
        }
    }

    /// New tokens for a login.
    func renewed(
        _ login: IFlowLogin, now: Int64, through connector: any Connector
    ) async throws(Refusal) -> IFlowTokens {
        try await tokens(
            [("grant_type", "refresh_token"), ("refresh_token", login.refreshToken ?? "")], now: now, connector)
    }

    private func tokens(
        _ fields: [(String, String)], now: Int64, _ connector: any Connector
    ) async throws(Refusal) -> IFlowTokens {
        let target = access.target("POST", "/oauth/token")
        let basic = Base64.text(Array("\(clientID):\(clientSecret)".utf8))
        let head = access.head(
            target, [HeaderField("authorization", "Basic \(basic)")], contentType: "application/x-www-form-urlencoded",
            accept: "application/json")
        let form = Self.form(fields + [("client_id", clientID), ("client_secret", clientSecret)])
        let (status, value) = try await ask(target, head, ByteBuffer(string: form), connector)
        guard (200..<300).contains(status) else { throw Self.refusal(status, value) }
        guard let token = value?["access_token"]?.string, !token.isEmpty else {
            throw Refusal(message: "iFlow's sign-in answered without a token", isNo: false)
        }
        let seconds = value?["expires_in"].flatMap { $0.double ?? $0.string.flatMap { Double($0) } }
        let expires = seconds.map { now + Int64(min(max(0, $0.isNaN ? 0 : $0), 1e10)) * 1000 }
        let refresh = value?["refresh_token"]?.string
        return IFlowTokens(access: token, refresh: refresh?.isEmpty == true ? nil : refresh, expires: expires)
    }

    /// Whose a token is, and the key that models are called with.
    func user(_ token: String, through connector: any Connector) async throws(Refusal) -> IFlowUser {
        let target = access.target("GET", "/api/oauth/getUserInfo?accessToken=" + PercentEncoding.encode(token))
        let (status, value) = try await ask(target, access.head(target, contentType: nil), nil, connector)
        guard status != 401 else { throw Refusal(message: "iFlow says that the token is not valid", isNo: true) }
        guard (200..<300).contains(status) else {
            throw Refusal(message: "iFlow did not say whose the token is (status \(status))", isNo: false)
        }
        guard value?["success"]?.bool != false, let data = value?["data"]?.object,
            let key = data["apiKey"]?.string, !key.isEmpty, HeaderField.isSafe(key)
        else { throw Refusal(message: "iFlow gave no key for the user", isNo: true) }
        return IFlowUser(apiKey: key, name: data["nickName"]?.string.map { String($0.prefix(100)) })
    }

    private func ask(
        _ target: Target, _ head: ByteBuffer, _ body: ByteBuffer?, _ connector: any Connector
    ) async throws(Refusal) -> (status: Int, value: JSONValue?) {
        let limits = AttemptLimits(target.timeouts, TimeoutOverrides(), deadline: .distantFuture, now: .now())
        // A code and a refresh token work once: what was sent is not sent again.
        let request = UpstreamRequest(
            endpoint: target.endpoint, head: head, body: body, isIdempotent: body == nil,
            connectTimeout: limits.connect, headDeadline: limits.first)
        do throws(ParleyError) {
            let reader = AnswerReader(try await connector.open(request), limits: limits)
            defer { reader.cancel() }
            let answer = try await reader.collect(limit: Self.answerLimit).body
            return (reader.status, try? JSON.parse(answer))
        } catch {
            throw Refusal(message: "iFlow's sign-in cannot be reached (\(error.kind.rawValue))", isNo: false)
        }
    }

    /// What a status other than 2xx means. Only the service's word for it is shown: the rest may hold anything.
    private static func refusal(_ status: Int, _ value: JSONValue?) -> Refusal {
        let said = value?["error"]?.string ?? value?["error"]?["code"]?.string ?? ""
        let word = said.filter { $0.isASCII && ($0.isLetter || $0 == "_") }.prefix(40)
        let reason = word.isEmpty ? "status \(status)" : "\(word), status \(status)"
        let isNo = (400..<500).contains(status) && status != 429 && status != 408
        return Refusal(
            message: isNo ? "iFlow refused the login (\(reason))" : "iFlow's sign-in failed (\(reason))", isNo: isNo,
            isFinal: isNo && said.contains("invalid_grant"))
    }

    private static func form(_ fields: [(String, String)]) -> String {
        fields.map { "\($0.0)=\(PercentEncoding.encode($0.1))" }.joined(separator: "&")
    }
}

extension IFlowSignIn.Refusal {
    /// What a caller is told whose call needed new tokens.
    func error(renewing name: String) -> ParleyError {
        let page = IFlowLoginMachine.page(name)
        guard isNo else {
            return ParleyError(
                .upstreamUnavailable,
                "\(message); the login could not be renewed: try again, or log in again at \(page)",
                code: "token_refresh_failed")
        }
        return ParleyError(
            .unauthenticated, "\(message); please log in again at \(page)", code: "token_refresh_failed",
            type: "authentication_error")
    }
}
