// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import Hummingbird
import ParleyCore

/// What holds for every request and every answer: who asks is found out, every error is a page or JSON, and no answer is
/// kept, framed, or allowed to load anything from elsewhere.
struct Safety: RouterMiddleware {
    /// Whether only the data plane comes here, so that what it says about a request is true.
    let isRelayed: Bool

    @concurrent
    func handle(
        _ request: Request, context: ConsoleContext,
        next: @concurrent (Request, ConsoleContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.peer = isRelayed ? request.header("x-parley-peer") ?? "" : context.remote ?? "unix"
        context.isSecure = request.header("x-forwarded-proto")?.lowercased() == "https"
        context.origin = request.host.map { "\(context.isSecure ? "https" : "http")://\($0)" }
        var response: Response
        do {
            response = try await next(request, context)
        } catch let problem as Problem {
            response = problem.response(to: request)
        } catch let error as HTTPError {
            response = Problem(error.status, Self.sentence(error.status.code)).response(to: request)
        } catch {
            response = Problem(.internalServerError, "Something went wrong here.").response(to: request)
        }
        for (name, value) in Self.headers where !response.has(name) { response.set(name, value) }
        return response
    }

    private static func sentence(_ status: Int) -> String {
        status == 404 ? "There is nothing at this address." : "This cannot be done here (\(status))."
    }

    private static let headers = [
        ("cache-control", "no-store"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        // The address of a page that a vendor sends the browser back to has a code in it.
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ]
}
