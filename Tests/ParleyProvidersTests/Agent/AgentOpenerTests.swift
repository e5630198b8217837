// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("Turns with agents")
struct AgentOpenerTests {
    /// Agents and what opens answers in them.
    private struct Bench {
        let agent: ScriptedAgent
        let opener: AgentOpener

        init(_ agent: ScriptedAgent = ScriptedAgent(), seats: AgentSeats = AgentSeats(limit: 2)) {
            self.agent = agent
            opener = AgentOpener(AgentPool(AgentTerms(directory: "/project"), agent, seats: seats))
        }

        func open(
            _ turns: String..., caller: String = "me", by deadline: NIODeadline = .now() + .minutes(10)
        ) async throws(ParleyError) -> any UpstreamAnswer {
            let said = turns.enumerated().map { index, text in
                AgentRequest.Turn(
                    index % 2 == 0 ? "user" : "assistant", [["type": "text", "text": .string(text)]])
            }
            let endpoint = Endpoint(host: "agent", port: 0, isSecure: false)
            let request = OpenerRequest(
                target: Target(endpoint: endpoint, method: "POST", path: "", timeouts: TimeoutOverrides()), model: "m",
                body: AgentRequest(model: "m", turns: said).body, credential: Credential(index: 0, secret: nil),
                stream: true, callID: "1", caller: caller, connectTimeout: .seconds(5), first: deadline,
                total: deadline,
                connector: FakeConnector())
            return try await opener.open(request)
        }

        /// What is said in an answer, to its end.
        func text(_ answer: any UpstreamAnswer) async throws -> String {
            var decoder = Agent().makeStreamDecoder()
            var events: [Event] = []
            while let bytes = try await answer.next(by: .now() + .minutes(10)) {
                try decoder.push(bytes, into: &events)
            }
            try decoder.finish(into: &events)
            return events.reduce(into: "") { if case .text(_, let text) = $1 { $0 += text } }
        }
    }

    @Test("A conversation goes on in its session, and only there")
    func conversation() async throws {
        let bench = Bench()
        let first = try await bench.text(bench.open("one"))
        #expect(first == "You said: one")
        #expect(try await bench.text(bench.open("one", first, "two")) == "You said: two")
        _ = try await bench.text(bench.open("one", first, "two", "You said: two", "three", caller: "another"))
        #expect(bench.agent.sessions == ["1-1", "1-1", "1-2"])
        #expect(bench.agent.prompts[1] == "two")
        #expect(bench.agent.prompts[2].hasPrefix("User:\none\n\nAssistant:\nYou said: one\n\nUser:\ntwo"))
        #expect(bench.agent.starts == 1)
    }

    @Test("A turn that is given up is cancelled, its late words reach nobody and its session is not used again")
    func cancelled() async throws {
        let bench = Bench(seats: AgentSeats(limit: 1))
        do {
            let answer = try await bench.open("hang")
            let failure = await #expect(throws: ParleyError.self) {
                try await answer.next(by: .now() + .milliseconds(20))
            }
            #expect(failure?.kind == .timeout)
            answer.cancel()
        }
        #expect(try await bench.text(bench.open("hang", "", "two")) == "You said: two")
        #expect(bench.agent.cancelled == ["1-1"])
        #expect(bench.agent.sessions == ["1-1", "1-2"])
        // Nobody holds this one's answer.
        _ = try await bench.open("hang")
        #expect(try await bench.text(bench.open("x")) == "You said: x")
        #expect(bench.agent.cancelled == ["1-1", "1-3"])
    }

    @Test("A task that is cancelled stops waiting")
    func cancelledTask() async throws {
        let bench = Bench()
        let task = Task { () -> ParleyError.Kind? in
            do throws(ParleyError) {
                _ = try await bench.open("hang").next(by: .distantFuture)
                return nil
            } catch {
                return error.kind
            }
        }
        while bench.agent.prompts.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
        task.cancel()
        #expect(await task.value == .cancelled)
        while bench.agent.cancelled.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
    }

    @Test("An agent that dies fails its own turns, which are not tried again, and the next call has a new one")
    func death() async throws {
        let bench = Bench()
        let hanging = try await bench.open("hang")
        // The second agent: the first one is busy.
        let dying = try await bench.open("die")
        let failure = await #expect(throws: ParleyError.self) { try await bench.text(dying) }
        #expect(failure?.httpStatus == 502 && failure?.retryClass == nil)
        #expect(try await bench.text(bench.open("on")) == "You said: on")
        #expect(bench.agent.starts == 3)
        hanging.cancel()
    }

    @Test("The agent's error is the call's")
    func error() async throws {
        let bench = Bench()
        let failure = await #expect(throws: ParleyError.self) { try await bench.text(bench.open("error")) }
        #expect(failure?.message == "the agent failed (-32603): no luck")
    }

    @Test("An agent that never greets is waited for as long as the call has")
    func silent() async {
        let bench = Bench(ScriptedAgent(greets: false))
        let failure = await #expect(throws: ParleyError.self) {
            try await bench.open("hi", by: .now() + .milliseconds(30))
        }
        #expect(failure?.kind == .upstreamUnavailable || failure?.kind == .timeout)
    }

    @Test("Whoever waits for a seat gets one in turn, or leaves at the end of its time")
    func queue() async throws {
        let bench = Bench(seats: AgentSeats(limit: 1, turnsEach: 1))
        let first = try await bench.open("hang")
        let late = await #expect(throws: ParleyError.self) { try await bench.open("x", by: .now() + .milliseconds(20)) }
        #expect(late?.kind == .timeout)
        let answers = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<5 { group.addTask { try await bench.text(bench.open("\(number)")) } }
            first.cancel()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(answers) == Set((0..<5).map { "You said: \($0)" }))
    }

    @Test("An answer that is read slowly arrives whole, while another turn goes on")
    func backpressure() async throws {
        let bench = Bench(seats: AgentSeats(limit: 1))
        let slow = try await bench.open("long 20000")
        let text = try await bench.text(slow)
        #expect(text.hasSuffix("19999 You said: long 20000"))
    }

    @Test("Sessions that nobody can go on with are closed where the agent wants to know")
    func closing() async throws {
        let bench = Bench(ScriptedAgent(closesSessions: true))
        _ = try await bench.text(bench.open("same"))
        // Another caller's equal conversation has a session of its own; the same caller's takes the place.
        _ = try await bench.text(bench.open("same"))
        while bench.agent.closed.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
        #expect(bench.agent.closed == ["1-1"])
    }

    @Test("Agents end with the provider")
    func end() async throws {
        let agent = ScriptedAgent()
        do {
            let bench = Bench(agent)
            _ = try await bench.text(bench.open("hi"))
            #expect(agent.running == 1)
        }
        while agent.running > 0 { try await Task.sleep(for: .milliseconds(2)) }
    }

    @Test("A request in which nobody says anything is refused")
    func empty() async {
        let failure = await #expect(throws: ParleyError.self) { try await Bench().open() }
        #expect(failure?.kind == .invalid)
    }
}

@Suite("What is said before a prompt")
struct AgentHandshakeTests {
    @Test("What an agent can do is what it says, and no more")
    func abilities() throws {
        let result = try JSON.parse(
            #"{"protocolVersion":1,"agentCapabilities":{"promptCapabilities":{"image":true,"audio":"yes"},"#
                + #""sessionCapabilities":{"close":{}}},"authMethods":[{"id":"a"},{"name":"b"},5]}"#)
        let abilities = AgentAbilities(result)
        #expect(abilities.reads == [.image] && abilities.closesSessions && abilities.methods == ["a"])
        #expect(AgentAbilities(.null) == AgentAbilities())
    }

    @Test("A model or a mode of that name is chosen; any other name changes nothing")
    func choice() throws {
        let made = try JSON.parse(
            #"{"sessionId":"s","modes":{"currentModeId":"code","availableModes":[{"id":"code"},{"id":"ask"}]},"#
                + #""configOptions":[{"id":"m","category":"model","type":"select","currentValue":"small","#
                + #""options":[{"group":"g","options":[{"value":"small"},{"value":"large"}]}]}]}"#)
        let large = try #require(AgentHandshake.choice(of: "large", "s", made))
        #expect(large.method == "session/set_config_option")
        #expect(large.params == ["sessionId": "s", "configId": "m", "value": "large"])
        #expect(AgentHandshake.choice(of: "ask", "s", made)?.params == ["sessionId": "s", "modeId": "ask"])
        for name in ["small", "code", "agent", ""] { #expect(AgentHandshake.choice(of: name, "s", made) == nil) }
        #expect(AgentHandshake.choice(of: "x", "s", .null) == nil)
    }

    @Test("What an agent writes to its error output is cut into lines, without what is secret")
    func errors() throws {
        var setup = ProviderOptions(["command": ["agent"], "environment": ["KEY": "secret-1", "LANG": "C"]])
        setup.values["directory"] = "/"
        var errors = AgentErrors(try AgentCommand(setup))
        let pieces = ["one\u{1B}[0m\ntw", "o secret-1.\nC\n", String(repeating: "x", count: 9000) + "\n"]
        var lines: [String] = []
        for piece in pieces { lines += errors.lines(in: Array(piece.utf8)) }
        #expect(lines.prefix(3) == ["one[0m", "two ***.", "C"])
        #expect(lines.count == 4 && lines.last?.count == 2000)
    }

    @Test(
        "A command that cannot be is refused, naming the setting",
        arguments: [
            (["command": []], "command"), (["command": [""]], "command"), ([:], "command"),
            (["command": ["a", 5]], "command"),
            (["command": ["a"], "directory": "/nowhere"], "directory"),
            (["command": ["a"], "directory": "/etc/hostname"], "directory"),
            (["command": ["a"], "environment": ["A=B": "c"]], "environment"),
            (["command": ["a"], "environment": ["A": "\u{0}"]], "environment"),
        ] as [(JSONObject, String)])
    func wrong(_ options: JSONObject, _ setting: String) {
        let failure = #expect(throws: ProviderError.self) { try AgentCommand(ProviderOptions(options)) }
        #expect(failure?.setting == setting)
    }
}
