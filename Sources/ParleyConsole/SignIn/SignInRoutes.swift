// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyProviders
import Synchronization

/// Signing in at vendors: `/oauth/PROVIDER/login`, `/callback`, `/refresh` and `/logout`; and the same without a provider
/// where only one signs its user in, as the original had it.
struct SignInRoutes: Sendable {
    private final class States: Sendable {
        let pending = Mutex(PendingSignIns())
    }

    let door: Doorkeeper
    let snapshot: @Sendable () -> Snapshot
    let connector: any Connector
    let logger: Logger
    private let states = States()

    init(
        door: Doorkeeper, snapshot: @escaping @Sendable () -> Snapshot, connector: any Connector, logger: Logger
    ) {
        self.door = door
        self.snapshot = snapshot
        self.connector = connector
        self.logger = logger
    }

    func add(to router: Router<ConsoleContext>) {
        // Whoever comes back from a vendor is known by the state, which only somebody who was let in can have begun.
        router.get("/oauth/callback") { request, context in try await comeBack(request, context) }
        router.get("/oauth/:provider/callback") { request, context in try await comeBack(request, context) }
        let inside = router.group().add(middleware: Admission(door: door))
        inside.get("/oauth") { request, context in try await overview(request, context) }
        for path in ["/oauth", "/oauth/:provider"] {
            inside.get("\(path)/login") { request, context in try await begin(request, context) }
            inside.get("\(path)/refresh") { request, context in
                try await show(try provider(context), request, context)
            }
            inside.post("\(path)/refresh") { request, context in
                try await change(request, context, "renewed") { signIn throws(ParleyError) in
                    try await signIn.renewSignIn(through: connector)
                }
            }
            inside.post("\(path)/logout") { request, context in
                try await change(request, context, "forgotten") { signIn throws(ParleyError) in
                    try await signIn.forgetSignIn(through: connector)
                }
            }
        }
    }

    // MARK: - Providers

    private var providers: [any SignsIn] { snapshot().providers.compactMap(\.signIn) }

    /// The provider in the path, or the only one there is.
    private func provider(_ context: ConsoleContext) throws(Problem) -> any SignsIn {
        let providers = providers
        guard let name = context.parameters.get("provider").map({ FormFields.decoded($0[...], plusIsSpace: false) })
        else {
            if providers.count == 1, let only = providers.first { return only }
            throw Problem(
                .notFound,
                providers.isEmpty
                    ? "No provider of the configuration signs its user in."
                    : "Several providers sign their user in; choose one: \(providers.map(\.id).joined(separator: ", ")).",
                code: "no_such_provider", link: ("All providers", SessionRoutes.home))
        }
        guard let found = providers.first(where: { $0.id == name }) else {
            throw Problem(
                .notFound, "No provider \(name.prefix(100)) of the configuration signs its user in.",
                code: "no_such_provider", link: ("All providers", SessionRoutes.home))
        }
        return found
    }

    /// Runs something where the connector works, and goes on when the visitor leaves: codes and tokens work once.
    private func ask<Value: Sendable>(
        _ body: @escaping @Sendable () async throws(ParleyError) -> Value
    ) async throws(ParleyError) -> Value {
        let task = Task(executorPreference: connector.executor) { () -> Result<Value, ParleyError> in
            do throws(ParleyError) { return .success(try await body()) } catch { return .failure(error) }
        }
        return try await task.value.get()
    }

    // MARK: - Pages

    private func overview(_ request: Request, _ context: ConsoleContext) async throws -> Response {
        var rows: [Pages.Row] = []
        for signIn in providers { rows.append(await row(signIn)) }
        guard request.wantsPage else { return Answer.json(["providers": .array(rows.map(\.json))]) }
        return Answer.page(Pages.overview(rows, context.visitor))
    }

    private func show(
        _ signIn: any SignsIn, _ request: Request, _ context: ConsoleContext, done: String? = nil
    ) async throws -> Response {
        let row = await row(signIn)
        guard request.wantsPage else { return Answer.json(row.json) }
        return Answer.page(Pages.provider(row, context.visitor, done: done))
    }

    private func row(_ signIn: any SignsIn) async -> Pages.Row {
        var row = Pages.Row(name: signIn.id, vendor: signIn.vendorName, path: Self.path(signIn.id))
        do throws(ParleyError) {
            row.status = try await ask { () throws(ParleyError) in try await signIn.signInStatus(through: connector) }
        } catch {
            row.status.problem = error.message
        }
        return row
    }

    private static func path(_ provider: String) -> String { "/oauth/\(SessionRoutes.escaped(provider))" }

    // MARK: - There and back

    /// Sends the browser to the vendor's page.
    private func begin(_ request: Request, _ context: ConsoleContext) async throws -> Response {
        let signIn = try provider(context)
        guard let origin = context.origin else {
            throw Problem(.badRequest, "The request does not say which host it is for.", code: "no_host")
        }
        let isNamed = context.parameters.get("provider") != nil
        let redirect = origin + (isNamed ? Self.path(signIn.id) : "/oauth") + "/callback"
        var session: KeyDigest?
        if case .browser(let own)? = context.visitor { session = own.id }
        let now = Doorkeeper.seconds()
        let state = states.pending.withLock { $0.begin(signIn.id, redirect: redirect, session: session, now: now) }
        return Answer.redirect(to: signIn.signInPage(redirect: redirect, state: state), for: request)
    }

    /// The vendor has sent the browser back.
    private func comeBack(_ request: Request, _ context: ConsoleContext) async throws -> Response {
        let fields = request.queryFields
        let now = Doorkeeper.seconds()
        // Taken out whatever follows: a state is good once.
        let pending = fields["state"].flatMap { state in states.pending.withLock { $0.take(state, now: now) } }
        guard let pending else {
            throw Problem(
                .badRequest,
                "This sign-in was not begun here, has been finished already, or took longer than ten minutes. "
                    + "Begin again.", code: "state_mismatch", link: ("Begin again", SessionRoutes.home))
        }
        let named = context.parameters.get("provider").map { FormFields.decoded($0[...], plusIsSpace: false) }
        try checkVisitor(request, pending, named: named)
        let link = ("Begin again", Self.path(pending.provider) + "/login")
        if let error = fields["error"] {
            let word = error.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }.prefix(60)
            throw Problem(.badRequest, "OAuth error: \(word).", code: "oauth_error", link: link)
        }
        guard let code = fields["code"] else {
            throw Problem(.badRequest, "The vendor's page sent no code.", code: "missing_code", link: link)
        }
        guard let signIn = providers.first(where: { $0.id == pending.provider }) else {
            throw Problem(.notFound, "The provider is no longer in the configuration.", code: "no_such_provider")
        }
        let connector = connector
        do throws(ParleyError) {
            try await ask { () throws(ParleyError) in
                try await signIn.finishSignIn(code: code, redirect: pending.redirect, through: connector)
            }
        } catch {
            logger.warning("sign-in failed", metadata: ["provider": "\(signIn.id)", "error": "\(error.kind.rawValue)"])
            throw Problem(
                .internalServerError, "OAuth callback failed: \(error.message).", code: "sign_in_failed", link: link)
        }
        logger.info("signed in", metadata: ["provider": "\(signIn.id)"])
        var context = context
        context.visitor = request.cookie(Doorkeeper.cookie).flatMap { door.find($0) }.map { .browser($0) }
        return try await show(signIn, request, context, done: "signed in")
    }

    /// A sign-in that a browser began must end in the same browser, and at the provider's own address.
    private func checkVisitor(
        _ request: Request, _ pending: PendingSignIns.Pending, named: String?
    ) throws(Problem) {
        let session = request.cookie(Doorkeeper.cookie).flatMap { door.find($0) }
        let isSame = pending.session == nil || session?.id == pending.session
        guard isSame, named == nil || named == pending.provider else {
            throw Problem(
                .forbidden, "This sign-in was begun in another browser, or your session has ended. Begin again.",
                code: "state_mismatch", link: ("Begin again", SessionRoutes.home))
        }
    }

    /// Does what a form asks for.
    private func change(
        _ request: Request, _ context: ConsoleContext, _ done: String,
        _ body: @escaping @Sendable (any SignsIn) async throws(ParleyError) -> Void
    ) async throws -> Response {
        try Admission.checkForm(try await request.formFields(), context.visitor)
        let signIn = try provider(context)
        do throws(ParleyError) {
            try await ask { () throws(ParleyError) in try await body(signIn) }
        } catch {
            let status = error.httpStatus == 401 ? 502 : error.httpStatus
            throw Problem(
                .init(code: status), "\(signIn.id): \(error.message).", code: error.code ?? "sign_in_failed",
                link: ("Sign in again", Self.path(signIn.id) + "/login"))
        }
        logger.info("sign-in \(done)", metadata: ["provider": "\(signIn.id)"])
        return try await show(signIn, request, context, done: done)
    }
}
