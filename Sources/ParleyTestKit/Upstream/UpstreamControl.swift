// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// The control API: scripts in, log and counts out, on the same port as the answers.
enum UpstreamControl {
    /// The answer to a control request, with its effect done.
    static func answer(to head: HTTPRequestHead, _ body: ByteBuffer, state: UpstreamState) -> [Script.Step] {
        switch (head.method, String(head.uri.prefix { $0 != "?" })) {
        case (.POST, "/__script"):
            do {
                state.add(try JSONDecoder().decode([Script].self, from: Data(body.readableBytesView)))
                return json(200, #"{"ok":true}"#)
            } catch {
                return encoded(400, ["error": "not a list of scripts: \(error)"])
            }
        case (.DELETE, "/__script"):
            state.clear()
            return json(200, #"{"ok":true}"#)
        case (.GET, "/__log"): return encoded(200, state.log())
        case (.GET, "/__stats"): return encoded(200, state.stats())
        default: return encoded(404, ["error": "no control request \(head.method) \(head.uri)"])
        }
    }

    private static func encoded(_ status: Int, _ value: some Encodable) -> [Script.Step] {
        do {
            let data = try JSONEncoder().encode(value)
            return [head(status), .writeBytes([UInt8](data))]
        } catch {
            return json(500, #"{"error":"the answer cannot be encoded"}"#)
        }
    }

    private static func json(_ status: Int, _ body: String) -> [Script.Step] {
        [head(status), .write(body)]
    }

    private static func head(_ status: Int) -> Script.Step {
        .head(.init(status, headers: ["content-type": "application/json"], framing: .length))
    }
}
