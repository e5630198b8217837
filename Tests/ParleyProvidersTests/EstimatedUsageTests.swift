// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@testable import ParleyProviders

/// A service that speaks OpenAI's Chat Completions and says no tokens, unless it feels like it.
private struct Silent: Provider {
    let id = "a"
    let credentials = Credentials(["k"])
    let overrides: [FieldOverride] = []
    private let target = Target(
        endpoint: Endpoint(host: "up.example", port: 80, isSecure: false), method: "POST", path: "/",
        timeouts: TimeoutOverrides())

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        Face(relaying: OpenAIChat(), at: target, estimatesUsage: true)
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer { ByteBuffer(string: "POST / HTTP/1.1\r\nhost: up.example\r\n") }

    var model: any Model { Upstream(provider: self, model: "m", name: "a/m") }

    static let words = "There are twenty-four characters and some more in this answer."

    static func script(stream: Bool, usage: Bool = false) -> FakeConnector.Script {
        guard stream else {
            let tokens = #","usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}"#
            let answer = wholeAnswer.replacing(#""content":"Hi""#, with: #""content":"\#(words)""#)
            return .json(usage ? answer : answer.replacing(tokens, with: ""))
        }
        return .stream(
            roleFrame, frame(#"{"content":"\#(words)"}"#), frame("{}", finish: "stop"), usage ? usageFrame : "",
            doneFrame)
    }

    static func call(_ dialect: DialectID, _ connector: FakeConnector, stream: Bool, includeUsage: Bool) -> Call {
        let prompt = "How many characters are in this?"
        let body =
            switch dialect {
            case .openAIResponses: #"{"model":"a/m","stream":\#(stream),"input":"\#(prompt)"}"#
            case .openAICompletions: #"{"model":"a/m","stream":\#(stream),"prompt":"\#(prompt)"}"#
            case .gemini: #"{"contents":[{"role":"user","parts":[{"text":"\#(prompt)"}]}]}"#
            default:
                #"{"model":"a/m","max_tokens":9,"stream":\#(stream),"messages":[{"role":"user","content":"\#(prompt)"}]}"#
            }
        var call = makeCall(connector, body: body, stream: stream, includeUsage: includeUsage)
        call.dialect = dialect
        return call
    }
}

@Suite("Tokens of services that say none")
struct EstimatedUsageTests {
    private static let dialects = Dialects.all.filter(\.isSpokenByClients).map(\.id.name)

    /// The tokens that an answer tells its client, read as that client reads it.
    private static func told(_ text: String, _ dialect: any Dialect, stream: Bool) throws -> Usage {
        guard stream else { return try dialect.decodeWhole(ByteBuffer(string: text)).usage }
        var decoder = dialect.makeStreamDecoder()
        var events: [Event] = []
        try decoder.push(ByteBuffer(string: text), into: &events)
        try decoder.finish(into: &events)
        var usage = Usage()
        for case .usage(let more) in events { usage.merge(more) }
        return usage
    }

    @Test("Every client is told an estimate that is marked, whole and streamed", arguments: dialects, [false, true])
    func everyClient(name: String, stream: Bool) async throws {
        let dialect = try Dialects.dialect(DialectID(name))
        let connector = FakeConnector(Silent.script(stream: stream))
        let call = Silent.call(dialect.id, connector, stream: stream, includeUsage: true)
        let reply = try await Silent().model.answer(call)
        #expect(reply.headers.contains(HeaderField("x-parley-estimated", "true")))
        let told = try Self.told(try await text(of: reply), dialect, stream: stream)
        // Four characters a token, and four tokens for a turn.
        #expect(told.input == 12 && told.output == (Silent.words.count + 3) / 4, "\(name)")
        guard case .client(let body) = reply.content else { return }
        #expect(body.observed.usage.estimated && body.observed.usage.output == told.output)
    }

    @Test("A client that asked for no usage gets none, and the log has the estimate")
    func notAsked() async throws {
        for dialect in [DialectID.openAIChat, .openAICompletions] {
            let connector = FakeConnector(Silent.script(stream: true))
            let call = Silent.call(dialect, connector, stream: true, includeUsage: false)
            let reply = try await Silent().model.answer(call)
            let answer = try await text(of: reply)
            #expect(!answer.contains("_tokens") && answer.hasSuffix("data: [DONE]\n\n"))
            guard case .client(let body) = reply.content else { continue }
            #expect(body.observed.usage.estimated && body.observed.usage.input == 12)
        }
    }

    @Test("What the service says after all wins, and a whole answer is then not marked", arguments: [false, true])
    func reported(stream: Bool) async throws {
        let connector = FakeConnector(Silent.script(stream: stream, usage: true))
        let call = Silent.call(.openAIChat, connector, stream: stream, includeUsage: true)
        let reply = try await Silent().model.answer(call)
        #expect(reply.headers.contains(HeaderField("x-parley-estimated", "true")) == stream)
        let told = try Self.told(try await text(of: reply), OpenAIChat(), stream: stream)
        #expect(told.input == 3 && !told.estimated)
    }

    @Test("Events and whole responses that other layers look into have the estimate", arguments: [false, true])
    func neutral(stream: Bool) async throws {
        var call = Silent.call(
            .openAIChat, FakeConnector(Silent.script(stream: stream)), stream: stream, includeUsage: false)
        call.form = .neutral
        let reply = try await Silent().model.answer(call)
        var usage = Usage()
        if case .whole(let response) = reply.content { usage = response.usage }
        for case .usage(let more) in try await allEvents(of: reply) { usage.merge(more) }
        #expect(usage.estimated && usage.input == 12 && usage.output == 16)
    }

    @Test("An answer that breaks off is given no estimate")
    func cut() throws {
        var decoder = EstimatingDecoder(OpenAIChat().makeStreamDecoder(), EstimatedUsage(input: 5))
        var events: [Event] = []
        try decoder.push(ByteBuffer(string: roleFrame + frame(#"{"content":"Hi"}"#)), into: &events)
        #expect(throws: ParleyError.self) { try decoder.finish(into: &events) }
        #expect(!events.contains { if case .usage = $0 { true } else { false } })
    }
}
