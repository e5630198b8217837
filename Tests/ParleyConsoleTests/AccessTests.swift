// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import Testing

@testable import ParleyConsole

@Suite struct AccessTests {
    @Test func `a session is found by its id until it ends`() throws {
        var sessions = AdminSessions(life: 100)
        let id = sessions.begin(now: 1000)
        let session = try #require(sessions.find(id, now: 1099))
        #expect(session.accepts(session.formToken))
        #expect(!session.accepts(session.formToken + "x"))
        #expect(!session.accepts(""))
        #expect(sessions.find(id, now: 1100) == nil)
        #expect(sessions.find("", now: 1000) == nil)
        #expect(sessions.find(session.formToken, now: 1000) == nil)
        sessions.end(session)
        #expect(sessions.find(id, now: 1001) == nil)
    }

    @Test func `more sessions than there is room for end the oldest only`() {
        var sessions = AdminSessions(life: 1000)
        let ids = (0...AdminSessions.limit).map { sessions.begin(now: Int64($0)) }
        let now = Int64(AdminSessions.limit)
        #expect(sessions.find(ids[0], now: now) == nil)
        #expect(ids.dropFirst().allSatisfy { sessions.find($0, now: now) != nil })
        #expect(Set(ids).count == ids.count)
    }

    @Test func `ten wrong keys a minute are one address's share`() {
        var limit = GuessLimit()
        for _ in 0..<GuessLimit.tries {
            #expect(limit.wait("10.0.0.1", now: 5) == nil)
            limit.failed("10.0.0.1", now: 5)
        }
        #expect(limit.wait("10.0.0.1", now: 6) == 59)
        #expect(limit.wait("10.0.0.2", now: 6) == nil)
        #expect(limit.wait("10.0.0.1", now: 65) == nil)
    }

    @Test func `all hosts of an IPv6 network are one guesser, and many networks use bounded memory`() {
        #expect(GuessLimit.network(of: "2001:db8::1") == GuessLimit.network(of: "2001:db8::ffff:2"))
        #expect(GuessLimit.network(of: "2001:db8::1") != GuessLimit.network(of: "2001:db8:0:1::1"))
        #expect(GuessLimit.network(of: "::ffff:10.0.0.1") != GuessLimit.network(of: "::ffff:10.0.0.2"))
        var limit = GuessLimit()
        for host in 0..<(GuessLimit.places + GuessLimit.tries) { limit.failed("host-\(host)", now: 1) }
        #expect(limit.wait("one more", now: 2) != nil)
        #expect(limit.wait("host-3", now: 2) == nil)
    }

    @Test func `a state is good once, for ten minutes, and for nobody who makes one up`() {
        var pending = PendingSignIns()
        let state = pending.begin("flow", redirect: "http://h/cb", session: nil, now: 10)
        #expect(state.utf8.count == 32)
        #expect(pending.take("x" + state.dropFirst(), now: 10) == nil)
        #expect(pending.take(state, now: 609)?.provider == "flow")
        #expect(pending.take(state, now: 10) == nil)
        let late = pending.begin("flow", redirect: "http://h/cb", session: nil, now: 10)
        #expect(pending.take(late, now: 610) == nil)
    }

    @Test func `the doorkeeper knows one key, and not even that one while an address waits`() {
        let door = Doorkeeper(adminKey: KeyDigest(of: "right"), session: .seconds(60), clock: { 7 })
        #expect(door.check("right", from: "a") == .right)
        #expect(door.check("", from: "a") == .wrong)
        for _ in 1..<GuessLimit.tries { #expect(door.check("wrong", from: "a") == .wrong) }
        #expect(door.check("right", from: "a") == .wait(60))
        #expect(door.check("right", from: "b") == .right)
        let empty = Doorkeeper(adminKey: KeyDigest(of: ""), session: .seconds(60), clock: { 7 })
        #expect(empty.check("", from: "a") == .wrong)
    }
}
