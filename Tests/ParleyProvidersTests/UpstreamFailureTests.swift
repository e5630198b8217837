// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import Testing

@testable import ParleyProviders

@Suite("An upstream's refusals and keys")
struct UpstreamFailureTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        var status: Int
        var body: String
        var kind: ParleyError.Kind
        var testDescription: String { "\(status) \(body.prefix(40))" }
    }

    static let refusals = [
        Refusal(status: 401, body: #"{"detail":"Invalid API Key"}"#, kind: .unauthenticated),
        Refusal(status: 401, body: #""Invalid token""#, kind: .unauthenticated),
        Refusal(
            status: 400, body: #"{"code":"invalid-argument","error":"Incorrect API key provided: xa***"}"#,
            kind: .unauthenticated),
        Refusal(status: 402, body: #"{"error":{"message":"Insufficient Balance"}}"#, kind: .quota),
        Refusal(status: 403, body: #"{"error":{"message":"Region not allowed"}}"#, kind: .forbidden),
        Refusal(
            status: 404, body: #"{"error":{"message":"no such model","code":"model_not_found"}}"#, kind: .notFound),
        Refusal(status: 413, body: "", kind: .tooLarge),
        Refusal(status: 429, body: #"{"error":{"message":"slow"}}"#, kind: .rateLimited),
        Refusal(
            status: 429, body: #"{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}"#,
            kind: .quota),
        Refusal(
            status: 400, body: #"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            kind: .contextExceeded),
        Refusal(status: 500, body: "<html>oops</html>", kind: .upstreamUnavailable),
        Refusal(status: 503, body: #"[{"error":{"message":"busy"}}]"#, kind: .upstreamUnavailable),
        Refusal(status: 302, body: "", kind: .upstreamUnavailable),
    ]

    @Test("Every shape of refusal has its kind", arguments: refusals)
    func kinds(refusal: Refusal) async throws {
        let connector = FakeConnector(.json(refusal.body, status: refusal.status))
        let call = makeCall(connector)
        let failure = await thrown(by: try makeModel(), call)
        #expect(failure?.kind == refusal.kind)
        #expect(call.trace.attempts.first?.failure == refusal.kind)
    }

    @Test("OpenAI's own envelope keeps its words")
    func envelope() async throws {
        let body =
            #"{"error":{"message":"No.","type":"invalid_request_error","param":"messages","code":"invalid_value"}}"#
        let failure = await thrown(by: try makeModel(), makeCall(FakeConnector(.json(body, status: 400))))
        #expect(failure?.message == "No.")
        #expect(failure?.httpStatus == 400)
        let envelope = try parsed(String(buffer: OpenAIChat().encodeFailure(try #require(failure))))["error"]
        #expect(envelope?["type"] == "invalid_request_error")
        #expect(failure?.parameter == "messages")
        #expect(failure?.code == "invalid_value")
    }

    @Test("retry-after is kept")
    func retryAfter() async throws {
        let script = FakeConnector.Script.json(
            #"{"error":{"message":"slow"}}"#, status: 429, headers: [("Retry-After", "7")])
        #expect(await thrown(by: try makeModel(), makeCall(FakeConnector(script)))?.retryAfter == 7)
    }

    @Test("A refusal whose body is cut counts by its status, and its upstream is closed")
    func cutRefusal() async throws {
        var script = FakeConnector.Script.json("{\"err", status: 503)
        script.reads.append(.failure(ParleyError(.upstreamUnavailable, "cut")))
        script.reads.append(.bytes("never read"))
        let connector = FakeConnector(script)
        let failure = await thrown(by: try makeModel(), makeCall(connector))
        #expect(failure?.kind == .upstreamUnavailable)
        #expect(connector.cancelled == 1)
    }

    @Test("A connection that cannot be made is the provider's failure")
    func refused() async throws {
        let failure = await thrown(by: try makeModel(), makeCall(FakeConnector()))
        #expect(failure == ParleyError(.upstreamUnavailable, "a: connection refused"))
    }

    @Test("Keys take turns, and one that was used too often rests")
    func rotation() async throws {
        let fine = FakeConnector.Script.json(wholeAnswer)
        let busy = FakeConnector.Script.json("{}", status: 429, headers: [("retry-after", "30")])
        let connector = FakeConnector(fine, busy, fine, fine, fine)
        let model = try makeModel(keys: ["k1,k2", "k3"])
        for _ in 0..<5 { _ = await thrown(by: model, makeCall(connector, stream: false)) }
        let used = connector.heads.map { head in ["k1", "k2", "k3"].first { head.contains("Bearer \($0)\r\n") } }
        #expect(used == ["k1", "k2", "k3", "k1", "k3"])
    }

    @Test("Of resting keys the one that rests the shortest is taken; a wrong one rests a minute")
    func resting() {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        let keys = Credentials(["a", "b"])
        keys.note(ParleyError(.unauthenticated, ""), of: keys.pick(at: now), at: now)
        keys.note(ParleyError(.rateLimited, "", retryAfter: 5), of: keys.pick(at: now), at: now)
        #expect(keys.pick(at: now).secret == "b")
        #expect(keys.pick(at: now + .seconds(6)).secret == "b")
        #expect(keys.pick(at: now + .seconds(61)).secret == "a")
        #expect(keys.pick(at: now + .seconds(61)).secret == "b")
    }

    @Test("A failure says whether another key is at hand")
    func spare() {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        let keys = Credentials(["a", "b"])
        let refused = ParleyError(.unauthenticated, "")
        #expect(keys.note(refused, of: keys.pick(at: now), at: now).hasSpareCredential)
        #expect(!keys.note(ParleyError(.timeout, ""), of: keys.pick(at: now), at: now).hasSpareCredential)
        #expect(!keys.note(refused, of: Credential(index: 1, secret: "b"), at: now).hasSpareCredential)
        #expect(!Credentials(["a"]).note(refused, of: Credential(index: 0, secret: "a"), at: now).hasSpareCredential)
    }

    @Test("A single key is used however often it was refused")
    func single() {
        let now = NIODeadline.now()
        let keys = Credentials(["a"])
        keys.note(ParleyError(.unauthenticated, ""), of: keys.pick(at: now), at: now)
        #expect(keys.pick(at: now).secret == "a")
        #expect(Credentials([]).pick(at: now).secret == nil)
    }

    @Test("A hostile retry-after neither traps nor rests a key for ever", arguments: [1e300, .infinity, .nan, -5])
    func hostileRetryAfter(seconds: Double) throws {
        let rest = try #require(Credentials.rest(after: ParleyError(.rateLimited, "", retryAfter: seconds)))
        #expect(rest <= .hours(1))
    }
}
