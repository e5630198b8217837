// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import Synchronization

/// One of a provider's keys.
public struct Credential: Sendable, Equatable {
    /// Its place among the provider's keys.
    public var index: Int
    /// The key itself; nil where the provider needs none.
    public var secret: String?
}

/// A provider's keys, used in turn; a key that the service refused rests for a while.
public final class Credentials: Sendable {
    /// How long a key rests that was refused or has no balance left.
    static let refusedRest = TimeAmount.seconds(60)
    /// How long a key rests that was used too often, where the service does not say.
    static let busyRest = TimeAmount.seconds(10)
    /// The longest rest that a service can ask for.
    static let longestRest = TimeAmount.hours(1)

    private let secrets: [String]
    private let rotation: Mutex<KeyRotation>

    /// The given keys; none is fine.
    public init(_ secrets: [String]) {
        self.secrets = secrets
        self.rotation = Mutex(KeyRotation(count: secrets.count))
    }

    /// How many keys there are.
    public var count: Int { secrets.count }

    /// The key to use now: the next in turn that does not rest, else the one that rests the shortest.
    public func pick(at now: NIODeadline) -> Credential {
        guard secrets.count > 1 else { return Credential(index: 0, secret: secrets.first) }
        let index = rotation.withLock { $0.pick(at: now) }
        return Credential(index: index, secret: secrets.indices.contains(index) ? secrets[index] : nil)
    }

    /// Notes what the service thought of a key.
    ///
    /// - Returns: the failure, marked where another key is at hand in place of one that has to rest.
    @discardableResult
    public func note(_ failure: ParleyError, of credential: Credential, at now: NIODeadline) -> ParleyError {
        guard secrets.count > 1, let rest = Self.rest(after: failure) else { return failure }
        let isSpare = rotation.withLock { rotation in
            rotation.rest(credential.index, until: now + rest)
            return rotation.hasRested(at: now)
        }
        guard isSpare else { return failure }
        var marked = failure
        marked.hasSpareCredential = true
        return marked
    }

    /// How long a key rests after such a failure; nil where the key is not to blame.
    static func rest(after failure: ParleyError) -> TimeAmount? {
        switch failure.kind {
        case .unauthenticated, .forbidden, .quota:
            return refusedRest
        case .rateLimited:
            guard let seconds = failure.retryAfter, seconds > 0 else { return busyRest }
            let capped = min(seconds, Double(longestRest.nanoseconds) / 1e9)
            return .nanoseconds(Int64(capped * 1e9))
        default:
            switch failure.status {
            case 401, 402, 403: return refusedRest
            default: return nil
            }
        }
    }
}

/// Whose turn it is, as a plain state machine.
struct KeyRotation {
    private var turn = 0
    private var restingUntil: [NIODeadline]

    init(count: Int) {
        restingUntil = Array(repeating: .uptimeNanoseconds(0), count: count)
    }

    mutating func pick(at now: NIODeadline) -> Int {
        let count = restingUntil.count
        guard count > 0 else { return 0 }
        let start = turn
        var best = start
        for step in 0..<count {
            let index = (start + step) % count
            if restingUntil[index] <= now {
                best = index
                break
            }
            if restingUntil[index] < restingUntil[best] { best = index }
        }
        turn = (best + 1) % count
        return best
    }

    /// Whether one of them does not rest.
    func hasRested(at now: NIODeadline) -> Bool { restingUntil.contains { $0 <= now } }

    mutating func rest(_ index: Int, until end: NIODeadline) {
        guard restingUntil.indices.contains(index) else { return }
        restingUntil[index] = max(restingUntil[index], end)
    }
}
