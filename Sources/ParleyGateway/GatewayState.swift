// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyCore
import ParleyModels
import Synchronization

/// What all event loops share: counters and the drain flag, as atomics, and the responses that are kept.
final class GatewayState: Sendable {
    /// The answers of Responses that clients may go on from.
    let responses: any ResponseStore
    /// Where the account of calls is kept; nil: nowhere.
    let ledger: (any Ledger)?
    /// The conversations that clients may go on with.
    let conversations: any ConversationStore
    /// Lets the turns of a conversation in one by one.
    let turns = ConversationGate()
    /// Whether clients' connections are encrypted.
    let isSecure: Bool
    private let draining = Atomic<Bool>(false)
    private let connectionCount = Atomic<Int>(0)
    private let running = Atomic<Int>(0)

    init(
        responses: any ResponseStore, conversations: any ConversationStore, ledger: (any Ledger)? = nil,
        isSecure: Bool
    ) {
        self.responses = responses
        self.conversations = conversations
        self.ledger = ledger
        self.isSecure = isSecure
    }

    /// Whether the server is shutting down: no new requests are taken.
    var isDraining: Bool { draining.load(ordering: .relaxed) }

    /// Client connections at the moment.
    var connections: Int { connectionCount.load(ordering: .relaxed) }

    /// Requests being answered at the moment.
    var requests: Int { running.load(ordering: .relaxed) }

    func drain() { draining.store(true, ordering: .relaxed) }
    func opened() { connectionCount.add(1, ordering: .relaxed) }
    func closed() { connectionCount.subtract(1, ordering: .relaxed) }
    func began() { running.add(1, ordering: .relaxed) }
    func ended() { running.subtract(1, ordering: .relaxed) }
}
