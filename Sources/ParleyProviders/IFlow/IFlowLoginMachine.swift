// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// When a login is read, renewed, kept and used, as a plain state machine: it is asked for the next step, told what came
/// of it, and knows neither the network nor a clock. Times are milliseconds since 1970.
struct IFlowLoginMachine: Sendable {
    /// How long before its end a login is renewed.
    static let margin: Int64 = 5 * 60_000
    /// How soon the store is looked at again where there is no login that works: another process may have got one.
    static let rereadTime: Int64 = 5_000
    /// How soon a renewal is tried again that failed for no reason of the login's own.
    static let pause: Int64 = 2_000

    /// What is to be done now.
    enum Step: Equatable {
        /// A call may be made.
        case use(IFlowKey)
        /// No call can be made.
        case refuse(ParleyError)
        /// The store is to be read.
        case read
        /// The login is to be kept, before anything is done with it.
        case save(IFlowLogin)
        /// New tokens are to be had for the login.
        case renew(IFlowLogin)
        /// The service is to be asked for the key that belongs to the tokens.
        case lookUp(IFlowLogin)
    }

    private(set) var login: IFlowLogin?
    /// The provider's name, for the address of its page.
    private let name: String
    private var lastRead: Int64?
    private var isSaved = true
    private var needsLookUp = false
    /// Whether new tokens are wanted whatever the time: the service refused the key, or somebody asked.
    private var isWorn = false
    /// Why no renewal will ever work again.
    private var refusal: ParleyError?
    /// Why the last renewal did not work, and until when no other is tried.
    private var failure: (error: ParleyError, until: Int64)?
    /// When the tokens came: those that live for less than the margin are not renewed again and again.
    private var lastRenewal: Int64?
    private var generation = 0

    init(name: String) {
        self.name = name
    }

    /// Whether the store was read.
    var isRead: Bool { lastRead != nil }

    /// What is wrong, where something is.
    var problem: ParleyError? { refusal ?? failure?.error }

    /// What is to be done at `now`.
    func step(now: Int64) -> Step {
        guard lastRead != nil else { return .read }
        guard let login else { return isStale(now) ? .read : .refuse(Self.signedOut(name)) }
        if !isSaved { return .save(login) }
        if needsLookUp { return .lookUp(login) }
        if let refusal { return isStale(now) ? .read : .refuse(refusal) }
        let key = IFlowKey(text: login.apiKey, generation: generation)
        guard isWorn || isDue(login, now) else { return .use(key) }
        guard login.refreshToken != nil else {
            return isWorn || isOver(login, now) ? .refuse(Self.ended(name)) : .use(key)
        }
        if let failure, now < failure.until {
            return isWorn || isOver(login, now) ? .refuse(failure.error) : .use(key)
        }
        return .renew(login)
    }

    private func isDue(_ login: IFlowLogin, _ now: Int64) -> Bool {
        guard let expires = login.expires, now >= expires - Self.margin else { return false }
        return lastRenewal.map { now >= $0 + Self.pause || now < $0 } ?? true
    }

    private func isStale(_ now: Int64) -> Bool {
        guard let lastRead else { return true }
        return now >= lastRead + Self.rereadTime || now < lastRead
    }

    private func isOver(_ login: IFlowLogin, _ now: Int64) -> Bool { login.expires.map { now >= $0 } ?? false }

    // MARK: - What came of it

    /// The store was read.
    mutating func read(_ stored: IFlowLogin?, now: Int64) {
        lastRead = now
        guard isSaved, stored.map({ !$0.isSame(as: login) }) ?? (login != nil) else { return }
        adopt(stored)
    }

    /// The login was kept.
    mutating func saved(_ login: IFlowLogin) {
        if self.login == login { isSaved = true }
    }

    /// New tokens came for `old`.
    mutating func renewed(_ old: IFlowLogin, _ tokens: IFlowTokens, now: Int64) {
        guard old.isSame(as: login) else { return }
        lastRenewal = now
        login?.accessToken = tokens.access
        if let refresh = tokens.refresh { login?.refreshToken = refresh }
        login?.expires = tokens.expires
        isSaved = false
        needsLookUp = true
        isWorn = false
        refusal = nil
        failure = nil
        generation += 1
    }

    /// No new tokens came. Where `isFinal`, none ever will.
    mutating func renewalFailed(_ error: ParleyError, isFinal: Bool, now: Int64) {
        if isFinal { refusal = error } else { failure = (error, now + Self.pause) }
    }

    /// The service said whose the tokens are; nil where it did not: then the key stays as it is.
    mutating func lookedUp(_ user: IFlowUser?) {
        needsLookUp = false
        guard let user, let old = login else { return }
        login?.apiKey = user.apiKey
        login?.name = user.name ?? old.name
        guard login != old else { return }
        isSaved = false
        generation += 1
    }

    /// Somebody signed in, or out; the store knows already.
    mutating func adopt(_ login: IFlowLogin?) {
        self.login = login
        lastRenewal = nil
        isSaved = true
        needsLookUp = false
        isWorn = false
        refusal = nil
        failure = nil
        generation += 1
    }

    /// The service refused a key.
    ///
    /// - Returns: whether there is a better one, or may be.
    mutating func refused(_ key: IFlowKey) -> Bool {
        guard key.generation == generation else { return true }
        isWorn = true
        return login?.refreshToken != nil
    }

    /// New tokens are wanted, whatever has been said so far.
    mutating func wear() {
        isWorn = true
        refusal = nil
        failure = nil
    }

    // MARK: - What is said

    /// Where to sign in.
    static func page(_ name: String) -> String { "/oauth/\(PercentEncoding.encode(name))/login" }

    static func signedOut(_ name: String) -> ParleyError {
        ParleyError(
            .unauthenticated, "nobody has signed in; please log in at \(page(name))", code: "not_logged_in",
            type: "authentication_error")
    }

    static func ended(_ name: String) -> ParleyError {
        ParleyError(
            .unauthenticated, "iFlow's login has ended; please log in again at \(page(name))",
            code: "token_refresh_failed", type: "authentication_error")
    }
}
