// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import Testing

@testable import ParleyProviders

/// Seats that can be asked for within an expectation.
private final class SeatBench {
    private var seats: AgentSeats

    init(_ seats: AgentSeats) { self.seats = seats }

    func take(preferring agent: Int? = nil, at now: NIODeadline) -> AgentSeats.Choice {
        seats.take(preferring: agent, at: now)
    }
    func leave(_ agent: Int) { seats.leave(agent) }
    func end(_ agent: Int, wasUseful: Bool, at now: NIODeadline) { seats.end(agent, wasUseful: wasUseful, at: now) }
    func hasRoom(_ agent: Int) -> Bool { seats.hasRoom(agent) }
}

/// Sessions that can be asked for within an expectation.
private final class ConversationBench {
    private var conversations: AgentConversations

    init(_ conversations: AgentConversations = AgentConversations()) { self.conversations = conversations }

    var count: Int { conversations.count }
    func take(
        _ conversation: [AgentDigest], where isFree: (Int) -> Bool = { _ in true }
    ) -> (session: AgentConversations.Session, seen: Int)? {
        conversations.take(conversation, where: isFree)
    }
    func keep(_ agent: Int, _ id: String, _ seen: AgentDigest, at now: NIODeadline) -> [String] {
        conversations.keep(.init(agent: agent, id: id), seen, at: now).map(\.id)
    }
    func expire(at now: NIODeadline) -> [String] { conversations.expire(at: now).map(\.id) }
    func drop(agent: Int) { conversations.drop(agent: agent) }
}

@Suite("Seats in agents, as a table")
struct AgentSeatTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test("An idle agent first, then a new one, then the least busy, then nobody")
    func order() {
        let seats = SeatBench(AgentSeats(limit: 2, turnsEach: 2))
        #expect(seats.take(at: Self.start) == .start(1))
        #expect(seats.take(at: Self.start) == .start(2))
        #expect(seats.take(at: Self.start) == .agent(1))
        #expect(seats.take(at: Self.start) == .agent(2))
        #expect(seats.take(at: Self.start) == .wait)
        seats.leave(2)
        seats.leave(2)
        #expect(seats.take(preferring: 1, at: Self.start) == .agent(2), "the preferred one is full")
        seats.leave(1)
        #expect(seats.take(preferring: 1, at: Self.start) == .agent(1))
        #expect(seats.take(at: Self.start) == .agent(2))
        #expect(seats.take(at: Self.start) == .wait)
    }

    @Test("A limit of all turns holds over all agents")
    func total() {
        let seats = SeatBench(AgentSeats(limit: 4, turnsInAll: 2))
        #expect(seats.take(at: Self.start) == .start(1))
        #expect(seats.take(at: Self.start) == .start(2))
        #expect(seats.take(preferring: 1, at: Self.start) == .wait)
        seats.leave(1)
        #expect(seats.take(at: Self.start) == .agent(1))
    }

    @Test("An agent that ends is started anew at once; one that is of no use again and again, after a while")
    func pauses() {
        let seats = SeatBench(AgentSeats(limit: 1))
        #expect(seats.take(at: Self.start) == .start(1))
        seats.end(1, wasUseful: true, at: Self.start)
        #expect(seats.take(at: Self.start) == .start(2))
        seats.end(2, wasUseful: false, at: Self.start)
        #expect(seats.take(at: Self.start) == .start(3), "anybody may fall once")
        seats.end(3, wasUseful: false, at: Self.start)
        #expect(seats.take(at: Self.start) == .refuse(.milliseconds(500)))
        let later = Self.start + .milliseconds(500)
        #expect(seats.take(at: later) == .start(4))
        seats.end(4, wasUseful: false, at: later)
        #expect(seats.take(at: later) == .refuse(.seconds(1)))
        var now = later
        for id in 5..<60 {
            now = now + .seconds(30)
            #expect(seats.take(at: now) == .start(id))
            seats.end(id, wasUseful: false, at: now)
        }
        #expect(seats.take(at: now) == .refuse(.seconds(30)))
        now = now + .seconds(30)
        #expect(seats.take(at: now) == .start(60))
        seats.end(60, wasUseful: true, at: now)
        #expect(seats.take(at: now) == .start(61))
    }

    @Test("While one rests the others take more")
    func resting() {
        let seats = SeatBench(AgentSeats(limit: 2))
        #expect(seats.take(at: Self.start) == .start(1))
        for id in 2...3 {
            #expect(seats.take(at: Self.start) == .start(id))
            seats.end(id, wasUseful: false, at: Self.start)
        }
        #expect(seats.take(at: Self.start) == .agent(1))
        // What comes late about an agent that is gone changes nothing.
        seats.leave(3)
        seats.end(3, wasUseful: false, at: Self.start)
        #expect(!seats.hasRoom(3))
    }
}

@Suite("Sessions and their conversations, as a table")
struct AgentConversationTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private static func turn(_ role: String, _ text: String) -> AgentRequest.Turn {
        AgentRequest.Turn(role, [["type": "text", "text": .string(text)]])
    }

    /// A conversation whose turns are the user's and the assistant's by turns.
    private static func chain(_ texts: String..., caller: String = "me", model: String = "m") -> [AgentDigest] {
        let turns = texts.enumerated().map { turn($0.offset % 2 == 0 ? "user" : "assistant", $0.element) }
        return AgentDigest.chain(AgentRequest(model: model, turns: turns), caller: caller)
    }

    private static func kept(_ digest: AgentDigest, _ id: String = "s") -> ConversationBench {
        let conversations = ConversationBench()
        #expect(conversations.keep(1, id, digest, at: start).isEmpty)
        return conversations
    }

    @Test("A session goes on with the conversation that begins with all it has seen")
    func continued() throws {
        let seen = Self.chain("Hi", "Hello.")[1]
        let conversations = Self.kept(seen)
        let found = try #require(conversations.take(Self.chain("Hi", "Hello.", "Why?")))
        #expect(found.session == .init(agent: 1, id: "s") && found.seen == 2)
        #expect(conversations.take(Self.chain("Hi", "Hello.", "Why?")) == nil, "it is in use now")
    }

    @Test("The one that has seen the most is taken")
    func longest() throws {
        let all = Self.chain("a", "b", "c", "d", "e")
        let conversations = Self.kept(all[1], "short")
        _ = conversations.keep(2, "long", all[3], at: Self.start)
        #expect(conversations.take(all) { $0 == 1 }?.session.id == "short", "the other agent is full")
        #expect(conversations.take(all)?.session.id == "long")
    }

    @Test(
        "Anything else is another conversation",
        arguments: [
            chain("Hi", "Hello!", "Why?"), chain("Ho", "Hello.", "Why?"), chain("Hi", "Hello."), chain("Hi"),
            chain("Hi", "Hello.", "Why?", caller: "you"), chain("Hi", "Hello.", "Why?", model: "n"),
            chain("HiHello.", "", "x"),
        ])
    func other(_ conversation: [AgentDigest]) {
        let conversations = Self.kept(Self.chain("Hi", "Hello.")[1])
        #expect(conversations.take(conversation) == nil)
    }

    @Test("Blanks at an answer's ends, which clients take off, and its parts make no difference")
    func blanks() {
        let answer = AgentRequest.Turn(
            "assistant",
            [
                ["type": "text", "text": "Hello"], ["type": "text", "text": " there.\n"],
            ])
        let user = Self.turn("user", "Hi")
        let one = AgentDigest.chain(AgentRequest(model: "m", turns: [user, answer]), caller: "me")
        #expect(one == Self.chain("Hi", "  Hello there."))
        #expect(Self.chain("Hi ", "x") != Self.chain("Hi", "x"))
    }

    @Test("The oldest go when there are too many or when their time is over, and with their agent")
    func limits() {
        let conversations = ConversationBench(AgentConversations(limit: 2, lifetime: .hours(1)))
        let digests = (0..<4).map { Self.chain("\($0)", "a")[1] }
        var gone: [String] = []
        for (index, digest) in digests.enumerated() {
            let now = Self.start + .minutes(Int64(index))
            gone += conversations.keep(index % 2, "\(index)", digest, at: now)
        }
        #expect(gone == ["0", "1"] && conversations.count == 2)
        #expect(conversations.keep(0, "2b", digests[2], at: Self.start + .minutes(4)) == ["2"])
        #expect(conversations.expire(at: Self.start + .minutes(63)) == ["3"])
        conversations.drop(agent: 1)
        #expect(conversations.count == 1)
        conversations.drop(agent: 0)
        #expect(conversations.count == 0)
    }
}
