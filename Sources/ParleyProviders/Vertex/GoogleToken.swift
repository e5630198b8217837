// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// A service account's access token: fetched when it is first needed, kept until shortly before it ends, and fetched by
/// one task for all who wait.
final class GoogleToken: Sendable {
    /// How long before its end a token is no longer used.
    private static let margin = TimeAmount.minutes(5)
    private static let answerLimit = 64 << 10

    private struct State {
        var token: String?
        var end = NIODeadline.uptimeNanoseconds(0)
        var refresh: Task<Result<String, ParleyError>, Never>?
    }

    private let account: ServiceAccount
    private let provider: String
    private let access: ServiceAccess
    private let state = Mutex(State())

    init(_ account: ServiceAccount, setup: ProviderSetup) throws(ProviderError) {
        self.account = account
        provider = setup.name
        // The token's place gets neither the provider's headers nor its keys.
        var own = setup
        own.headers = []
        own.apiKeys = []
        access = try ServiceAccess(own, base: try BaseURL(account.tokenAddress, setting: "credentials"))
    }

    /// A token that is good for a while.
    ///
    /// - Throws: why there is none, naming the provider.
    func value(through connector: any Connector) async throws(ParleyError) -> String {
        let (token, refresh) = state.withLock { state -> (String?, Task<Result<String, ParleyError>, Never>?) in
            if let token = state.token, state.end > .now() { return (token, nil) }
            if let refresh = state.refresh { return (nil, refresh) }
            let refresh = Task(executorPreference: connector.executor) { await self.refresh(through: connector) }
            state.refresh = refresh
            return (nil, refresh)
        }
        if let token { return token }
        guard let refresh else { throw ParleyError(.internalError, "No token is being fetched.") }
        return try await refresh.value.get()
    }

    /// The service has refused the token in this head; a newer one stays.
    ///
    /// - Returns: true, since the next token may be better.
    func drop(usedIn head: ByteBuffer) -> Bool {
        let text = String(buffer: head)
        state.withLock { state in
            if let token = state.token, text.contains("Bearer \(token)\r\n") { state.token = nil }
        }
        return true
    }

    private func refresh(through connector: any Connector) async -> Result<String, ParleyError> {
        let result: Result<String, ParleyError>
        do throws(ParleyError) {
            let (token, lifetime) = try await fetch(through: connector)
            state.withLock { state in
                state.token = token
                state.end = .now() + max(.nanoseconds(lifetime.nanoseconds / 2), lifetime - Self.margin)
            }
            result = .success(token)
        } catch {
            result = .failure(error.named(provider))
        }
        state.withLock { $0.refresh = nil }
        return result
    }

    private func fetch(through connector: any Connector) async throws(ParleyError) -> (String, TimeAmount) {
        var body = ByteBuffer()
        body.writeString("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        body.writeString(try account.assertion(at: time(nil)))
        let target = access.target("POST", "")
        let head = access.head(
            target, contentType: "application/x-www-form-urlencoded", accept: "application/json")
        let limits = AttemptLimits(target.timeouts, TimeoutOverrides(), deadline: .distantFuture, now: .now())
        let request = UpstreamRequest(
            endpoint: target.endpoint, head: head, body: body, isIdempotent: true, connectTimeout: limits.connect,
            headDeadline: limits.first)
        let reader = AnswerReader(try await connector.open(request), limits: limits)
        defer { reader.cancel() }
        let answer = try await reader.collect(limit: Self.answerLimit).body
        let value = try? JSON.parse(answer)
        guard reader.isAccepted else { throw Self.refusal(reader.status, value) }
        guard let token = value?["access_token"]?.string, !token.isEmpty, HeaderField.isSafe(token) else {
            throw ParleyError(.upstreamUnavailable, "Google's sign-in answered without a token.")
        }
        let seconds = min(max(0, value?["expires_in"]?.int ?? 3600), 86_400)
        return (token, .seconds(Int64(seconds)))
    }

    /// Why there is no token. Only Google's word for it is shown: the rest may name the account.
    private static func refusal(_ status: Int, _ value: JSONValue?) -> ParleyError {
        let word = (value?["error"]?.string ?? "").filter { $0.isASCII && ($0.isLetter || $0 == "_") }.prefix(40)
        let reason = word.isEmpty ? "status \(status)" : "\(word), status \(status)"
        guard (400..<500).contains(status), status != 429 else {
            return ParleyError(
                .upstreamUnavailable, "Google's sign-in failed (\(reason)).", status: status == 503 ? 503 : nil)
        }
        return ParleyError(
            .unauthenticated, "Google's sign-in refused the service account (\(reason)).", code: "invalid_api_key",
            type: "authentication_error")
    }
}
