// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore

/// A model that asks others in order until one answers.
public struct Fallback: Model {
    /// The name it has.
    public let name: String

    private let members: [any Model]

    /// Asks `members` in the given order; each one does its own retries.
    public init(_ name: String, of members: [any Model]) {
        self.name = name
        self.members = members
    }

    /// Answers with the first member that can.
    ///
    /// - Throws: at once what the next member could not do better: the client's own mistakes, or `cancelled`. When
    ///   every member failed, an error that lists them.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        var rest = members[...]
        return try await Self.ask(call, for: name) { rest.popFirst() }
    }

    /// Asks the members that `next` names, one after the other, until one answers; throws as ``answer(_:)`` does.
    static func ask(
        _ call: Call, for name: String, next: () -> (any Model)?
    ) async throws(ParleyError) -> Reply {
        var failures = FallbackFailures(route: name)
        while let member = next() {
            try stopIfCancelled()
            // The first member is asked in any case, so that there is an answer to why there is none.
            if !failures.isEmpty, call.deadline <= .now() { break }
            do throws(ParleyError) {
                return try await member.answer(call)
            } catch {
                try stopIfCancelled()
                guard call.isRepeatable, isWorthMovingOn(after: error) else { throw error }
                failures.append(member.name, error)
            }
        }
        throw failures.error
    }

    /// Whether another upstream may do what this one could not.
    ///
    /// True for what is wrong with an upstream: down, full, out of money, its key refused, its model gone. False for
    /// what is wrong with the request, which would fail the same way elsewhere, and for faults of Parley's own, which
    /// must not hide.
    public static func isWorthMovingOn(after error: ParleyError) -> Bool {
        switch error.kind {
        case .rateLimited, .quota, .upstreamUnavailable, .timeout, .notFound, .notImplemented: true
        // Clients were authenticated before any model was asked, so these two come from an upstream.
        case .unauthenticated, .forbidden: true
        case .upstreamRejected:
            // Of the refusals only those of Parley's own credentials or of the model at that place.
            error.code == "invalid_api_key" || [401, 402, 403, 404].contains(error.httpStatus)
        // What this upstream's API cannot say, another's may.
        case .invalid where error.code?.hasPrefix("unsupported_") == true: true
        case .invalid, .methodNotAllowed, .tooLarge, .contentFiltered, .contextExceeded, .cancelled, .internalError:
            false
        }
    }
}
