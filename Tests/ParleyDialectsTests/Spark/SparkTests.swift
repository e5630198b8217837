// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Spark's frames")
struct SparkTests {
    private static func frame(_ model: String, _ more: String, messages: String? = nil) -> String {
        let messages = messages ?? #"{"role":"user","content":"Hi"}"#
        return #"{"model":"\#(model)","messages":[\#(messages)]\#(more.isEmpty ? "" : "," + more)}"#
    }

    private static func chat(_ model: String, _ more: String) throws -> JSONValue? {
        try Native.encoded(frame(model, more), Spark())["parameter"]?["chat"]
    }

    private static func turns(_ model: String, _ messages: String, _ more: String = "") throws -> [[String]] {
        let written = try Native.encoded(frame(model, more, messages: messages), Spark())
        return (written["payload"]?["message"]?["text"]?.array ?? []).map {
            [$0["role"]?.string ?? "", $0["content"]?.string ?? ""]
        }
    }

    @Test("A whole request is one frame without the application's id")
    func request() throws {
        let body = #"""
            {"model":"v4.0","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],
            "temperature":0.5,"max_completion_tokens":300,"top_k":3,"user":"ada","stream":true,"auditing":"default",
            "chat_id":"c1","web_search":{"enable":false},"patch_id":"p1","tools":[{"type":"function","function":
            {"name":"f","description":"d","parameters":{"type":"object"}}}]}
            """#
        let expected = #"""
            {"header":{"uid":"ada","patch_id":["p1"]},"parameter":{"chat":{"domain":"4.0Ultra","temperature":0.25,
            "max_tokens":300,"top_k":3,"auditing":"default","chat_id":"c1",
            "tools":[{"type":"web_search","web_search":{"enable":false}}]}},
            "payload":{"message":{"text":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]},
            "functions":{"text":[{"name":"f","description":"d","parameters":{"type":"object"}}]}}}
            """#
        var dropped: [String] = []
        #expect(same(try Native.encoded(body, Spark(), dropped: &dropped), try JSON.parse(expected)))
        #expect(dropped.isEmpty)
    }

    @Test(
        "Every version is known by its names",
        arguments: [
            ("v1.1", "general", "/v1.1/chat"), ("v1.5", "general", "/v1.1/chat"), ("general", "general", "/v1.1/chat"),
            ("lite", "lite", "/v1.1/chat"), ("Lite", "lite", "/v1.1/chat"), ("v2.0", "generalv2", "/v2.1/chat"),
            ("v2.1", "generalv2", "/v2.1/chat"), ("v3.0", "generalv3", "/v3.1/chat"),
            ("v3.1", "generalv3", "/v3.1/chat"), ("generalv3", "generalv3", "/v3.1/chat"),
            ("pro-128k", "pro-128k", "/chat/pro-128k"), ("v3.5", "generalv3.5", "/v3.5/chat"),
            ("SparkDesk-v3.5", "generalv3.5", "/v3.5/chat"), ("max-32k", "max-32k", "/chat/max-32k"),
            ("v4.0", "4.0Ultra", "/v4.0/chat"), ("4.0Ultra", "4.0Ultra", "/v4.0/chat"),
            ("4.0ultra", "4.0Ultra", "/v4.0/chat"), ("x1", "x1", "/v1/x1"), ("X1", "x1", "/v1/x1"),
        ])
    func versions(name: String, domain: String, path: String) throws {
        #expect(SparkModel(name).path == path)
        #expect(try Self.chat(name, "")?["domain"]?.string == domain)
    }

    @Test("An unknown name is a domain as it is, at no known address")
    func unknownVersion() throws {
        #expect(SparkModel("My-Tuned").path == nil)
        #expect(try Self.chat("My-Tuned", #""max_tokens":90000"#)?["domain"] == "My-Tuned")
        #expect(try Self.chat("My-Tuned", #""max_tokens":90000"#)?["max_tokens"] == 90000)
    }

    @Test(
        "The temperature is halved, as openai-style-api did it, and never zero",
        arguments: [(2.0, 1.0), (1.0, 0.5), (0.7, 0.35), (0.0, 0.01), (0.001, 0.01)])
    func temperature(said: Double, sent: Double) throws {
        #expect(try Self.chat("v3.5", #""temperature":\#(said)"#)?["temperature"]?.double == sent)
        #expect(try Self.chat("v3.5", "")?["temperature"] == nil)
    }

    @Test(
        "The length is at most what the version can write",
        arguments: [
            ("lite", 4096), ("general", 4096), ("v2.1", 8192), ("v3.1", 8192), ("pro-128k", 4096), ("v3.5", 8192),
            ("max-32k", 8192), ("v4.0", 8192), ("x1", 32768),
        ])
    func length(model: String, longest: Int) throws {
        #expect(try Self.chat(model, #""max_tokens":100000"#)?["max_tokens"]?.int == longest)
        #expect(try Self.chat(model, #""max_tokens":7"#)?["max_tokens"]?.int == 7)
        #expect(try Self.chat(model, "")?["max_tokens"] == nil)
    }

    @Test("The choice among the likeliest is kept within one and six", arguments: [(0, 1), (4, 4), (50, 6)])
    func topK(said: Int, sent: Int) throws {
        #expect(try Self.chat("v3.5", #""top_k":\#(said)"#)?["top_k"]?.int == sent)
    }

    @Test(
        "A first system turn is one where the version has it; elsewhere it is said to the assistant, which agrees",
        arguments: ["lite", "v1.5", "v2.0", "v3.0", "pro-128k", "v3.5", "max-32k", "v4.0", "x1"])
    func system(model: String) throws {
        let turns = try Self.turns(
            model,
            #"{"role":"system","content":"A"},{"role":"developer","content":"B"},{"role":"user","content":"Hi"}"#)
        if ["v3.5", "max-32k", "v4.0"].contains(model) {
            #expect(turns == [["system", "A\nB"], ["user", "Hi"]])
        } else {
            #expect(
                turns == [
                    ["user", "You need to follow the system settings:A\nB"], ["assistant", "ok"], ["user", "Hi"],
                ])
        }
    }

    @Test("Sides alternate, the user first, whatever the client's order is")
    func order() throws {
        let turns = try Self.turns(
            "v3.5",
            #"""
            {"role":"assistant","content":"1"},{"role":"assistant","content":"2"},{"role":"user","content":"3"},
            {"role":"system","content":"4"},{"role":"user","content":""},{"role":"user","content":"5"}
            """#)
        #expect(
            turns == [
                ["user", "Please begin."], ["assistant", "1\n2"],
                ["user", "3\nYou need to follow the system settings:4\n5"],
            ])
        #expect(
            Native.fault(Self.frame("v3.5", "", messages: #"{"role":"user","content":""}"#), Spark())?
                .parameter == "messages")
    }

    @Test("Earlier calls and their results are told in words")
    func results() throws {
        let turns = try Self.turns(
            "v4.0",
            #"""
            {"role":"user","content":"How is it?"},{"role":"assistant","content":null,"tool_calls":[
            {"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},
            {"id":"b","type":"function","function":{"name":"g","arguments":""}}]},
            {"role":"tool","tool_call_id":"b","content":"two"},{"role":"tool","tool_call_id":"a","content":"one"},
            {"role":"user","content":"So?"}
            """#)
        #expect(
            turns == [
                ["user", "How is it?"],
                ["assistant", "I call the function f with {\"x\":1}.\nI call the function g with {}."],
                ["user", "The function g returned: two\nThe function f returned: one\nSo?"],
            ])
    }

    @Test("Functions are for Max and Ultra; elsewhere they are refused unless none may be called")
    func functions() throws {
        let list = ["f", "g"].map { #"{"type":"function","function":{"name":"\#($0)"}}"# }.joined(separator: ",")
        let tools = #""tools":[\#(list)]"#
        for model in ["lite", "v2.0", "v3.0", "pro-128k", "x1"] {
            #expect(Native.fault(Self.frame(model, tools), Spark())?.parameter == "tools", "\(model)")
            let none = try Native.encoded(Self.frame(model, tools + #","tool_choice":"none""#), Spark())
            #expect(none["payload"]?["functions"] == nil)
        }
        var dropped: [String] = []
        let choice = #","tool_choice":{"type":"function","function":{"name":"g"}}"#
        let named = try Native.encoded(Self.frame("v3.5", tools + choice), Spark(), dropped: &dropped)
        let names = named["payload"]?["functions"]?["text"]?.array?.map { $0["name"]?.string }
        #expect(names == ["g"])
        #expect(dropped == ["tool_choice"])
        let wrong = #","tool_choice":{"type":"function","function":{"name":"h"}}"#
        #expect(Native.fault(Self.frame("v3.5", tools + wrong), Spark())?.parameter == "tool_choice")
    }

    @Test("A format of the answer is an instruction of the system")
    func format() throws {
        let schema =
            #""response_format":{"type":"json_schema","json_schema":{"name":"p","schema":{"type":"object"}}}"#
        let turns = try Self.turns("v3.5", #"{"role":"user","content":"Hi"}"#, schema)
        #expect(turns.count == 2 && turns[0][0] == "system" && turns[0][1].hasSuffix(#"{"type":"object"}"#))
        #expect(
            try Self.turns("lite", #"{"role":"user","content":"Hi"}"#, schema).map { $0[0] } == [
                "user", "assistant", "user",
            ])
    }

    @Test("A long user name is cut to what the service takes")
    func user() throws {
        let name = String(repeating: "ü", count: 40)
        let written = try Native.encoded(Self.frame("v3.5", #""user":"\#(name)""#), Spark())
        #expect(written["header"]?["uid"]?.string == String(name.prefix(32)))
    }

    /// Every code of the documentation and what a client sees.
    static let codes: [(Int, String, ParleyError.Kind, Int)] = [
        (10000, "", .upstreamUnavailable, 502), (10001, "", .upstreamUnavailable, 502),
        (10002, "", .upstreamUnavailable, 502), (10003, "", .upstreamRejected, 400),
        (10004, "", .upstreamRejected, 400), (10005, "", .upstreamRejected, 400), (10163, "", .upstreamRejected, 400),
        (10006, "", .rateLimited, 429), (10007, "", .rateLimited, 429), (10008, "", .upstreamUnavailable, 503),
        (10009, "", .upstreamUnavailable, 503), (10010, "", .upstreamUnavailable, 503),
        (10011, "", .upstreamUnavailable, 503), (10012, "", .upstreamUnavailable, 503),
        (10110, "", .upstreamUnavailable, 503), (10222, "", .upstreamUnavailable, 503),
        (10013, "", .contentFiltered, 400), (10019, "", .contentFiltered, 400), (10021, "", .contentFiltered, 400),
        (10015, "", .forbidden, 403), (10016, "", .forbidden, 403), (10017, "", .upstreamUnavailable, 502),
        (10907, "", .contextExceeded, 400), (11200, "no licence", .forbidden, 403),
        (11200, "quota exceeded", .quota, 429), (11201, "", .quota, 429), (11202, "", .rateLimited, 429),
        (11203, "", .rateLimited, 429), (99999, "", .upstreamUnavailable, 502),
    ]

    @Test("Each code is an error of its class, in a frame and over HTTP", arguments: codes)
    func code(_ code: Int, message: String, kind: ParleyError.Kind, status: Int) throws {
        let words = message.isEmpty ? "Failed:(reason)" : message
        let frame = #"{"header":{"code":\#(code),"message":"\#(words)","sid":"s","status":2}}"#
        let socket = try #require(Native.decode([ArraySlice(frame.utf8)], Spark()).failure)
        #expect(socket.kind == kind && socket.httpStatus == status)
        #expect(socket.message.contains(words))
        for body in [
            #"{"code":\#(code),"message":"\#(words)","sid":"s"}"#, #"{"code":\#(code),"msg":"\#(words)","Sid":"s"}"#,
            #"{"error":{"code":\#(code),"message":"\#(words)"}}"#,
        ] {
            do throws(ParleyError) {
                _ = try OpenAIChat().decodeWhole(ByteBuffer(string: body))
                Issue.record("\(body) is no error")
            } catch {
                #expect(error.kind == kind && error.httpStatus == status, "\(body)")
            }
        }
    }

    @Test("A frame that is none is an error that does not quote it")
    func garbage() {
        for text in ["<html>secret</html>", "[1]", #"{"header":7,"message":"no"}"#, "7"] {
            let failure = Native.decode([ArraySlice((text + "\n").utf8)], Spark()).failure
            #expect(failure?.kind == .upstreamUnavailable, "\(text)")
            #expect(failure?.message.contains("secret") == false)
        }
    }

    @Test("Hostile numbers in a frame harm nobody")
    func numbers() {
        let frame = #"""
            {"header":{"code":0,"sid":"s","status":2},"payload":{"choices":{"status":1e999,"text":[{"content":"a"},7]},
            "usage":{"text":{"prompt_tokens":99999999999999999999,"completion_tokens":-1}}}}
            """#.replacing("\n", with: "")
        let decoded = Native.decode([ArraySlice(frame.utf8)], Spark())
        #expect(decoded.failure == nil && decoded.isComplete)
        #expect(decoded.response.choices.first?.message.text == "a")
        #expect(decoded.response.usage.isEmpty)
    }

    @Test("What refuses a handshake says what to do")
    func handshakes() {
        func failure(_ status: Int, _ message: String) -> ParleyError {
            Spark().decodeFailure(
                status: status, headers: HeaderBlock(), body: ByteBuffer(string: #"{"message":"\#(message)"}"#))
        }
        #expect(failure(401, "HMAC signature does not match").kind == .unauthenticated)
        let skew =
            "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication"
        for status in [401, 403] {
            #expect(failure(status, skew).kind == .forbidden)
            #expect(failure(status, skew).message.contains("clock"))
        }
        #expect(failure(403, "Your IP address is not allowed").message.contains("allowed addresses"))
        #expect(failure(404, "no Route matched").kind == .notFound)
        #expect(failure(404, "no Route matched").message.contains("base_url"))
        #expect(failure(502, "Bad gateway").kind == .upstreamUnavailable)
    }
}
