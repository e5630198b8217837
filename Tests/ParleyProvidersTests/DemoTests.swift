// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyProviders

/// A request to the demo with the given further members.
private func body(_ members: String, user: String = "Hello there", stream: Bool = false) -> String {
    let comma = members.isEmpty ? "" : ","
    return
        #"{"model":"demo/demo","stream":\#(stream),"messages":[{"role":"user","content":"\#(user)"}]\#(comma)\#(members)}"#
}

private func demo(_ options: JSONObject = [:]) throws -> any Model {
    var setup = ProviderSetup(name: "demo", kind: "demo")
    setup.options = ProviderOptions(options)
    guard let model = try Registry.make(setup).model("demo") else { throw ProviderError("no model") }
    return model
}

private func whole(_ text: String, _ options: JSONObject = [:]) async throws -> ChatResponse {
    let reply = try await demo(options).answer(makeCall(FakeConnector(), body: text, stream: false))
    guard case .whole(let response) = reply.content else { throw ProviderError("not whole") }
    return response
}

private let weather = """
    "tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":\
    {"type":"string"},"unit":{"enum":["celsius","fahrenheit"]}},"required":["city","unit"]}}},{"type":"function",\
    "function":{"name":"get_time"}}]
    """

@Suite("The demo model")
struct DemoTests {
    @Test("It says what it is and what it was told, and counts its tokens")
    func plain() async throws {
        let response = try await whole(body(""))
        let choice = try #require(response.choices.first)
        #expect(choice.message.text.contains("demo model"))
        #expect(choice.message.text.contains("\"Hello there\""))
        #expect(choice.finish == .stop)
        #expect(response.usage.output == DemoTokens.split(choice.message.text).count)
        #expect((response.usage.input ?? 0) > 0)
        #expect(!response.usage.estimated)
        #expect(try await whole(body("")) == response)
    }

    @Test("A stream says the same as a whole answer, and its usage too")
    func stream() async throws {
        let text = body(#""n":2,"reasoning_effort":"low""#, stream: true)
        var call = makeCall(FakeConnector(), body: text, includeUsage: true)
        let frames = try await parley(call)
        #expect(frames.hasSuffix(doneFrame))
        #expect(frames.contains(#""reasoning_content""#))
        #expect(frames.contains(#""usage":{"#))
        call.form = .neutral
        let events = try await allEvents(of: try await demo().answer(call))
        let response = try await whole(text)
        for choice in response.choices {
            var said = ""
            var thought = ""
            for event in events {
                if case .text(choice.index, let piece) = event { said += piece }
                if case .reasoning(choice.index, let piece) = event { thought += piece.text }
            }
            #expect(said == choice.message.text)
            #expect(thought == choice.message.reasoning.map(\.text).joined())
            #expect(!thought.isEmpty)
        }
        #expect(events.contains(.usage(response.usage)))
        #expect(response.choices.count == 2)
        let tokens = response.choices.reduce(0) { sum, choice in
            sum + DemoTokens.split(choice.message.text).count
                + DemoTokens.split(choice.message.reasoning.map(\.text).joined()).count
        }
        #expect(response.usage.output == tokens)
        #expect((response.usage.reasoning ?? 0) > 0)
        #expect(response.usage.total == (response.usage.input ?? 0) + tokens)
    }

    private func parley(_ call: Call) async throws -> String {
        try await text(of: try await demo().answer(call))
    }

    @Test("stop cuts before the stop text, max_tokens after so many tokens")
    func limits() async throws {
        let stopped = try await whole(body(#""stop":["demo model","nowhere"]"#))
        #expect(stopped.choices[0].message.text == "Hello from Parley's built-in ")
        #expect(stopped.choices[0].finish == .stop)
        let short = try await whole(body(#""max_tokens":3"#))
        #expect(short.choices[0].finish == .length)
        #expect(short.usage.output == 3)
        #expect(DemoTokens.split(short.choices[0].message.text).count == 3)
    }

    @Test(
        "Tokens join to the text again",
        arguments: ["", " ", "a b  c\n\nd", "Donaudampfschifffahrtsgesellschaft é 👩‍👩‍👧 x"])
    func tokens(text: String) {
        #expect(DemoTokens.split(text).joined() == text)
    }

    @Test("A named or required tool is called with arguments its schema accepts")
    func tools() async throws {
        let named = try await whole(
            body(weather + #","tool_choice":{"type":"function","function":{"name":"get_weather"}}"#))
        let call = try #require(named.choices[0].message.toolCalls.first)
        #expect(named.choices[0].finish == .toolCalls)
        #expect(call.name == "get_weather")
        let arguments = try parsed(call.arguments)
        #expect(arguments["unit"] == "celsius")
        #expect(arguments["city"]?.string != nil)
        #expect(try await whole(body(weather + #","tool_choice":"required""#)).choices[0].message.toolCalls.count == 1)
        #expect(try await whole(body(weather)).choices[0].message.toolCalls.isEmpty)
        #expect(
            try await whole(body(weather + #","tool_choice":"none""#, user: "use a tool")).choices[0].finish == .stop)
    }

    @Test("A tool the user speaks of is called, several at once where allowed")
    func mentionedTools() async throws {
        let both = try await whole(body(weather, user: "Get weather and get_time please")).choices[0].message.toolCalls
        #expect(both.map(\.name) == ["get_weather", "get_time"])
        #expect(Set(both.map(\.id)).count == 2)
        let one = try await whole(
            body(weather + #","parallel_tool_calls":false"#, user: "get_time, get_weather")
        ).choices[0].message.toolCalls
        #expect(one.count == 1)
        let asked = try await whole(body(weather, user: "Please use a tool.")).choices[0].message.toolCalls
        #expect(asked.map(\.name) == ["get_weather"])
    }

    @Test("A streamed tool call has its arguments in pieces that join")
    func streamedTool() async throws {
        var call = makeCall(FakeConnector(), body: body(weather + #","tool_choice":"required""#, stream: true))
        call.form = .neutral
        let events = try await allEvents(of: try await demo().answer(call))
        var arguments = ""
        for case .arguments(_, 0, let piece) in events { arguments += piece }
        #expect(try parsed(arguments)["unit"] == "celsius")
        #expect(events.contains(.finish(choice: 0, .toolCalls)))
    }

    @Test("After a tool's result it answers in words")
    func toolResult() async throws {
        let text = """
            {"model":"m","messages":[{"role":"user","content":"get_weather"},{"role":"assistant","content":null,\
            "tool_calls":[{"id":"c","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},\
            {"role":"tool","tool_call_id":"c","content":"21 degrees"}],\(weather)}
            """
        let response = try await whole(text)
        #expect(response.choices[0].message.toolCalls.isEmpty)
        #expect(response.choices[0].message.text.contains("21 degrees"))
    }

    @Test("JSON is answered where JSON is asked for")
    func json() async throws {
        let object = try await whole(body(#""response_format":{"type":"json_object"}"#))
        #expect(try parsed(object.choices[0].message.text).object != nil)
        let schema = #"{"type":"object","properties":{"n":{"type":"integer","minimum":5}},"required":["n"]}"#
        let format = #""response_format":{"type":"json_schema","json_schema":{"name":"x","schema":\#(schema)}}"#
        let answer = try parsed(try await whole(body(format)).choices[0].message.text)
        #expect(SchemaChecker.faults(answer, try parsed(schema)) == [])
        #expect(answer["n"] == 5)
    }

    @Test("Log probabilities come with every token")
    func logprobs() async throws {
        let response = try await whole(body(#""logprobs":true,"top_logprobs":2"#))
        let choice = response.choices[0]
        let entries = try #require(choice.logprobs?["content"]?.array)
        #expect(entries.compactMap { $0["token"]?.string }.joined() == choice.message.text)
        #expect(entries.allSatisfy { $0["top_logprobs"]?.array?.count == 1 })
    }

    @Test("Configured replies take turns")
    func replies() async throws {
        let model = try demo(["replies": ["one", "two"]])
        var said: [String] = []
        for _ in 0..<3 {
            let reply = try await model.answer(makeCall(FakeConnector(), body: body(""), stream: false))
            guard case .whole(let response) = reply.content else { return }
            said.append(response.choices[0].message.text)
        }
        #expect(said == ["one", "two", "one"])
    }

    @Test("It waits and paces itself by the call's clock")
    func pace() async throws {
        let connector = FakeConnector()
        let model = try demo(["delay": "20ms", "tokens_per_second": 10, "replies": ["a b c"]])
        _ = try await text(of: try await model.answer(makeCall(connector, body: body("", stream: true))))
        #expect(connector.sleeps == [.milliseconds(20)] + Array(repeating: .milliseconds(100), count: 2))
    }

    @Test("It fails and is cut as often as it was told")
    func faults() async throws {
        let failing = try demo(["fail": "100%"])
        let failure = await thrown(by: failing, makeCall(FakeConnector(), body: body("")))
        #expect([429, 500, 503].contains(failure?.httpStatus))
        let cut = try demo(["cut": 1])
        let reply = try await cut.answer(makeCall(FakeConnector(), body: body("", stream: true)))
        guard case .client(let answer) = reply.content else { return }
        var out = ByteBuffer()
        let broken = await thrown(by: answer, into: &out)
        #expect(broken?.kind == .upstreamUnavailable)
        #expect(String(buffer: out).contains("Hello"))
        #expect(!String(buffer: out).contains("[DONE]"))
        var settings = DemoModel.Settings()
        settings.failureShare = 0.5
        let lucky = DemoModel(name: "d/d", settings: settings, random: { 0.5 })
        #expect(await thrown(by: lucky, makeCall(FakeConnector(), body: body(""))) == nil)
    }

    @Test(
        "Wrong settings are named",
        arguments: [
            ("delay", "soon"), ("tokens_per_second", "-1"), ("fail", "2"), ("replies", 5),
        ] as [(String, JSONValue)])
    func settings(name: String, value: JSONValue) {
        do throws(ProviderError) {
            var setup = ProviderSetup(name: "demo", kind: "demo")
            setup.options.values[name] = value
            _ = try Registry.make(setup)
            Issue.record("accepted")
        } catch {
            #expect(error.setting == name)
        }
    }

    @Test("An overridden field reaches it")
    func overridden() async throws {
        var call = makeCall(FakeConnector(), body: body("", stream: false), stream: false)
        call.overrides = [FieldOverride(name: "max_tokens", json: "2", force: true)]
        guard case .whole(let response) = try await demo().answer(call).content else { return }
        #expect(response.usage.output == 2)
    }
}

@Suite("Instances of schemas")
struct SchemaInstanceTests {
    static let schemas = [
        #"{"type":"object"}"#,
        #"{"type":"string","minLength":20,"maxLength":25}"#,
        #"{"type":["null","integer"],"minimum":3,"multipleOf":4}"#,
        #"{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}"#,
        #"{"type":"integer","exclusiveMinimum":5}"#,
        #"{"type":"number","maximum":-2}"#,
        #"{"type":"array","items":{"enum":["a","b"]},"minItems":3}"#,
        #"{"type":"array","items":{"type":"string"},"minItems":3,"uniqueItems":true}"#,
        #"{"type":"array","prefixItems":[{"const":1},{"type":"boolean"}],"items":false}"#,
        #"{"type":"array","maxItems":0}"#,
        #"{"anyOf":[{"type":"object","properties":{"a":{"type":"null"}},"required":["a"]},{"type":"string"}]}"#,
        #"{"properties":{"a":{"oneOf":[{"const":5},{"type":"string"}]}},"required":["a"]}"#,
        #"{"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"boolean"}},"required":["b"]}],"type":"object"}"#,
        #"{"type":"object","required":["x","y"],"additionalProperties":{"type":"integer"}}"#,
        #"{"type":"object","minProperties":2,"additionalProperties":{"type":"boolean"}}"#,
        #"{"type":"object","properties":{"when":{"type":"string","format":"date-time"}},"required":["when"],"additionalProperties":false}"#,
        ##"{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]},"v":{"type":"integer"}},"required":["next","v"],"additionalProperties":false}}}"##,
        ##"{"$defs":{"tree":{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["children"]}},"type":"object","properties":{"root":{"$ref":"#/$defs/tree"}},"required":["root"]}"##,
        "true",
    ]

    @Test("A made-up value is valid", arguments: schemas)
    func valid(text: String) throws {
        let schema = try parsed(text)
        let value = SchemaInstance.make(schema)
        #expect(SchemaChecker.faults(value, schema) == [], "\(JSON.text(value))")
    }

    @Test(
        "A schema that asks for endless or huge values ends",
        arguments: [
            ##"{"type":"object","properties":{"a":{"$ref":"#"},"b":{"$ref":"#"}},"required":["a","b"]}"##,
            ##"{"$ref":"#"}"##, ##"{"allOf":[{"$ref":"#"}]}"##, ##"{"anyOf":[{"$ref":"#"}]}"##,
            #"{"type":"array","minItems":1000000000,"items":{"type":"array","minItems":1000000000}}"#,
            #"{"type":"object","minProperties":9000000000000000000}"#, #"{"type":"string","minLength":1000000000000}"#,
            #"{"type":"integer","minimum":1e400}"#, #"{"type":"number","multipleOf":1e-320,"minimum":1e308}"#,
            #"{"type":"array","minItems":-5}"#, #"{"enum":[]}"#, #"{"type":7}"#, #"{"$ref":"nowhere"}"#,
            #"{"type":"string","maxLength":-1}"#,
        ])
    func ends(text: String) throws {
        let made = JSON.text(SchemaInstance.make(try parsed(text)))
        #expect(made.utf8.count < 1_000_000)
    }

    @Test("The checker can tell wrong from right")
    func checker() throws {
        let schema = try parsed(#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#)
        #expect(SchemaChecker.faults(try parsed("{}"), schema) == ["$.a: missing"])
        #expect(SchemaChecker.faults(try parsed(#"{"a":"x"}"#), schema) == ["$.a: wrong type"])
    }
}
