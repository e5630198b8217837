// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyProviders

/// Messages of an agent, for tables.
enum AgentLines {
    static func line(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }

    static func update(_ session: String, _ text: String) -> ByteBuffer {
        line(
            #"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"\#(session)","update":"#
                + #"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"\#(text)"}}}}"#)
    }

    static func tool(_ session: String, _ id: String, _ kind: String) -> ByteBuffer {
        line(
            #"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"\#(session)","update":"#
                + #"{"sessionUpdate":"tool_call","toolCallId":"\#(id)","title":"t","kind":"\#(kind)"}}}"#)
    }

    static func permission(
        _ session: String, _ call: String, id: String = "7", options: String = standard
    ) -> ByteBuffer {
        line(
            #"{"jsonrpc":"2.0","id":\#(id),"method":"session/request_permission","params":{"sessionId":"\#(session)","#
                + #""toolCall":{\#(call)},"options":[\#(options)]}}"#)
    }

    static let standard =
        #"{"optionId":"y","name":"Y","kind":"allow_once"},{"optionId":"a","name":"A","kind":"allow_always"},"#
        + #"{"optionId":"n","name":"N","kind":"reject_once"}"#

    static func result(_ id: Int, _ result: String) -> ByteBuffer {
        line(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#)
    }

    /// What is sent among effects, as text.
    static func sent(_ effects: [AgentPeer.Effect]) -> [String] {
        effects.compactMap { if case .send(let line) = $0 { String(buffer: line) } else { nil } }
    }
}

/// A state machine that can be asked within an expectation.
final class PeerBench {
    private var peer: AgentPeer

    init(
        _ flavour: AgentFlavour = .standard, _ permissions: AgentPermissions = .none, sessions: String...
    ) {
        peer = AgentPeer(flavour, permissions: permissions)
        for session in sessions { _ = peer.adopt(session) }
    }

    func call(_ method: String, _ params: JSONValue) -> (id: Int, line: ByteBuffer) { peer.call(method, params) }
    func forget(call id: Int) { peer.forget(call: id) }
    func adopt(_ session: String) -> Bool { peer.adopt(session) }
    func turn(_ session: String) -> Int? { peer.prompt(session, [])?.turn }
    func cancel(_ turn: Int) -> [AgentPeer.Effect] { peer.cancel(turn) }
    func receive(_ line: ByteBuffer) -> [AgentPeer.Effect] { peer.receive(line) }
}

@Suite("The client's side of the Agent Client Protocol, as a table")
struct AgentPeerTests {
    @Test("A request has an id of its own, and its answer goes to whoever asked, once")
    func requests() {
        let peer = PeerBench()
        let first = peer.call("initialize", ["protocolVersion": 1])
        let second = peer.call("session/new", [:])
        #expect(
            String(buffer: first.line)
                == #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":1}}"#)
        #expect(second.id == 1)
        #expect(peer.receive(AgentLines.result(1, "{}")) == [.answered(1, .result([:]))])
        // Some agents send numbers back as text.
        #expect(peer.receive(AgentLines.line(#"{"id":"0","result":null}"#)) == [.answered(0, .result(.null))])
        #expect(peer.receive(AgentLines.result(0, "{}")).isEmpty)
        #expect(peer.receive(AgentLines.result(55, "{}")).isEmpty)
        let third = peer.call("session/new", [:])
        peer.forget(call: third.id)
        #expect(peer.receive(AgentLines.result(third.id, "{}")).isEmpty)
    }

    @Test("An error is an answer, too")
    func errors() {
        let peer = PeerBench()
        let id = peer.call("session/new", [:]).id
        let line = AgentLines.line(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32000,"message":"no"}}"#)
        #expect(peer.receive(line) == [.answered(id, .error(["code": -32000, "message": "no"]))])
    }

    @Test("Updates go to the turn of their session, and to nobody where it is in none")
    func demultiplexing() throws {
        let peer = PeerBench(sessions: "a", "b")
        #expect(peer.receive(AgentLines.update("a", "early")).isEmpty)
        let a = try #require(peer.turn("a"))
        let b = try #require(peer.turn("b"))
        #expect(peer.turn("a") == nil, "a session has one turn at a time")
        #expect(peer.turn("nobody") == nil)
        let lines = [AgentLines.update("a", "1"), AgentLines.update("b", "2"), AgentLines.update("a", "3")]
        #expect(
            lines.map { peer.receive($0) } == [
                [.line(turn: a, lines[0])], [.line(turn: b, lines[1])], [.line(turn: a, lines[2])],
            ])
        #expect(peer.receive(AgentLines.update("c", "x")).isEmpty)
        let end = AgentLines.result(a, #"{"stopReason":"end_turn"}"#)
        #expect(peer.receive(end) == [.line(turn: a, end), .over(turn: a)])
        #expect(peer.receive(AgentLines.update("a", "late")).isEmpty)
        #expect(peer.turn("a") != nil)
        #expect(!peer.adopt("b"), "an id that is taken is not taken again")
    }

    @Test("Of a turn that was given up nothing is passed on, and its session is not used again")
    func cancelling() throws {
        let peer = PeerBench(sessions: "a")
        let turn = try #require(peer.turn("a"))
        #expect(
            AgentLines.sent(peer.cancel(turn))
                == [#"{"jsonrpc":"2.0","method":"session/cancel","params":{"sessionId":"a"}}"#])
        #expect(peer.cancel(turn).isEmpty)
        #expect(peer.receive(AgentLines.update("a", "late")).isEmpty)
        #expect(peer.turn("a") == nil)
        #expect(!peer.adopt("a"), "its old turn may still talk")
        #expect(
            AgentLines.sent(peer.receive(AgentLines.permission("a", #""kind":"read""#)))
                == [#"{"jsonrpc":"2.0","id":7,"result":{"outcome":{"outcome":"cancelled"}}}"#])
        #expect(peer.receive(AgentLines.result(turn, #"{"stopReason":"cancelled"}"#)).isEmpty)
        #expect(peer.adopt("a"))
    }

    @Test("iFlow is told to cancel by a request, and its early requests are answered")
    func iflow() throws {
        let flavour = AgentFlavour(cancelsByRequest: true, hasOldRequests: true)
        let peer = PeerBench(flavour, sessions: "a")
        let turn = try #require(peer.turn("a"))
        #expect(
            AgentLines.sent(peer.cancel(turn))
                == [#"{"jsonrpc":"2.0","id":1,"method":"session/cancel","params":{"sessionId":"a"}}"#])
        #expect(peer.receive(AgentLines.result(1, "null")).isEmpty)
        let asked = ["pushToolCall", "pushToolCall", "updateToolCall", "notifyTaskFinish", "elsewhere"]
        let replies = asked.map { name in
            let line = AgentLines.line(#"{"jsonrpc":"2.0","id":"q","method":"\#(name)","params":{}}"#)
            return AgentLines.sent(peer.receive(line))
        }
        #expect(
            replies == [
                [#"{"jsonrpc":"2.0","id":"q","result":{"id":"tool_1"}}"#],
                [#"{"jsonrpc":"2.0","id":"q","result":{"id":"tool_2"}}"#],
                [#"{"jsonrpc":"2.0","id":"q","result":null}"#], [#"{"jsonrpc":"2.0","id":"q","result":null}"#],
                [#"{"jsonrpc":"2.0","id":"q","error":{"code":-32601,"message":"Method not found"}}"#],
            ])
        let standard = PeerBench()
        let push = AgentLines.line(#"{"id":1,"method":"pushToolCall","params":{}}"#)
        #expect(AgentLines.sent(standard.receive(push)).first?.contains("-32601") == true)
    }

    @Test(
        "What was not announced is refused: files, terminals, anything unknown",
        arguments: [
            "fs/read_text_file", "fs/write_text_file", "terminal/create", "_x/y", "",
        ])
    func unannounced(_ method: String) {
        let peer = PeerBench(sessions: "a")
        let line = AgentLines.line(#"{"jsonrpc":"2.0","id":1.5e3,"method":"\#(method)","params":{"sessionId":"a"}}"#)
        #expect(
            AgentLines.sent(peer.receive(line))
                == [#"{"jsonrpc":"2.0","id":1.5e3,"error":{"code":-32601,"message":"Method not found"}}"#])
    }

    @Test(
        "Whatever an agent prints, nothing breaks",
        arguments: [
            "", "hello", "[]", "[1,2]", "null", "{", "{}", #"{"id":null}"#, #"{"method":5}"#,
            #"{"method":"session/update"}"#,
            #"{"method":"session/update","params":[]}"#, #"{"method":"session/update","params":{"sessionId":7}}"#,
            #"{"id":1e400,"result":{}}"#, #"{"id":-1,"result":{}}"#, #"{"id":{},"result":{}}"#,
            #"{"id":99999999999999999999}"#,
            #"{"method":"session/update","params":{"sessionId":"a","update":"x"}}"#, "{\"id\":\"\u{0}\"}",
        ])
    func hostile(_ text: String) {
        let peer = PeerBench(sessions: "a")
        #expect(peer.receive(AgentLines.line(text)).isEmpty)
    }

    @Test(
        "A question without sense is cancelled, not left open",
        arguments: [
            "{}", "[]", "null", #"{"sessionId":"a"}"#, #"{"sessionId":"a","options":{}}"#,
            #"{"sessionId":"a","toolCall":5,"options":[1,null]}"#, #"{"sessionId":"zzz","options":[]}"#,
        ])
    func senseless(_ params: String) {
        let peer = PeerBench(.standard, .all, sessions: "a")
        _ = peer.turn("a")
        let line = AgentLines.line(#"{"id":3,"method":"session/request_permission","params":\#(params)}"#)
        #expect(AgentLines.sent(peer.receive(line)).first?.hasSuffix(#"{"outcome":{"outcome":"cancelled"}}}"#) == true)
    }
}

@Suite("What agents may do")
struct AgentPermissionTests {
    /// What is answered to a question about a tool, by the id of the chosen option.
    private static func answer(
        _ setting: JSONValue?, _ call: String, options: String = AgentLines.standard
    ) throws -> String? {
        let peer = PeerBench(.standard, try AgentPermissions(setting), sessions: "a")
        _ = peer.turn("a")
        _ = peer.receive(AgentLines.tool("a", "t9", "execute"))
        let sent = AgentLines.sent(peer.receive(AgentLines.permission("a", call, options: options)))
        #expect(sent.count == 1)
        return try JSON.parse(sent.first ?? "")["result"]?["outcome"]?["optionId"]?.string
    }

    @Test("Nothing is allowed unless the configuration says so")
    func denied() throws {
        for setting in [nil, .null, "deny", [:], ["read": "deny"]] as [JSONValue?] {
            #expect(try Self.answer(setting, #""kind":"read""#) == "n")
        }
        #expect(try Self.answer("deny", "", options: #"{"optionId":"y","kind":"allow_once"}"#) == nil)
        #expect(try Self.answer("deny", "", options: #"{"optionId":"x","kind":"reject_always"}"#) == nil)
    }

    @Test("What is allowed is allowed once")
    func allowed() throws {
        #expect(try Self.answer("allow", #""kind":"delete""#) == "y")
        #expect(try Self.answer("allow", "", options: #"{"optionId":"a","kind":"allow_always"}"#) == "a")
        #expect(try Self.answer("allow", "", options: "") == nil)
    }

    @Test("A policy per kind; a tool without one goes by how it was announced, else as `other`")
    func kinds() throws {
        let policy: JSONValue = ["read": "allow", "execute": "deny", "other": "allow"]
        #expect(try Self.answer(policy, #""kind":"read""#) == "y")
        #expect(try Self.answer(policy, #""kind":"edit""#) == "n")
        #expect(try Self.answer(policy, #""toolCallId":"t9""#) == "n")
        #expect(try Self.answer(policy, #""toolCallId":"t1""#) == "y")
        #expect(try Self.answer(policy, #""kind":"dance""#) == "y")
    }

    @Test("iFlow's options have ids for kinds")
    func iflow() throws {
        let options = #"{"optionId":"proceed_once"},{"optionId":"proceed_always"},{"optionId":"cancel"}"#
        #expect(try Self.answer("allow", "", options: options) == "proceed_once")
        #expect(try Self.answer("deny", "", options: options) == "cancel")
    }

    @Test(
        "A policy that cannot be is refused at the start",
        arguments: [
            "maybe", ["write": "allow"], ["read": "yes"], ["read": true], 5, ["allow"],
        ] as [JSONValue])
    func wrong(_ setting: JSONValue) {
        #expect(throws: ProviderError.self) { try AgentPermissions(setting) }
    }
}
