// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// Which agent a turn goes to, as a plain state machine: no clock, no process.
///
/// An agent that is idle comes first, then one that is not started yet, then the least busy one; turns in different
/// sessions run side by side in one agent. An agent that dies again and again before it was of any use is started anew
/// only after a while.
struct AgentSeats {
    enum Choice: Equatable {
        /// This agent runs already.
        case agent(Int)
        /// This one must be started.
        case start(Int)
        /// All are busy.
        case wait
        /// None may be started for so long.
        case refuse(TimeAmount)
    }

    /// The first pause before another start, which doubles.
    static let pause = TimeAmount.milliseconds(500)
    static let longestPause = TimeAmount.seconds(30)

    /// The most agents at once.
    let limit: Int
    /// The most turns at once in one agent.
    let turnsEach: Int
    /// The most turns at once in all.
    let turnsInAll: Int
    private var turns: [Int: Int] = [:]
    private var lastID = 0
    private var failures = 0
    private var notBefore = NIODeadline.uptimeNanoseconds(0)

    init(limit: Int, turnsEach: Int = 8, turnsInAll: Int = .max) {
        self.limit = limit
        self.turnsEach = turnsEach
        self.turnsInAll = turnsInAll
    }

    /// Whether this agent runs and can take another turn.
    func hasRoom(_ agent: Int) -> Bool {
        guard let running = turns[agent] else { return false }
        return running < turnsEach && !isFull
    }

    private var isFull: Bool { turns.values.reduce(0, +) >= turnsInAll }

    /// Takes a seat.
    mutating func take(preferring agent: Int? = nil, at now: NIODeadline) -> Choice {
        if isFull { return .wait }
        if let agent, hasRoom(agent) { return sit(agent) }
        let leastBusy = turns.min { ($0.value, $0.key) < ($1.value, $1.key) }
        if let leastBusy, leastBusy.value == 0 { return sit(leastBusy.key) }
        if turns.count < limit, notBefore <= now {
            lastID += 1
            turns[lastID] = 1
            return .start(lastID)
        }
        if let leastBusy, leastBusy.value < turnsEach { return sit(leastBusy.key) }
        return turns.isEmpty ? .refuse(notBefore - now) : .wait
    }

    private mutating func sit(_ agent: Int) -> Choice {
        turns[agent, default: 0] += 1
        return .agent(agent)
    }

    /// Gives a seat back.
    mutating func leave(_ agent: Int) {
        if let running = turns[agent], running > 0 { turns[agent] = running - 1 }
    }

    /// An agent has ended.
    mutating func end(_ agent: Int, wasUseful: Bool, at now: NIODeadline) {
        guard turns.removeValue(forKey: agent) != nil else { return }
        failures = wasUseful ? 0 : min(failures + 1, 20)
        // Anybody may fall once.
        guard failures > 1 else { return }
        let doubled = Self.pause.nanoseconds << Int64(failures - 2)
        notBefore = now + min(.nanoseconds(doubled), Self.longestPause)
    }
}
