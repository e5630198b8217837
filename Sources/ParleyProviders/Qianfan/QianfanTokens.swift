// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import Glibc
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// An application's key pair at Baidu. Nothing of it is ever shown.
struct QianfanPair: Sendable {
    var key: String
    var secret: String

    /// Under what its token is kept: the pair cannot be told from it.
    var fingerprint: String {
        let digest = SHA256.hash(data: Array("\(key)|\(secret)".utf8))
        let digits = Array("0123456789abcdef")
        return digest.prefix(16).reduce(into: "") { $0 += [digits[Int($1 >> 4)], digits[Int($1 & 15)]] }
    }
}

/// The access tokens of key pairs: each is fetched when it is first needed, by one task for all who wait, kept beyond a
/// restart where there is a store, and fetched again shortly before its end or when the service refuses it.
final class QianfanTokens: Sendable {
    /// How long before its end a token is no longer used, in seconds.
    private static let margin = 3600
    /// The longest life that is believed.
    private static let longest = 366 * 86_400
    private static let answerLimit = 64 << 10

    /// A token with its end, in seconds since 1970.
    private struct Kept {
        var token: String
        var end: Int
    }

    private struct State {
        var kept: [String: Kept] = [:]
        var refreshes: [Int: Task<Result<String, ParleyError>, Never>] = [:]
        /// Whether the store was read.
        var isLoaded = false
    }

    private let pairs: [QianfanPair]
    private let provider: String
    private let access: ServiceAccess
    private let store: (any CredentialStore)?
    private let now: @Sendable () -> Int
    private let state = Mutex(State())

    /// Tokens of these pairs.
    ///
    /// - Parameter now: the time in seconds since 1970.
    init(
        _ pairs: [QianfanPair], setup: ProviderSetup, access: ServiceAccess,
        now: @escaping @Sendable () -> Int = { time(nil) }
    ) {
        self.pairs = pairs
        self.access = access
        self.now = now
        provider = setup.name
        store = setup.store?.store
    }

    /// A token of the pair `index` that is good for a while.
    ///
    /// - Throws: why there is none, naming the provider.
    func value(_ index: Int, through connector: any Connector) async throws(ParleyError) -> String {
        guard pairs.indices.contains(index) else {
            throw ParleyError(.internalError, "\(provider) has no key pair of that number.")
        }
        let fingerprint = pairs[index].fingerprint
        let (token, refresh) = state.withLock { state -> (String?, Task<Result<String, ParleyError>, Never>?) in
            if let kept = state.kept[fingerprint], kept.end > now() { return (kept.token, nil) }
            if let refresh = state.refreshes[index] { return (nil, refresh) }
            let refresh = Task(executorPreference: connector.executor) {
                await self.refresh(index, fingerprint, through: connector)
            }
            state.refreshes[index] = refresh
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
            for (fingerprint, kept) in state.kept where text.contains(Self.query(kept.token) + " HTTP") {
                state.kept[fingerprint] = nil
            }
        }
        return true
    }

    /// The token as it stands in an address.
    static func query(_ token: String) -> String { "access_token=\(PercentEncoding.encode(token))" }

    // MARK: - Refreshing

    private func refresh(
        _ index: Int, _ fingerprint: String, through connector: any Connector
    ) async -> Result<String, ParleyError> {
        let result: Result<String, ParleyError>
        do throws(ParleyError) {
            if let token = await stored(fingerprint) {
                result = .success(token)
            } else {
                let kept = try await fetch(pairs[index], through: connector)
                await keep(kept, fingerprint)
                result = .success(kept.token)
            }
        } catch {
            result = .failure(error.named(provider))
        }
        state.withLock { $0.refreshes[index] = nil }
        return result
    }

    /// The token that an earlier process left; the store is read once.
    private func stored(_ fingerprint: String) async -> String? {
        guard let store, !state.withLock({ $0.isLoaded }) else { return nil }
        let tokens = (try? await store.load(provider))?["tokens"]?.object ?? [:]
        return state.withLock { state in
            if !state.isLoaded {
                state.isLoaded = true
                for member in tokens.members where state.kept[member.key] == nil {
                    guard let token = member.value["access_token"]?.string, Self.isToken(token),
                        let end = member.value["use_until"]?.int
                    else { continue }
                    state.kept[member.key] = Kept(token: token, end: end)
                }
            }
            guard let kept = state.kept[fingerprint], kept.end > now() else { return nil }
            return kept.token
        }
    }

    /// Keeps a token, in the store first: a restart must not cost another one. A store that fails costs no call.
    private func keep(_ kept: Kept, _ fingerprint: String) async {
        if let store {
            var all = state.withLock { $0.kept }
            all[fingerprint] = kept
            let members = all.sorted { $0.key < $1.key }.map { fingerprint, kept in
                JSONObject.Member(
                    fingerprint, ["access_token": .string(kept.token), "use_until": .int(kept.end)])
            }
            try? await store.save(["tokens": .object(JSONObject(members))], for: provider)
        }
        state.withLock { $0.kept[fingerprint] = kept }
    }

    private static func isToken(_ text: String) -> Bool { !text.isEmpty && HeaderField.isSafe(text) }

    // MARK: - Fetching

    private func fetch(_ pair: QianfanPair, through connector: any Connector) async throws(ParleyError) -> Kept {
        let query =
            "grant_type=client_credentials&client_id=\(PercentEncoding.encode(pair.key))"
            + "&client_secret=\(PercentEncoding.encode(pair.secret))"
        let target = access.target("POST", "/oauth/2.0/token?\(query)")
        let head = access.head(target, accept: "application/json")
        let limits = AttemptLimits(target.timeouts, TimeoutOverrides(), deadline: .distantFuture, now: .now())
        let request = UpstreamRequest(
            endpoint: target.endpoint, head: head, body: ByteBuffer(), isIdempotent: true,
            connectTimeout: limits.connect, headDeadline: limits.first)
        let asked = now()
        let reader = AnswerReader(try await connector.open(request), limits: limits)
        defer { reader.cancel() }
        let answer = try await reader.collect(limit: Self.answerLimit).body
        let value = try? JSON.parse(answer)
        guard reader.isAccepted, value?["error"] == nil else { throw Self.refusal(reader.status, value) }
        guard let token = value?["access_token"]?.string, Self.isToken(token) else {
            throw ParleyError(.upstreamUnavailable, "Baidu's sign-in answered without a token.")
        }
        let life = min(max(0, value?["expires_in"]?.int ?? 86_400), Self.longest)
        return Kept(token: token, end: asked + max(life / 2, life - Self.margin))
    }

    /// Why there is no token. Only Baidu's word for it is shown: the rest may name the account.
    private static func refusal(_ status: Int, _ value: JSONValue?) -> ParleyError {
        let word = (value?["error"]?.string ?? "").filter { $0.isASCII && ($0.isLetter || $0 == "_") }.prefix(40)
        let reason = word.isEmpty ? "status \(status)" : "\(word), status \(status)"
        guard status < 500, status != 429, !(300..<400).contains(status) else {
            return ParleyError(
                .upstreamUnavailable, "Baidu's sign-in failed (\(reason)).", status: status == 503 ? 503 : nil)
        }
        return ParleyError(
            .unauthenticated, "Baidu's sign-in refused the key pair (\(reason)); check api_key and secret_key.",
            code: "invalid_api_key", type: "authentication_error")
    }
}
