// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import Hummingbird
import ParleyAccess
import ParleyCore

/// The account of calls: `GET /admin/calls/ID` is one with its attempts and inner calls, `GET /admin/calls` the last ones.
struct CallRoutes: Sendable {
    let door: Doorkeeper
    let ledger: any Ledger

    private static let most = 1000

    func add(to router: Router<ConsoleContext>) {
        let inside = router.group().add(middleware: Admission(door: door))
        inside.get("/admin/calls") { request, _ in try await list(request) }
        inside.get("/admin/calls/:id") { _, context in try await show(context) }
    }

    private func show(_ context: ConsoleContext) async throws(Problem) -> Response {
        let id = FormFields.decoded((context.parameters.get("id") ?? "")[...], plusIsSpace: false)
        guard let call = try await read({ () throws(ParleyError) in try await ledger.call(id) }) else {
            throw Problem(
                .notFound, "No call of that id was recorded, or its record has been deleted since.",
                code: "no_such_call")
        }
        return Answer.json(.object(call.json))
    }

    /// The last calls, newest first: at most `limit`, of `key` alone where it is named, since `since` (milliseconds since
    /// 1970) where it is said.
    private func list(_ request: Request) async throws(Problem) -> Response {
        let fields = request.queryFields
        let limit = try number(fields["limit"], "limit") ?? 100
        let since = try number(fields["since"], "since") ?? 0
        let calls = try await read { () throws(ParleyError) in
            try await ledger.calls(since: since, limit: Int(min(max(limit, 0), Int64(Self.most))), key: fields["key"])
        }
        return Answer.json(["calls": .array(calls.map { .object($0.json) })])
    }

    private func number(_ text: String?, _ name: String) throws(Problem) -> Int64? {
        guard let text else { return nil }
        guard let number = Int64(text) else {
            throw Problem(.badRequest, "\(name) must be a whole number.", code: "invalid_\(name)")
        }
        return number
    }

    private func read<Value>(_ body: () async throws(ParleyError) -> Value) async throws(Problem) -> Value {
        do throws(ParleyError) {
            return try await body()
        } catch {
            throw Problem(.serviceUnavailable, error.message, code: "ledger_unreadable")
        }
    }
}
