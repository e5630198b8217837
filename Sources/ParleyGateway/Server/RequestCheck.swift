// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOHTTP1
import ParleyCore

/// What must hold of every request's head beyond what the parser checks.
enum RequestCheck {
    /// What is wrong with a head, or nil.
    static func failure(of head: HTTPRequestHead) -> ParleyError? {
        var hosts = 0
        for (name, value) in head.headers {
            switch name.utf8.count {
            case 4 where name.lowercased() == "host": hosts += 1
            case 16 where name.lowercased() == "content-encoding" && value.lowercased() != "identity":
                return ParleyError(
                    .invalid, "Request bodies with content-encoding are not read; send the body as it is.",
                    code: "unsupported_encoding", status: 415)
            case 17 where name.lowercased() == "transfer-encoding" && value.lowercased() != "chunked":
                return ParleyError(
                    .invalid, "The only transfer-encoding of requests is chunked.", code: "invalid_http")
            default: break
            }
        }
        if hosts != 1, head.version.major == 1, head.version.minor > 0 {
            return ParleyError(.invalid, "A request has exactly one host header.", code: "invalid_http")
        }
        return nil
    }
}
