// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// How the members of a route failed, and the one error that tells.
struct RouteFailures {
    private let route: String
    private var failures: [(member: String, error: ParleyError)] = []

    init(route: String) {
        self.route = route
    }

    var isEmpty: Bool { failures.isEmpty }

    mutating func append(_ member: String, _ error: ParleyError) {
        failures.append((member, error))
    }

    /// The error of the whole route: the most telling failure, with a message that names them all.
    ///
    /// Names and kinds only: what the upstreams said would be hard to tell apart in one message. A single failure is
    /// handed on as it is, with the upstream's own body.
    var error: ParleyError {
        guard let leading else {
            return ParleyError(.internalError, "The route \"\(route)\" has no members.")
        }
        guard failures.count > 1 else { return leading }
        let list = failures.map { "\($0.member) (\(Self.word(for: $0.error)))" }.joined(separator: ", ")
        var error = leading
        error.message = "All models of \"\(route)\" that were tried failed: \(list)."
        error.parameter = nil
        error.type = nil
        error.relayed = nil
        return error
    }

    /// The failure whose status the client gets.
    ///
    /// Where all were rate limited, the one that can be tried again soonest. Otherwise the last that may pass by
    /// itself, since a client should learn that trying again makes sense; only then the last one.
    private var leading: ParleyError? {
        if failures.allSatisfy({ $0.error.kind == .rateLimited }) {
            return failures.map(\.error).min { ($0.retryAfter ?? .infinity) < ($1.retryAfter ?? .infinity) }
        }
        return (failures.last { $0.error.retryClass != nil } ?? failures.last)?.error
    }

    private static func word(for error: ParleyError) -> String {
        switch error.kind {
        case .rateLimited: "rate limited"
        case .quota: "out of quota"
        case .upstreamUnavailable: "unavailable"
        case .timeout: "timed out"
        case .notFound: "model not found"
        case .notImplemented: "not built yet"
        case .unauthenticated, .forbidden: "credentials refused"
        case .upstreamRejected: error.httpStatus == 404 ? "model not found" : "credentials refused"
        default: error.kind.rawValue
        }
    }
}
