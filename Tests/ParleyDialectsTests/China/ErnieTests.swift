// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("ERNIE's older API")
struct ErnieTests {
    private func encoded(_ messages: String, _ rest: String = "", _ dropped: inout [String]) throws -> JSONValue {
        try Native.encoded(#"{"model":"ernie-bot",\#(rest)"messages":[\#(messages)]}"#, Ernie(), dropped: &dropped)
    }

    private func turn(_ role: String, _ text: String) -> String { #"{"role":"\#(role)","content":"\#(text)"}"# }

    private func call(_ id: String, _ name: String = "f") -> String {
        #"{"id":"\#(id)","type":"function","function":{"name":"\#(name)","arguments":"{\"a\":1}"}}"#
    }

    private func roles(_ body: JSONValue) -> [String] {
        (body["messages"]?.array ?? []).compactMap { $0["role"]?.string }
    }

    private func result(_ id: String, _ text: String) -> String {
        #"{"role":"tool","tool_call_id":"\#(id)","content":"\#(text)"}"#
    }

    @Test("What the system says stands apart, and turns alternate, an odd number of them")
    func turns() throws {
        var dropped: [String] = []
        let body = try encoded(
            [
                turn("system", "S1"), turn("user", "a"), turn("user", "b"), turn("assistant", "c"),
                turn("assistant", "d"), turn("developer", "S2"), turn("user", "e"),
            ].joined(separator: ","), "", &dropped)
        #expect(body["system"] == "S1\nS2")
        #expect(
            body["messages"] == [
                ["role": "user", "content": "a\nb"], ["role": "assistant", "content": "c\nd"],
                ["role": "user", "content": "e"],
            ])
        #expect(dropped.isEmpty && body["stream"] == false && body["model"] == nil)
    }

    @Test("The assistant's first words are left out and named; a conversation that cannot be said is refused")
    func ends() throws {
        var dropped: [String] = []
        let body = try encoded("\(turn("assistant", "Hello!")),\(turn("user", "a"))", "", &dropped)
        #expect(roles(body) == ["user"] && dropped == ["messages[]"])
        for messages in [turn("system", "S"), "\(turn("user", "a")),\(turn("assistant", "b"))"] {
            let fault = Native.fault(#"{"model":"m","messages":[\#(messages)]}"#, Ernie())
            #expect(fault?.kind == .invalid && fault?.parameter == "messages")
        }
    }

    @Test("Each call is a turn with its result behind it, and something stands between a result and the user")
    func calls() throws {
        var dropped: [String] = []
        let assistant =
            #"{"role":"assistant","content":null,"reasoning_content":"Hm.","tool_calls":["#
            + "\(call("1")),\(call("2", "g"))]}"
        let body = try encoded(
            [turn("user", "a"), assistant, result("2", "two"), result("1", "one"), turn("user", "b")]
                .joined(separator: ","), "", &dropped)
        #expect(roles(body) == ["user", "assistant", "function", "assistant", "function", "assistant", "user"])
        let messages = try #require(body["messages"]?.array)
        #expect(
            messages[1] == [
                "role": "assistant",
                "function_call": ["name": "f", "arguments": #"{"a":1}"#, "thoughts": "Hm."],
            ])
        #expect(messages[2] == ["role": "function", "content": "one", "name": "f"])
        #expect(messages[4] == ["role": "function", "content": "two", "name": "g"])
        #expect(messages[5] == ["role": "assistant", "content": "OK"] && dropped.isEmpty)
    }

    @Test("The deprecated form of calls is ERNIE's own")
    func legacy() throws {
        var dropped: [String] = []
        let body = try encoded(
            turn("user", "a")
                + #",{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}"#
                + #",{"role":"function","name":"f","content":"one"}"#, "", &dropped)
        #expect(roles(body) == ["user", "assistant", "function"] && dropped.isEmpty)
    }

    @Test("Results without a call, and calls without a result, are left out and named")
    func orphans() throws {
        var dropped: [String] = []
        let assistant = #"{"role":"assistant","content":"b","tool_calls":[\#(call("1"))]}"#
        let body = try encoded(
            [turn("user", "a"), assistant, turn("user", "c"), result("9", "nine"), turn("user", "d")]
                .joined(separator: ","), "", &dropped)
        #expect(roles(body) == ["user", "assistant", "user"])
        #expect(dropped == ["messages[].tool_calls", "messages[]"])
    }

    @Test("Numbers are brought into the service's bounds")
    func bounds() throws {
        var dropped: [String] = []
        for (said, sent) in [("0", 0.01), ("2", 1), ("0.5", 0.5)] {
            let body = try encoded(turn("user", "a"), #""temperature":\#(said),"#, &dropped)
            #expect(body["temperature"]?.double == sent)
        }
        for (said, sent) in [("1", 2), ("100000", 2048), ("99", 99)] {
            let body = try encoded(turn("user", "a"), #""max_completion_tokens":\#(said),"#, &dropped)
            #expect(body["max_output_tokens"]?.int == sent)
        }
        for (said, sent) in [("-2", 1.0), ("0", 1.0), ("1", 1.5), ("2", 2.0)] {
            let body = try encoded(turn("user", "a"), #""frequency_penalty":\#(said),"#, &dropped)
            #expect(body["penalty_score"]?.double == sent)
        }
        #expect(dropped.isEmpty)
        let stops = try encoded(
            turn("user", "a"), #""stop":["a","twenty-one characters"],"user":"u","enable_citation":true,"#, &dropped)
        #expect(stops["stop"] == ["a"] && dropped == ["stop"])
        #expect(stops["user_id"] == "u" && stops["enable_citation"] == true)
    }

    @Test("Tools are functions; one that must be called is named")
    func tools() throws {
        var dropped: [String] = []
        let tool = #"{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}"#
        let one = try encoded(turn("user", "a"), #""tools":[\#(tool)],"tool_choice":"required","#, &dropped)
        #expect(one["functions"] == [["name": "f", "description": "f", "parameters": ["type": "object"]]])
        #expect(one["tool_choice"] == ["type": "function", "function": ["name": "f"]] && dropped.isEmpty)
        let none = try encoded(turn("user", "a"), #""tools":[\#(tool)],"tool_choice":"none","#, &dropped)
        #expect(none["functions"] == nil && none["tool_choice"] == nil)
        let other = tool.replacing(#""f""#, with: #""g""#)
        let two = try encoded(turn("user", "a"), #""tools":[\#(tool),\#(other)],"tool_choice":"required","#, &dropped)
        #expect(two["functions"]?.array?.count == 2 && dropped == ["tool_choice"])
    }

    @Test(
        "Every code of the vendor's table has its meaning",
        arguments: [
            (1, 502), (2, 503), (3, 404), (4, 429), (6, 403), (13, 401), (14, 401), (15, 401), (17, 429), (18, 429),
            (19, 429), (100, 400), (110, 401), (111, 401), (336000, 502), (336001, 400), (336002, 400), (336003, 400),
            (336004, 403), (336005, 404), (336007, 400), (336100, 503), (336101, 400), (336103, 400), (336104, 400),
            (336105, 400), (336501, 429), (336502, 429), (500000, 502), (999999, 502),
        ])
    func codes(code: Int, status: Int) {
        let body = ByteBuffer(string: #"{"error_code":\#(code),"error_msg":"no"}"#)
        do throws(ParleyError) {
            _ = try Ernie().decodeWhole(body)
            Issue.record("no error")
        } catch {
            #expect(error.httpStatus == status)
            #expect((error.kind == .quota) == [4, 17, 19].contains(code))
            #expect((error.kind == .contextExceeded) == [336007, 336103].contains(code))
            #expect((error.kind == .rateLimited) == [18, 336501, 336502].contains(code))
        }
    }
}
