// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// What Fitten Code gives out at a sign-in.
struct FittenTokens: Sendable, Equatable {
    var access: String
    var refresh: String
    /// The account's id.
    var user: String

    init?(access: String?, refresh: String?, user: JSONValue?) {
        let user = user?.string ?? user?.int.map(String.init)
        guard let access, let refresh, let user, !access.isEmpty, !user.isEmpty,
            [access, refresh, user].allSatisfy({ HeaderField.isSafe($0) })
        else { return nil }
        self.access = access
        self.refresh = refresh
        self.user = user
    }
}

/// An account at Fitten Code: signed in when first needed, its tokens kept over restarts, and renewed by one task for all
/// who wait.
///
/// Source: the open project fitten-code-api.
final class FittenAccount: Sendable {
    /// How long each request that leads to new tokens may take.
    private static let patience = TimeAmount.seconds(15)
    /// How long a refused password is not tried again: many tries lock an account.
    static let refusedRest = TimeAmount.seconds(30)
    private static let refreshTries = 2

    private struct State {
        /// Whether the store was looked into.
        var isLoaded = false
        /// The tokens that were refused, whose refresh token may still do.
        var old: FittenTokens?
        var refusal: ParleyError?
        var restsUntil = NIODeadline.uptimeNanoseconds(0)
    }

    private let name: String
    private let password: String
    private let access: ServiceAccess
    private let store: (any CredentialStore)?
    /// The name under which the tokens are kept.
    private let place: String
    private let shared = SharedValue<FittenTokens>()
    private let state = Mutex(State())

    init(name: String, password: String, access: ServiceAccess, store: (any CredentialStore)?, place: String) {
        self.name = name
        self.password = password
        self.access = access
        self.store = store
        self.place = place
    }

    /// Tokens to ask with.
    ///
    /// - Throws: why there are none.
    func tokens(through connector: any Connector) async throws(ParleyError) -> FittenTokens {
        try await shared.value(through: connector) { () async throws(ParleyError) -> FittenTokens in
            try await self.renew(connector)
        }
    }

    /// The service has refused these tokens; newer ones stay.
    func refuse(_ tokens: FittenTokens) {
        guard shared.current == tokens else { return }
        state.withLock { $0.old = tokens }
        shared.drop(tokens)
    }

    /// The service has refused these tokens although they were new: only a sign-in is left.
    func forget(_ tokens: FittenTokens) {
        guard shared.current == tokens else { return }
        state.withLock { state in
            state.old = nil
            state.isLoaded = true
        }
        shared.drop(tokens)
    }

    // MARK: - Renewal

    private func renew(_ connector: any Connector) async throws(ParleyError) -> FittenTokens {
        let (isLoaded, old, refusal) = state.withLock { state in
            let refusal = state.restsUntil > .now() ? state.refusal : nil
            defer { state.isLoaded = true }
            return (state.isLoaded, state.old, refusal)
        }
        if !isLoaded, let kept = await load() { return kept }
        if let old, let fresh = await refreshed(old, connector) { return await kept(fresh) }
        if let refusal { throw refusal }
        do throws(ParleyError) {
            return await kept(try await signIn(connector))
        } catch {
            if error.kind == .unauthenticated {
                state.withLock { state in
                    state.refusal = error
                    state.restsUntil = .now() + Self.refusedRest
                }
            }
            throw error
        }
    }

    /// New tokens by the refresh token; nil where that does not work.
    private func refreshed(_ old: FittenTokens, _ connector: any Connector) async -> FittenTokens? {
        let target = access.target("POST", "/codeuser/auth/refresh_access_token")
        let head = access.head(target, [.bearer(old.refresh)], contentType: nil)
        for _ in 0..<Self.refreshTries {
            // Any failure counts the same: there is the sign-in.
            let limits = StepLimits(lasting: Self.patience)
            guard let answer = try? await connector.ask(target, head, ByteBuffer(), limits), answer.status == 200,
                let token = answer.json?["access_token"]?.string,
                let fresh = FittenTokens(access: token, refresh: old.refresh, user: .string(old.user))
            else { continue }
            return fresh
        }
        return nil
    }

    private func signIn(_ connector: any Connector) async throws(ParleyError) -> FittenTokens {
        let target = access.target("POST", "/codeuser/auth/login")
        let body = ByteBuffer(json: ["username": .string(name), "password": .string(password)])
        let head = access.head(target, accept: "application/json")
        let answer = try await connector.ask(target, head, body, StepLimits(lasting: Self.patience))
        guard answer.isAccepted else { throw Self.refusal(answer) }
        let value = answer.json
        let tokens = FittenTokens(
            access: value?["access_token"]?.string, refresh: value?["refresh_token"]?.string,
            user: value?["user_info"]?["user_id"])
        guard let tokens else {
            let what = answer.isPage ? "sent a web page\(FittenCode().pageAdvice)" : "gave no tokens"
            throw ParleyError(.upstreamUnavailable, "Fitten Code's sign-in \(what).")
        }
        return tokens
    }

    /// Why there was no sign-in. What the service wrote is not repeated: it may have the password in it.
    private static func refusal(_ answer: ReadAnswer) -> ParleyError {
        let isPassing = answer.isPage || answer.status == 429 || answer.status >= 500
        return FittenCode().decodeFailure(
            status: isPassing ? answer.status : 401, headers: answer.headers,
            body: answer.isPage ? answer.body : ByteBuffer())
    }

    // MARK: - What is kept

    /// Tokens as they were kept, if they are this account's.
    private func load() async -> FittenTokens? {
        guard let kept = try? await store?.load(place), kept["username"]?.string == name else { return nil }
        return FittenTokens(
            access: kept["access_token"]?.string, refresh: kept["refresh_token"]?.string, user: kept["user_id"])
    }

    /// Keeps tokens before they are used. A store that fails costs a sign-in at the next start, not this answer.
    private func kept(_ tokens: FittenTokens) async -> FittenTokens {
        state.withLock { $0.old = nil }
        let object: JSONObject = [
            "username": .string(name), "access_token": .string(tokens.access),
            "refresh_token": .string(tokens.refresh), "user_id": .string(tokens.user),
        ]
        try? await store?.save(object, for: place)
        return tokens
    }
}
