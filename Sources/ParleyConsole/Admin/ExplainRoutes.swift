// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Hummingbird
import ParleyConfiguration
import ParleyCore

/// `/admin/explain/MODEL`: what a model is made of, and how the upstreams below it fare.
struct ExplainRoutes: Sendable {
    private static let path = "/admin/explain/"

    let door: Doorkeeper
    let snapshot: @Sendable () -> Snapshot

    func add(to router: Router<ConsoleContext>) {
        let inside = router.group().add(middleware: Admission(door: door))
        inside.get("/admin/explain/**") { request, _ in try explain(request) }
    }

    /// The name is all that follows, since it may hold slashes.
    private func explain(_ request: Request) throws(Problem) -> Response {
        let name = FormFields.decoded(request.uri.path.dropFirst(Self.path.utf8.count), plusIsSpace: false)
        guard let tree = snapshot().lists.explanation(of: name) else {
            throw Problem(.notFound, "The model \"\(name.prefix(200))\" does not exist.", code: "model_not_found")
        }
        return Answer.json(tree)
    }
}
