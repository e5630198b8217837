// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// What Spark's codes mean; they are the same on a socket and over HTTP.
enum SparkFailure {
    /// The code that says that the answer itself failed review: what came before it stays.
    static let filteredAnswer = 10014

    /// The class of a code; nil for one that is not known.
    ///
    /// - Parameter message: what came with it: one code stands for two failures.
    static func kind(_ code: Int, message: String) -> ParleyError.Kind? {
        switch code {
        case 10003, 10004, 10005, 10163: return .upstreamRejected
        case 10006, 10007, 11202, 11203: return .rateLimited
        case 10000...10002, 10008...10012, 10017, 10110, 10222: return .upstreamUnavailable
        case 10013, filteredAnswer, 10019, 10021: return .contentFiltered
        case 10015, 10016: return .forbidden
        case 10907: return .contextExceeded
        case 11200:
            let words = message.lowercased()
            return ["quota", "exceed", "limit", "balance"].contains { words.contains($0) } ? .quota : .forbidden
        case 11201: return .quota
        default: return nil
        }
    }

    /// Whether a code says that there is too much to do at the moment.
    static func isOverload(_ code: Int) -> Bool { [10008, 10009, 10010, 10011, 10012, 10110, 10222].contains(code) }

    /// What refused a handshake, in words that say what to do.
    static func handshake(_ failure: ParleyError, status: Int) -> ParleyError {
        var failure = failure
        let words = failure.message.lowercased()
        if status == 401 || status == 403, words.contains("date") {
            failure = ParleyError(
                .forbidden,
                "The service refused the date of the signature: the clock of this machine is off by more than five "
                    + "minutes.")
        } else if status == 403, words.contains("ip address") {
            failure.message = "The service does not let this machine's address in; see its list of allowed addresses."
        } else if status == 404 {
            failure.message = "The service has no such address: the model's version and base_url do not fit."
        }
        return failure
    }
}
