// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyModels

@Suite struct StepsTests {
    private static let first = Thinking.step("Look \"here\"", "Line one\nLine two é")
    private static let second = Thinking.step("Conclude", "So 42", "final_answer")

    private func chain(_ thinker: Thinker, _ change: (inout ReasonRules) -> Void = { _ in }) -> Reason {
        Reason("o1", Thinking.rules(.steps, change), with: [thinker])
    }

    @Test func `steps come as reasoning while they are written, the answer as content`() async throws {
        let pieces = Self.first.map { String($0) }
        let thinker = Thinker(
            "m", .say(pieces, Usage(input: 10, output: 20)), .say(Self.second, 30, 6),
            .say(["It ", "is 42."], Usage(input: 50, output: 4)))
        let result = await Thinking.stream(chain(thinker))
        #expect(result.failure == nil)
        #expect(
            result.reasoning.hasPrefix(
                "Step 1: Look \"here\"\nLine one\nLine two é\n\nStep 2: Conclude\nSo 42\n\nThought for "))
        #expect(result.events.count(where: \.isMeaningful) > 30)
        #expect(result.texts == ["It ", "is 42."])
        #expect(result.usage?.input == 90 && result.usage?.output == 30 && result.usage?.reasoning == 26)
        #expect(result.trace.innerCalls.map(\.purpose) == ["step 1", "step 2", "final"])
        #expect(result.trace.innerCalls.map(\.usage.output) == [20, 6, 4])
        #expect(result.trace.degraded.isEmpty)
    }

    @Test func `the requests are those of a chain`() async throws {
        let thinker = Thinker("m", .say(Self.first), .say(Self.second), .say("42"))
        _ = await Thinking.stream(
            chain(thinker) {
                $0.stepTokens = 300
                $0.finalTokens = 200
            })
        let requests = thinker.requests
        #expect(requests.map(\.maxTokens) == [300, 300, 200])
        #expect(requests.map(\.maxTokensIsLegacy) == [true, true, true])
        #expect(requests.map(\.temperature) == [0.2, 0.2, nil])
        #expect(requests.map(\.responseFormat) == [.jsonObject, .jsonObject, nil])
        #expect(requests[0].messages.map(\.role) == [.system, .user])
        #expect(requests[1].messages.map(\.role) == [.system, .user, .assistant, .user])
        #expect(requests[1].messages[2].text == Self.first)
        #expect(requests[2].messages.map(\.role) == [.user, .assistant, .user])
    }

    @Test func `tools, format and settings of the client are for the answer alone`() async throws {
        let thinker = Thinker("m", .say(Self.second), .call(ToolCall(id: "c2", name: "w", arguments: "{}"), Usage()))
        let result = await Thinking.stream(chain(thinker)) { request in
            var turn = Message(.assistant, [])
            turn.toolCalls = [ToolCall(id: "c1", name: "w", arguments: "{\"a\":1}")]
            var answer = Message(.tool, text: "sunny")
            answer.toolCallID = "c1"
            request.messages += [turn, answer]
            request.tools = [Tool(name: "w", description: "The weather.")]
            request.toolChoice = .required
            request.stop = ["X"]
            request.temperature = 1.5
            request.maxTokens = 77
        }
        let requests = thinker.requests
        #expect(requests[0].tools.isEmpty && requests[0].toolChoice == nil && requests[0].stop.isEmpty)
        #expect(requests[0].messages.allSatisfy { $0.toolCalls.isEmpty && $0.toolCallID == nil })
        #expect(requests[0].messages.contains { $0.role == .user && $0.text.contains("sunny") })
        #expect(requests[0].messages[0].text.contains("- w: The weather."))
        #expect(requests[1].tools.map(\.name) == ["w"] && requests[1].toolChoice == .required)
        #expect(requests[1].messages.prefix(3).map(\.role) == [.user, .assistant, .tool])
        #expect(requests[1].stop == ["X"] && requests[1].temperature == 1.5 && requests[1].maxTokens == 77)
        #expect(
            result.events.contains {
                if case .toolCall(0, 0, let call) = $0 { call.id == "c2" } else { false }
            })
    }

    @Test func `markdown is the original's, frame by frame`() async throws {
        let thinker = Thinker(
            "m", .say(Self.first), .say(Self.second), .say(Thinking.step("Done", "It is\n\"42\"", "final_answer")))
        let result = await Thinking.stream(chain(thinker) { $0.show = .markdown })
        #expect(
            Array(result.texts.dropLast()) == [
                " ", "\n\n## Step 1: Look \"here\"\nLine one\nLine two é", "\n\n## Step 2: Conclude\nSo 42",
                "\n\n### Final Answer\nIt is\n\"42\"",
            ])
        let last = try #require(result.texts.last)
        #expect(last.wholeMatch(of: /\n\n\*\*Total thinking time: [0-9]+\.[0-9]{2} seconds\*\*/) != nil)
        #expect(result.reasoning.isEmpty)
    }

    @Test func `details are the original's, frame by frame`() async throws {
        let thinker = Thinker("m", .say(Self.first), .say(Self.second), .say("It is\n42"))
        let result = await Thinking.stream(chain(thinker) { $0.show = .details })
        #expect(
            Array(result.texts.dropLast()) == [
                " ",
                "<details open>\n<summary>Step 1: Look \"here\"</summary>\nLine one<br>Line two é\n</details>",
                "<details open>\n<summary>Step 2: Conclude</summary>\nSo 42\n</details>",
                "### Final Answer\nIt is<br>42",
            ])
    }

    @Test func `the last step is shown only together with the answer`() async throws {
        let thinker = Thinker("m", .say(Self.second), .hang([]))
        let model = chain(thinker) { $0.show = .markdown }
        let call = Thinking.call(stream: true)
        guard case .events(let source) = try await model.answer(call).content else { return }
        var events: [Event] = []
        _ = try await source.next(into: &events, by: .distantFuture)
        #expect(
            events.compactMap {
                if case .text(_, let text) = $0 { text } else { nil }
            } == [" "])
        source.cancel()
        #expect(thinker.givenUp == 1 || thinker.calls.count == 1)
    }

    @Test(
        "What is no step is asked for again, three times in all, then the answer follows without it",
        arguments: ["not JSON", #"{"title":"a","content":"b"}"#, #"{"title":"a","content":"b"#])
    func retries(bad: String) async throws {
        let thinker = Thinker("m", .say(Self.first), .say(bad), .say(bad), .say(bad), .say("42"))
        let result = await Thinking.stream(chain(thinker) { $0.show = .markdown })
        #expect(thinker.calls.count == 5)
        #expect(result.connector.slept == [.seconds(1), .seconds(1)])
        #expect(result.texts[2].hasPrefix("\n\n## Step 2: Error\nUnable to generate step after 3 attempts. Error: "))
        #expect(result.texts[3] == "\n\n### Final Answer\n42")
        #expect(result.trace.degraded == ["step 2"])
    }

    @Test func `a step that fails once is asked for again`() async throws {
        let thinker = Thinker(
            "m", .fail(ParleyError(.upstreamUnavailable, "500")), .say(Self.second), .breakOff([]), .say("42"))
        let result = await Thinking.stream(chain(thinker))
        #expect(result.text == "42" && result.failure == nil)
        #expect(result.connector.slept == [.seconds(1), .seconds(1)])
        #expect(result.trace.innerCalls.map(\.failure) == [.upstreamUnavailable, nil, .upstreamUnavailable, nil])
    }

    @Test func `a dead model is an error before anything was sent`() async throws {
        let thinker = Thinker("m", .fail(ParleyError(.upstreamUnavailable, "down")))
        let call = Thinking.call(stream: true)
        #expect(await failure(chain(thinker), call)?.kind == .upstreamUnavailable)
        #expect(thinker.calls.count == 3)
        let refused = Thinker("m", .fail(ParleyError(.unauthenticated, "no")))
        #expect(await failure(chain(refused), Thinking.call(stream: false))?.kind == .unauthenticated)
        #expect(refused.calls.count == 1)
    }

    @Test func `a model that takes no JSON mode is asked without it`() async throws {
        let refusal = ParleyError(.upstreamRejected, "response_format")
        let thinker = Thinker("m", .fail(refusal), .say(Self.second), .say("42"))
        let result = await Thinking.stream(chain(thinker))
        #expect(result.text == "42")
        #expect(thinker.requests[1].responseFormat == nil && thinker.requests[1].temperature == nil)
        #expect(result.connector.slept.isEmpty)
    }

    @Test func `a chain that never ends has as many steps as it may`() async throws {
        let thinker = Thinker("m", .say(Self.first))
        let result = await Thinking.stream(
            chain(thinker) {
                $0.maxSteps = 4
                $0.show = .markdown
            })
        #expect(thinker.calls.count == 5)
        #expect(result.trace.degraded == ["steps beyond 4"])
    }

    @Test func `the conclusion stands in for an answer that does not come`() async throws {
        let thinker = Thinker("m", .say(Self.second), .fail(ParleyError(.upstreamUnavailable, "down")))
        let result = await Thinking.stream(chain(thinker))
        #expect(result.text == "So 42" && result.failure == nil)
        #expect(result.trace.degraded == ["the final answer"])
        #expect(thinker.calls.count == 4)
    }

    @Test func `an answer that breaks off after its first words is an error`() async throws {
        let thinker = Thinker("m", .say(Self.second), .breakOff(["It "]))
        let result = await Thinking.stream(chain(thinker))
        #expect(result.text == "It " && result.failure?.kind == .upstreamUnavailable)
    }

    @Test func `the object that lists the steps`() async throws {
        let thinker = Thinker("m", .say(Self.first, 10, 20), .say(Self.second, 30, 6), .say("It is 42.", 50, 4))
        let model = chain(thinker) { $0.whole = .stepsJSON }
        guard case .client(let body) = try await model.answer(Thinking.call(stream: false)).content else {
            Issue.record("the answer is not ours")
            return
        }
        var out = ByteBuffer()
        #expect(try await !body.next(into: &out, by: .distantFuture))
        let text = String(buffer: out)
        // Every number is a time.
        let shape = text.replacing(/[,:][0-9][0-9.e-]*/, with: ",T")
        #expect(
            shape == #"{"steps":[["Step 1: Look \"here\"","Line one\nLine two é",T],["Step 2: Conclude","So 42",T],"#
                + #"["Final Answer","It is 42.",T]],"total_thinking_time",T}"#)
        #expect(body.observed.usage.output == 30 && body.contentType == "application/json")
        #expect(thinker.calls.allSatisfy { !$0.stream })
    }

    @Test func `a whole answer has its thinking beside it`() async throws {
        let thinker = Thinker("m", .say(Self.second, 10, 20), .say("It is 42.", 50, 4))
        guard case .whole(let response) = try await chain(thinker).answer(Thinking.call(stream: false)).content else {
            Issue.record("no whole answer")
            return
        }
        #expect(response.text == "It is 42." && response.identity.model == "asked")
        #expect(response.choices[0].message.reasoning.first?.text.hasPrefix("Step 1: Conclude\nSo 42") == true)
        #expect(response.usage.reasoning == 20 && response.usage.output == 24)
    }
}
