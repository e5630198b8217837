// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyModels
import ParleyWire

extension Exchange {
    /// Says that the process lives, that it takes requests, or both.
    ///
    /// - Throws: `upstreamUnavailable` with status 503 while the server shuts down, from the readiness paths.
    func answerHealth(_ route: Route) throws(ParleyError) {
        let isReady = !shard.gateway.isDraining
        guard route == .healthLive || isReady else {
            throw ParleyError(
                .upstreamUnavailable, "The server is shutting down.", code: "shutting_down", status: 503)
        }
        var object: JSONObject = ["status": "ok"]
        if route == .health {
            object["models"] = .int(snapshot.lists.directory.names.count)
            object["providers"] = .int(snapshot.providers.count)
            if let health = shard.gateway.ledger?.health { note(health, in: &object) }
        }
        answer(.object(object))
    }

    /// Calls are answered while their account cannot be written, so that the status stays 200; a monitor can see it all
    /// the same. Which file it is, and why, is in the log and not for everybody.
    private func note(_ health: LedgerHealth, in object: inout JSONObject) {
        guard health.failure != nil || health.lost > 0 else { return }
        if health.failure != nil { object["status"] = "degraded" }
        object["ledger"] = [
            "status": health.failure == nil ? "ok" : "failing", "waiting": .int(health.waiting),
            "lost": .int(health.lost),
        ]
    }

    /// Sends a JSON value as the whole answer.
    func answer(_ value: JSONValue) {
        var body = ByteBuffer()
        body.writeJSON(value)
        answer(body)
    }

    /// Answers with JSON that is written already.
    func answer(_ body: ByteBuffer) {
        let head = AnswerHead(requestID: id)
        head.headers = crossOriginHeaders()
        client.send(head, body: body, omitsBody: request.head.method == .HEAD)
    }
}
