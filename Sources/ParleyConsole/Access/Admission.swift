// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import Hummingbird
import ParleyCore

/// Lets those in who have shown the admin key, and nobody else.
///
/// A browser without a session is sent to the form. What changes something must come from a page of ours: a tool's key is
/// proof enough, a browser's form carries its session's token.
struct Admission: RouterMiddleware {
    let door: Doorkeeper

    @concurrent
    func handle(
        _ request: Request, context: ConsoleContext,
        next: @concurrent (Request, ConsoleContext) async throws -> Response
    ) async throws -> Response {
        guard let visitor = try Self.visitor(request, context, door) else {
            if request.wantsPage, request.method == .get {
                return Answer.redirect(to: SessionRoutes.form(returningTo: request.uri.string), for: request)
            }
            throw Problem(
                .unauthorized, "Send the admin key as \"Authorization: Bearer KEY\", or sign in with a browser.",
                code: "missing_admin_key")
        }
        var context = context
        context.visitor = visitor
        return try await next(request, context)
    }

    /// Who asks; nil where nothing was shown.
    static func visitor(
        _ request: Request, _ context: ConsoleContext, _ door: Doorkeeper
    ) throws(Problem) -> Visitor? {
        if let shown = request.header("authorization") {
            let words = shown.split(separator: " ", maxSplits: 1)
            guard words.count == 2, words[0].lowercased() == "bearer" else { throw wrongKey }
            switch door.check(String(words[1]), from: context.peer) {
            case .right: return .tool
            case .wrong: throw wrongKey
            case .wait(let seconds): throw tooMany(seconds)
            }
        }
        return request.cookie(Doorkeeper.cookie).flatMap { door.find($0) }.map { .browser($0) }
    }

    /// Refuses a form that did not come from a page of this session.
    static func checkForm(_ fields: FormFields, _ visitor: Visitor?) throws(Problem) {
        switch visitor {
        case .tool?: return
        case .browser(let session)?:
            guard let token = fields["token"], session.accepts(token) else {
                throw Problem(
                    .forbidden, "This form is not of your session. Go back, load the page again and try once more.",
                    code: "foreign_form")
            }
        case nil: throw wrongKey
        }
    }

    static let wrongKey = Problem(
        .unauthorized, "That is not the admin key. The terminal said at the start where it is kept.",
        code: "wrong_admin_key")

    static func tooMany(_ seconds: Int) -> Problem {
        Problem(
            .tooManyRequests, "Too many wrong keys came from your address. Try again in \(seconds) seconds.",
            code: "too_many_guesses", retryAfter: seconds)
    }
}
