// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Requests to agents")
struct AgentRequestTests {
    private static func request(_ body: String) throws -> AgentRequest {
        var dropped: [String] = []
        let request = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
        return try AgentRequest(Agent().encodeRequest(request, dropped: &dropped))
    }

    private static func text(_ blocks: [JSONValue]) -> String { JSON.text(.array(blocks)) }

    @Test("A user's only message is said as it is")
    func single() throws {
        let request = try Self.request(#"{"model":"a","messages":[{"role":"user","content":"Hi"}]}"#)
        #expect(Self.text(request.prompt(from: 0)) == #"[{"type":"text","text":"Hi"}]"#)
        #expect(request.model == "a")
    }

    @Test("A conversation is told turn by turn, by speaker; what is new, alone")
    func conversation() throws {
        let request = try Self.request(
            """
            {"model":"a","messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Hi"},
            {"role":"assistant","content":"Hello."},{"role":"user","content":[{"type":"text","text":"Why"},
            {"type":"text","text":"so?"}]}]}
            """)
        let all = request.prompt(from: 0).reduce(into: "") { $0 += $1["text"]?.string ?? "" }
        #expect(all == "System:\nBe short.\n\nUser:\nHi\n\nAssistant:\nHello.\n\nUser:\nWhy\nso?")
        #expect(Self.text(request.prompt(from: 3)) == #"[{"type":"text","text":"Why\nso?"}]"#)
        #expect(request.prompt(from: 4).isEmpty)
    }

    @Test("Images and sounds are blocks that an agent must be able to read, addresses are links")
    func media() throws {
        let request = try Self.request(
            """
            {"model":"a","messages":[{"role":"user","content":"Look:"},{"role":"user","content":[
            {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}},
            {"type":"image_url","image_url":{"url":"https://example.com/cat.png"}},
            {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},
            {"type":"text","text":"What is it?"}]}]}
            """)
        #expect(request.needs(from: 0) == [.image, .audio])
        #expect(request.needs(from: 2).isEmpty)
        #expect(
            Self.text(request.prompt(from: 0)) == """
                [{"type":"text","text":"User:\\nLook:\\n\\n"},{"type":"text","text":"User:\\n"},\
                {"type":"image","mimeType":"image/png","data":"iVBORw0KGgo="},\
                {"type":"resource_link","uri":"https://example.com/cat.png","name":"image"},\
                {"type":"audio","mimeType":"audio/wav","data":"UklGRg=="},{"type":"text","text":"What is it?"}]
                """)
    }

    @Test("A client's tools are refused, naming them, unless none may be called")
    func tools() throws {
        let tools = #""tools":[{"type":"function","function":{"name":"f"}}]"#
        let body = #"{"model":"a","messages":[{"role":"user","content":"Hi"}],\#(tools)"#
        let fault = try #require(Native.fault(body + "}", Agent()))
        #expect(fault.kind == .invalid && fault.parameter == "tools" && fault.code == "unsupported_value")
        #expect(fault.message.contains("its own tools"))
        #expect(Native.fault(body + #","tool_choice":"none"}"#, Agent()) == nil)
    }

    @Test("Earlier calls of tools and their results are told in words")
    func history() throws {
        let request = try Self.request(
            """
            {"model":"a","messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":null,
            "tool_calls":[{"id":"1","type":"function","function":{"name":"look","arguments":"{\\"at\\":1}"}}]},
            {"role":"tool","tool_call_id":"1","content":"Rain."}]}
            """)
        #expect(request.turns.map(\.role) == ["user", "assistant", "tool"])
        #expect(request.turns[1].text == #"[calls look with {"at":1}]"#)
    }

    @Test("A schema is an instruction at the start")
    func structured() throws {
        let request = try Self.request(
            """
            {"model":"a","messages":[{"role":"user","content":"Who?"}],"response_format":{"type":"json_schema",
            "json_schema":{"name":"p","schema":{"type":"object","properties":{"age":{"type":"integer"}}}}}}
            """)
        #expect(request.turns.map(\.role) == ["system", "user"])
        #expect(request.turns[0].text.contains(#""age":{"type":"integer"}"#))
    }

    @Test("What an agent decides itself is dropped by name, and every such name is declared")
    func losses() throws {
        let body = """
            {"model":"a","messages":[{"role":"user","name":"n","content":"Hi"}],"max_tokens":5,"temperature":1,"top_p":0.5,
            "seed":1,"stop":["x"],"frequency_penalty":1,"presence_penalty":1,"logprobs":true,"top_logprobs":2,"user":"u",
            "reasoning_effort":"low","parallel_tool_calls":false,"logit_bias":{"1":2}}
            """
        var dropped: [String] = []
        _ = try Native.encoded(body, Agent(), dropped: &dropped)
        let declared = Set(Agent().losses.filter { $0.fate == .dropped }.map(\.field))
        #expect(declared.isSuperset(of: dropped), "\(dropped)")
        #expect(dropped.count == 14)
    }

    @Test("What is declared as refused is refused, naming the field")
    func refusals() throws {
        for (content, more, field) in [
            (#""Hi""#, #","n":2"#, "n"),
            (#"[{"type":"file","file":{"file_data":"data:application/pdf;base64,AA=="}}]"#, "", "file"),
            (#"[{"type":"video_url","video_url":{}}]"#, "", "messages[0].content[0]"),
            (#""Hi""#, #","response_format":{"type":"grammar"}"#, "response_format"),
        ] {
            let body = #"{"model":"a","messages":[{"role":"user","content":\#(content)}]\#(more)}"#
            let fault = try #require(Native.fault(body, Agent()), "\(field)")
            #expect(fault.kind == .invalid && fault.parameter?.hasSuffix(field) == true)
        }
    }

    @Test("An agent's refusal says what to do, and never a line break")
    func failures() {
        let dialect = Agent()
        let body = ByteBuffer(string: #"{"error":{"code":-32603,"message":"m","data":{"details":"a\nb"}}}"#)
        let failure = dialect.decodeFailure(status: 502, headers: HeaderBlock(), body: body)
        #expect(failure.message == "the agent failed (-32603): a b" && failure.retryClass == nil)
        let signIn = AgentFailure.signInNeeded(["oauth", "key"])
        #expect(signIn.kind == .unauthenticated && signIn.message.contains("oauth, key"))
    }
}
