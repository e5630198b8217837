// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
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
        }
        answer(.object(object))
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
