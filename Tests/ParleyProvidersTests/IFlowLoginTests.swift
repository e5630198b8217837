// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import Testing

@testable import ParleyProviders

@Suite struct IFlowLoginTests {
    private typealias Machine = IFlowLoginMachine

    private static let minute: Int64 = 60_000
    private static let login = IFlowLogin(
        apiKey: "k1", accessToken: "a1", refreshToken: "r1", expires: 100 * minute, name: nil)
    private static let tokens = IFlowTokens(access: "a2", refresh: "r2", expires: 200 * minute)

    /// A machine that has read this login.
    private static func machine(_ login: IFlowLogin? = login) -> Machine {
        var machine = Machine(name: "flow")
        machine.read(login, now: 0)
        return machine
    }

    private static func key(_ step: Machine.Step) -> IFlowKey? {
        if case .use(let key) = step { return key }
        return nil
    }

    private static func refusal(_ step: Machine.Step) -> ParleyError? {
        if case .refuse(let error) = step { return error }
        return nil
    }

    @Test func `the store is read first, and a login that is there is used until five minutes before its end`() {
        var machine = Machine(name: "flow")
        #expect(machine.step(now: 0) == .read)
        machine.read(Self.login, now: 0)
        #expect(Self.key(machine.step(now: 95 * Self.minute - 1))?.text == "k1")
        #expect(machine.step(now: 95 * Self.minute) == .renew(Self.login))
        var endless = Self.login
        endless.expires = nil
        #expect(Self.key(Self.machine(endless).step(now: 1 << 50))?.text == "k1")
    }

    @Test func `new tokens are kept before the key is looked up, and the key before it is used`() {
        var machine = Self.machine()
        let now = 96 * Self.minute
        machine.renewed(Self.login, Self.tokens, now: 0)
        var expected = Self.login
        expected.accessToken = "a2"
        expected.refreshToken = "r2"
        expected.expires = 200 * Self.minute
        #expect(machine.step(now: now) == .save(expected))
        machine.saved(expected)
        #expect(machine.step(now: now) == .lookUp(expected))
        machine.lookedUp(IFlowUser(apiKey: "k2", name: "Ada"))
        expected.apiKey = "k2"
        expected.name = "Ada"
        #expect(machine.step(now: now) == .save(expected))
        machine.saved(expected)
        #expect(Self.key(machine.step(now: now))?.text == "k2")
    }

    @Test func `a key that cannot be looked up stays, and so does a refresh token that was not replaced`() throws {
        var machine = Self.machine()
        machine.renewed(Self.login, IFlowTokens(access: "a2", refresh: nil, expires: nil), now: 0)
        let renewed = try #require(machine.login)
        #expect(renewed.refreshToken == "r1")
        machine.saved(renewed)
        machine.lookedUp(nil)
        #expect(Self.key(machine.step(now: 0))?.text == "k1")
    }

    @Test func `while the login works a failed renewal is no reason to refuse, and is not repeated at once`() {
        var machine = Self.machine()
        let now = 96 * Self.minute
        machine.renewalFailed(ParleyError(.upstreamUnavailable, "down"), isFinal: false, now: now)
        #expect(Self.key(machine.step(now: now))?.text == "k1")
        #expect(machine.step(now: now + Machine.pause) == .renew(Self.login))
        let over = 101 * Self.minute
        machine.renewalFailed(ParleyError(.upstreamUnavailable, "down"), isFinal: false, now: over)
        #expect(Self.refusal(machine.step(now: over))?.kind == .upstreamUnavailable)
        #expect(machine.step(now: over + Machine.pause) == .renew(Self.login))
    }

    @Test func `tokens that live for less than five minutes are used all the same`() throws {
        var machine = Self.machine()
        machine.renewed(Self.login, IFlowTokens(access: "a2", refresh: "r2", expires: 1000), now: 1000)
        machine.saved(try #require(machine.login))
        machine.lookedUp(nil)
        #expect(Self.key(machine.step(now: 1000)) != nil)
        #expect(machine.step(now: 1000 + Machine.pause) == .renew(try #require(machine.login)))
    }

    @Test func `a final refusal stays until the store has another login`() {
        var machine = Self.machine()
        machine.renewalFailed(ParleyError(.unauthenticated, "no"), isFinal: true, now: 0)
        #expect(Self.refusal(machine.step(now: 1))?.message == "no")
        #expect(machine.step(now: Machine.rereadTime) == .read)
        machine.read(Self.login, now: Machine.rereadTime)
        #expect(Self.refusal(machine.step(now: Machine.rereadTime + 1))?.message == "no")
        var other = Self.login
        other.refreshToken = "r9"
        other.apiKey = "k9"
        machine.read(other, now: 2 * Machine.rereadTime)
        #expect(Self.key(machine.step(now: 2 * Machine.rereadTime))?.text == "k9")
    }

    @Test func `a refused key is renewed once for all who were refused it`() throws {
        var machine = Self.machine()
        let first = try #require(Self.key(machine.step(now: 0)))
        let isRenewed = machine.refused(first)
        #expect(isRenewed)
        #expect(machine.step(now: 0) == .renew(Self.login))
        machine.renewed(Self.login, IFlowTokens(access: "a2", refresh: "r2", expires: nil), now: 0)
        machine.saved(try #require(machine.login))
        machine.lookedUp(nil)
        // Those who come late with the old one try again with the new one, and nothing is renewed for them.
        let isKnown = machine.refused(first)
        #expect(isKnown)
        let second = try #require(Self.key(machine.step(now: 0)))
        #expect(second != first)
    }

    @Test func `without a refresh token nothing can be renewed`() throws {
        var plain = Self.login
        plain.refreshToken = nil
        var machine = Self.machine(plain)
        #expect(Self.key(machine.step(now: 99 * Self.minute)) != nil)
        #expect(Self.refusal(machine.step(now: 100 * Self.minute))?.code == "token_refresh_failed")
        let key = try #require(Self.key(machine.step(now: 0)))
        let isHopeful = machine.refused(key)
        #expect(!isHopeful)
        #expect(Self.refusal(machine.step(now: 0))?.kind == .unauthenticated)
    }

    @Test func `nobody signed in is said with the place to do so, and looked at again later`() {
        let machine = Self.machine(nil)
        #expect(Self.refusal(machine.step(now: 1))?.message.contains("/oauth/flow/login") == true)
        #expect(machine.step(now: Machine.rereadTime) == .read)
        // A clock that was set back must not make it wait for hours.
        #expect(machine.step(now: -1) == .read)
    }

    @Test func `what comes for an old login changes a new one nothing`() {
        var machine = Self.machine()
        var other = Self.login
        other.accessToken = "other"
        machine.adopt(other)
        machine.renewed(Self.login, Self.tokens, now: 0)
        #expect(machine.login == other)
        machine.saved(Self.login)
        #expect(Self.key(machine.step(now: 0)) != nil)
    }

    @Test func `a kept login is read back, and what is none is not`() {
        #expect(IFlowLogin(Self.login.object) == Self.login)
        #expect(IFlowLogin([:]) == nil)
        #expect(IFlowLogin(["apiKey": "k\r\nx: 1", "oauth_access_token": "a"]) == nil)
        let huge = IFlowLogin(["apiKey": "k", "oauth_access_token": "a", "oauth_expires_at": .number("9e18")])
        #expect(huge.map { Self.machine($0).step(now: .max - 1) } != nil)
    }
}
