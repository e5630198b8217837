// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// A provider whose user signs in at the vendor's own page (OAuth's code flow); what comes of it is kept in the store.
///
/// Whoever offers the pages makes the `state`, checks it when the browser comes back, and only then hands the code over.
public protocol SignsIn: Provider {
    /// Whether this provider's configuration asks for it: with a key of its own nobody needs to sign in.
    var isSignInOffered: Bool { get }

    /// What the vendor is called on pages.
    var vendorName: String { get }

    /// Where the user's browser is sent.
    ///
    /// - Parameters:
    ///   - redirect: where the vendor sends it back to.
    ///   - state: comes back unchanged.
    func signInPage(redirect: String, state: String) -> String

    /// Makes tokens of the code that the browser brought back. When this returns they are kept.
    ///
    /// - Throws: what the vendor, or the store, said; never a code or a token.
    func finishSignIn(code: String, redirect: String, through connector: any Connector) async throws(ParleyError)

    /// Gets new tokens now, whether the old ones still work or not.
    func renewSignIn(through connector: any Connector) async throws(ParleyError)

    /// Forgets the tokens, also in the store.
    func forgetSignIn(through connector: any Connector) async throws(ParleyError)

    /// How things are.
    ///
    /// - Throws: `internalError` where the store cannot be read.
    func signInStatus(through connector: any Connector) async throws(ParleyError) -> SignInStatus
}

/// How things are with a sign-in.
public struct SignInStatus: Sendable, Equatable {
    /// Whether calls can be made with it.
    public var isSignedIn: Bool
    /// The user's name there, where the vendor says it.
    public var user: String?
    /// When the tokens end, in seconds since 1970; nil where the vendor did not say.
    public var ends: Int64?
    /// What is wrong, where something is.
    public var problem: String?

    /// A status.
    public init(isSignedIn: Bool, user: String? = nil, ends: Int64? = nil, problem: String? = nil) {
        self.isSignedIn = isSignedIn
        self.user = user
        self.ends = ends
        self.problem = problem
    }
}
