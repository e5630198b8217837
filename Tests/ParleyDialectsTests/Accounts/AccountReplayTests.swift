// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

/// The dialects of services that are used with somebody's own account.
private enum Accounts {
    static let dialects: [String: any Dialect] = [
        "flowgpt": FlowGPT(), "fitten": FittenCode(), "claude-web": ClaudeWeb(),
    ]

    static let transcripts: [Exchange] = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return dialects.keys.sorted().flatMap { provider -> [Exchange] in
            let folder = root.appendingPathComponent("Transcripts").appendingPathComponent(provider)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            return names.sorted().compactMap { Exchange(folder.appendingPathComponent($0), provider: provider) }
        }
    }()

    /// Those that are answers, as streams.
    static let streams = transcripts.filter { ["ndjson", "sse"].contains($0.kind) }
}

@Suite("Replaying the dialects of account-backed services")
struct AccountReplayTests {
    @Test("There are transcripts of each")
    func count() {
        for name in Accounts.dialects.keys {
            #expect(Accounts.transcripts.filter { $0.provider == name }.count >= 14, "\(name)")
        }
    }

    @Test("An answer comes to what its transcript expects, as a stream and as a whole", arguments: Accounts.streams)
    func expected(_ exchange: Exchange) throws {
        let dialect = try #require(Accounts.dialects[exchange.provider])
        let expect = try #require(exchange.expect)
        let decoded = Native.decode([exchange.body[...]], dialect)
        let whole = Result { try dialect.decodeWhole(ByteBuffer(bytes: exchange.body)) }
        #expect(decoded.response.choices.first?.message.text ?? "" == expect["text"]?.string ?? "")
        if let error = expect["error"] {
            #expect(decoded.failure?.httpStatus == error["status"]?.int && !decoded.isComplete)
            #expect(throws: ParleyError.self) { try whole.get() }
            return
        }
        #expect(decoded.failure == nil && decoded.isComplete)
        let choice = try #require(decoded.response.choices.first)
        #expect(choice.message.reasoning.map(\.text).joined() == expect["reasoning"]?.string ?? "")
        #expect(choice.finish?.rawValue == expect["finish"]?.string)
        #expect(decoded.response.usage.isEmpty, "what nobody said is not made up here")
        #expect(try whole.get() == decoded.response)
    }

    @Test(
        "A refusal comes to what its transcript expects, and says nothing of the body",
        arguments: Accounts.transcripts.filter { $0.status >= 400 })
    func refusals(_ exchange: Exchange) throws {
        let dialect = try #require(Accounts.dialects[exchange.provider])
        let failure = dialect.decodeFailure(
            status: exchange.status, headers: HeaderBlock(ByteBuffer(string: headers(exchange))),
            body: ByteBuffer(bytes: exchange.body))
        let error = try #require(exchange.expect?["error"])
        #expect(failure.httpStatus == error["status"]?.int)
        if let type = error["type"]?.string, failure.kind == .unauthenticated { #expect(failure.type == type) }
        if exchange.kind == "text" { #expect(failure.message.hasSuffix(dialect.pageAdvice + ".")) }
        #expect(!failure.message.contains("<"))
    }

    private func headers(_ exchange: Exchange) -> String {
        let data = try? Data(contentsOf: exchange.folder.appendingPathComponent("response.headers.json"))
        let head = data.flatMap { try? JSON.parse(ByteBuffer(bytes: $0)) }
        return (head?["headers"]?.object ?? [:]).members.map { "\($0.key): \($0.value.string ?? "")\r\n" }.joined()
    }

    @Test("A stream gives the same in any pieces", arguments: Accounts.streams)
    func splits(_ exchange: Exchange) throws {
        let dialect = try #require(Accounts.dialects[exchange.provider])
        let bytes = exchange.body
        let whole = Native.decode([bytes[...]], dialect)
        let bytewise = Native.decode(bytes.indices.map { bytes[$0...$0] }, dialect)
        #expect(bytewise.events == whole.events && bytewise.failure?.kind == whole.failure?.kind)
        for seed in 0..<40 as Range<UInt64> {
            let split = Native.decode(pieces(of: bytes, seed: seed), dialect)
            #expect(split.events == whole.events, "seed \(seed)")
        }
        // And cut in two at every place.
        for place in bytes.indices {
            #expect(Native.decode([bytes[..<place], bytes[place...]], dialect).events == whole.events, "\(place)")
        }
    }

    @Test("A damaged answer is read or refused, the same in any pieces", arguments: Accounts.streams)
    func damaged(_ exchange: Exchange) throws {
        let dialect = try #require(Accounts.dialects[exchange.provider])
        for seed in 0..<40 as Range<UInt64> {
            var dice = Dice(seed: seed)
            var bytes = exchange.body
            for _ in 0..<Int.random(in: 1...6, using: &dice) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: .min ... .max, using: &dice)
            }
            let whole = Native.decode([bytes[...]], dialect)
            let split = Native.decode(pieces(of: bytes, seed: seed), dialect)
            #expect(split.events == whole.events && split.failure?.kind == whole.failure?.kind, "seed \(seed)")
        }
    }

    @Test("Everything that is left out is declared", arguments: Accounts.dialects.keys.sorted())
    func losses(name: String) throws {
        let dialect = try #require(Accounts.dialects[name])
        var request = ChatRequest(model: "m", messages: [])
        var user = Message(.user, text: "a")
        user.name = "n"
        user.cacheMarks = [0: CacheMark()]
        var assistant = Message(.assistant, text: "b")
        assistant.reasoning = [Reasoning("hm", signature: "s", origin: .anthropic)]
        request.messages = [user, assistant, Message(.user, text: "c")]
        request.toolChoice = .auto
        request.parallelToolCalls = false
        (request.maxTokens, request.topK, request.seed, request.topLogprobs) = (1, 2, 3, 4)
        (request.temperature, request.topP, request.frequencyPenalty, request.presencePenalty) = (0.1, 0.2, 0.3, 0.4)
        (request.stop, request.logprobs, request.reasoningEffort, request.user) = (["x"], true, "low", "u")
        request.extras = Extras(.openAIChat, ["logit_bias": ["1": 2]])
        var dropped: [String] = []
        _ = try dialect.encodeRequest(request, dropped: &dropped)
        let declared = Set(dialect.losses.filter { $0.fate == .dropped }.map(\.field))
        let own = declared.subtracting(Loss.unknown(to: "").map(\.field))
        #expect(Set(dropped) == own.union(["logit_bias"]) && dropped.count == Set(dropped).count)
    }

    @Test("What is declared as refused is refused, naming the field", arguments: Accounts.dialects.keys.sorted())
    func refused(name: String) throws {
        let dialect = try #require(Accounts.dialects[name])
        func asked(_ content: String, _ more: String = "") -> String {
            #"{"model":"m","messages":[{"role":"user","content":[\#(content)]}\#(more)}"#
        }
        let text = #"{"type":"text","text":"a"}"#
        let function = #"{"id":"1","type":"function","function":{"name":"f","arguments":""}}"#
        let call = #"{"role":"assistant","tool_calls":[\#(function)]}"#
        let cases = [
            (asked(text, #"],"n":2"#), "n"), (asked(text, #"],"tools":[{"type":"web_search"}]"#), "tools"),
            (asked(text, #"],"tools":[{"type":"function","function":{"name":"f"}}]"#), "tools"),
            (asked(text, #"],"response_format":{"type":"json_object"}"#), "response_format"),
            (asked(text, ",\(call)]"), "messages[1].tool_calls"),
            (asked(text, #",{"role":"tool","tool_call_id":"1","content":"b"}]"#), "messages[1].role"),
            (
                asked(#"{"type":"image_url","image_url":{"url":"https://e.x/a.png"}}"#, "]"),
                "messages[0].content[0].image_url"
            ),
            (
                asked(#"{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}"#, "]"),
                "messages[0].content[0].input_audio"
            ),
            (
                asked(#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AA=="}}"#, "]"),
                "messages[0].content[0].file"
            ),
            (asked(#"{"type":"video_url","video_url":{}}"#, "]"), "messages[0].content[0]"),
        ]
        for (body, field) in cases {
            let fault = try #require(Native.fault(body, dialect), "\(field)")
            #expect(fault.kind == .invalid && fault.parameter == field, "\(field)")
        }
    }

    @Test("What a client would need says that there is none", arguments: Accounts.dialects.keys.sorted())
    func outboundOnly(name: String) throws {
        let dialect = try #require(Accounts.dialects[name])
        #expect(!dialect.isSpokenByClients && dialect.id.name == name)
        #expect(throws: ParleyError.self) { try dialect.decodeRequest(ByteBuffer(string: "{}")) }
    }
}
