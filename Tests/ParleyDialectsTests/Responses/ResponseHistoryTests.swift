// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Synchronization
import Testing

@testable import ParleyDialects

/// A store that is only a list.
private final class ListStore: ResponseStore {
    private let records = Mutex<[ResponseRecord]>([])

    func save(_ record: ResponseRecord) { records.withLock { $0.append(record) } }

    func record(_ id: String, key: String) -> ResponseRecord? {
        records.withLock { $0.last { $0.id == id && $0.key == key } }
    }

    func isKept(_ id: String) -> Bool { records.withLock { $0.contains { $0.id == id } } }

    func remove(_ id: String, key: String) -> Bool { false }

    func conversation(_ id: String, key: String) -> [ResponseRecord] {
        records.withLock { $0.filter { $0.conversation == id && $0.key == key } }
    }
}

@Suite("Going on from kept responses")
struct ResponseHistoryTests {
    private func record(
        _ id: String, _ request: String, _ output: String, key: String = "k", provider: String? = "p",
        isNative: Bool = false
    ) throws -> ResponseRecord {
        let response = #"{"id":"\#(id)","object":"response","created_at":5,"status":"completed","output":\#(output)}"#
        return try #require(
            try ResponseRecord(
                request: ByteBuffer(string: request), response: ByteBuffer(string: response), key: key, model: "m",
                provider: provider, isNative: isNative))
    }

    private static let said =
        #"[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"A"}]}]"#

    private func chain(_ body: String, _ store: ListStore, key: String = "k") async throws(ParleyError)
        -> [ResponseRecord]
    {
        try await ResponseHistory.chain(
            try ResponseHistory.reference(ByteBuffer(string: body)), key: key, in: store)
    }

    private func expanded(_ body: String, _ chain: [ResponseRecord], provider: String? = nil) throws -> JSONValue {
        try JSON.parse(try ResponseHistory.expanded(ByteBuffer(string: body), chain: chain, provider: provider))
    }

    @Test("A request that goes on says everything that was said")
    func goesOn() async throws {
        let store = ListStore()
        store.save(try record("resp_1", #"{"input":"1","instructions":"old"}"#, Self.said))
        store.save(
            try record("resp_2", #"{"input":[{"role":"user","content":"2"}],"previous_response_id":"resp_1"}"#, "[]"))
        let body = #"{"model":"m","previous_response_id":"resp_2","input":"3","odd":1.0}"#
        let request = try expanded(body, try await chain(body, store))
        #expect(request["previous_response_id"] == nil && request["odd"] == .number("1.0"))
        #expect(request["instructions"] == nil)
        let said = request["input"]?.array?.map { item in
            item["content"]?.string ?? item["content"]?.array?.first?["text"]?.string ?? ""
        }
        #expect(said == ["1", "A", "2", "3"])
    }

    @Test("Unknown responses, broken chains, circles and other keys are not found", arguments: ["none", "lost", "me"])
    func notFound(id: String) async throws {
        let store = ListStore()
        store.save(try record("lost", #"{"input":"1","previous_response_id":"gone"}"#, "[]"))
        store.save(try record("me", #"{"input":"1","previous_response_id":"me"}"#, "[]"))
        store.save(try record("none", #"{"input":"1"}"#, "[]", key: "other"))
        await #expect(throws: ResponseHistory.notFound(previous: id)) {
            try await chain(#"{"previous_response_id":"\#(id)","input":"x"}"#, store)
        }
        let fault = ResponseHistory.notFound(previous: id)
        #expect(fault.code == "previous_response_not_found" && fault.parameter == "previous_response_id")
        #expect(fault.httpStatus == 400)
    }

    @Test("A conversation is all that was said in it")
    func conversation() async throws {
        let store = ListStore()
        store.save(try record("resp_1", #"{"input":"1","conversation":"conv_1"}"#, Self.said))
        store.save(try record("resp_2", #"{"input":"2","conversation":{"id":"conv_1"}}"#, Self.said))
        let body = #"{"conversation":{"id":"conv_1"},"input":"3"}"#
        let request = try expanded(body, try await chain(body, store))
        #expect(request["input"]?.array?.count == 5 && request["conversation"] == nil)
        let earlier = #"{"previous_response_id":"resp_1","input":"x"}"#
        #expect(try await chain(earlier, store).map(\.id) == ["resp_1"])
        #expect(throws: ParleyError.self) {
            _ = try ResponseHistory.reference(
                ByteBuffer(string: #"{"conversation":"c","previous_response_id":"r"}"#))
        }
    }

    @Test("Reasoning that another provider made goes without its ciphertext")
    func ciphertext() throws {
        let output = #"""
            [{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"c"},
            {"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"c"},
            {"type":"reasoning","id":"rs_parley_3","summary":[],"encrypted_content":"parley.anthropic.{}"}]
            """#
        let kept = try record("resp_1", #"{"input":"1"}"#, output, isNative: true)
        let body = #"{"input":"2"}"#
        let own = try expanded(body, [kept])["input"]?.array
        #expect(own?.count == 5 && own?[1]["encrypted_content"] == "c" && own?[2]["id"] == "rs_2")
        let other = try expanded(body, [kept], provider: "q")["input"]?.array
        #expect(other?.count == 4 && other?[1]["encrypted_content"] == nil)
        #expect(other?[1]["id"] == "rs_parley_rs_2" && other?[2]["encrypted_content"] == "parley.anthropic.{}")
    }

    @Test("A reference to an item is replaced by the item")
    func references() throws {
        let kept = try record("resp_1", #"{"input":"1"}"#, Self.said)
        let input = try expanded(#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#, [kept])["input"]?.array
        #expect(input?.count == 2 && input?.last?["role"] == "assistant")
    }

    @Test("What a request says of keeping")
    func reference() throws {
        let plain = try ResponseHistory.reference(ByteBuffer(string: #"{"input":"a"}"#))
        #expect(plain.isStored && !plain.isContinuation && !plain.isBackground && plain.mustKeep)
        let other = try ResponseHistory.reference(ByteBuffer(string: #"{"store":false,"background":true}"#))
        #expect(!other.mustKeep && other.isBackground)
        #expect(throws: ParleyError.self) { try ResponseHistory.refuseBackground(other) }
        #expect(throws: ParleyError.self) { try ResponseHistory.reference(ByteBuffer(string: #"{"store":"x"}"#)) }
    }

    @Test("Kept responses are shown, listed and forgotten as OpenAI does it")
    func stored() throws {
        let kept = try record(
            "resp_1", #"{"input":[{"role":"user","content":"1"},{"id":"x","role":"user","content":[]}]}"#, "[]")
        #expect(try JSON.parse(try StoredResponses.retrieved(kept))["id"] == "resp_1")
        #expect(throws: ParleyError.self) { try StoredResponses.retrieved(kept, query: "a=b&stream=true") }
        #expect(
            String(buffer: StoredResponses.deleted("resp_1")) == #"{"id":"resp_1","object":"response","deleted":true}"#)
        let all = try JSON.parse(try StoredResponses.inputItems(kept))
        #expect(all["first_id"] == "x" && all["last_id"] == "msg_1_in0" && all["has_more"] == false)
        #expect(all["data"]?.array?.last?["content"] == [["type": "input_text", "text": "1"]])
        let page = try JSON.parse(try StoredResponses.inputItems(kept, query: "limit=1&order=asc"))
        #expect(page["data"]?.array?.count == 1 && page["has_more"] == true && page["last_id"] == "msg_1_in0")
        let rest = try JSON.parse(try StoredResponses.inputItems(kept, query: "order=asc&after=msg_1_in0"))
        #expect(rest["first_id"] == "x" && rest["has_more"] == false)
        #expect(throws: ParleyError.self) { try StoredResponses.inputItems(kept, query: "limit=0") }
        #expect(StoredResponses.unknown("x").httpStatus == 404 && StoredResponses.notCancellable().httpStatus == 400)
    }
}

@Suite("Relaying Responses")
struct ResponsesRelayTests {
    private func relay(_ text: String) -> (out: String, observed: Observation, error: ParleyError?) {
        let relay = Responses.dialect.makeStreamRelay(stripUsage: false)
        var out = ByteBuffer()
        do throws(ParleyError) {
            try relay.push(ByteBuffer(string: text), into: &out)
            try relay.finish(into: &out)
        } catch {
            relay.fail(error, into: &out)
            return (String(buffer: out), relay.observed, error)
        }
        return (String(buffer: out), relay.observed, nil)
    }

    private static let created = Responses.frame(
        "response.created", #""sequence_number":0,"response":\#(Responses.response("[]", status: "in_progress"))"#)
    private static let delta = Responses.frame("response.output_text.delta", #""sequence_number":1,"delta":"a""#)
    private static let failed = Responses.frame(
        "response.failed",
        #""sequence_number":3,"response":{"status":"failed","error":{"code":"server_error","message":"x"}}"#)

    @Test("An error before anything that matters is thrown, a later one is passed on")
    func errors() {
        let error = Responses.frame("error", #""sequence_number":2,"code":"rate_limit_exceeded","message":"x""#)
        #expect(relay(Self.created + error).error?.kind == .rateLimited)
        #expect(relay(Self.created + Self.failed).error?.kind == .upstreamUnavailable)
        let late = relay(Self.created + Self.delta + error + Self.failed)
        #expect(late.error == nil && late.observed.finish == "error" && late.observed.isComplete)
        #expect(late.out == Self.created + Self.delta + error + Self.failed)
        let alone = relay(Self.created + Self.delta + error)
        #expect(alone.error == nil && alone.observed.isComplete)
    }

    @Test("A stream that breaks off ends with an error that goes on counting")
    func brokenOff() {
        let run = relay(Self.created + Self.delta)
        #expect(run.error?.kind == .upstreamUnavailable)
        let frames = Responses.frames(run.out)
        #expect(frames.map { $0["sequence_number"] } == [0, 1, 2, 3])
        #expect(frames.last?["type"] == "response.failed" && frames.last?["response"]?["status"] == "failed")
        #expect(frames.last?["response"]?["id"] == "resp_1")
        #expect(relay("data: {nope\n\n").error?.kind == .upstreamUnavailable)
    }

    @Test("A whole answer is looked over")
    func whole() throws {
        let good = ByteBuffer(string: Responses.response("[]", status: "incomplete"))
        #expect(try Responses.dialect.inspectWhole(good).usage.output == 4)
        for body in ["{}", "[]", "{", #"{"error":{"message":"x"}}"#, Responses.response("[]", status: "failed")] {
            #expect(throws: ParleyError.self) { try Responses.dialect.inspectWhole(ByteBuffer(string: body)) }
        }
    }
}
