// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Replaying an agent's turns")
struct AgentReplayTests {
    static let transcripts: [Exchange] = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let folder = root.appendingPathComponent("Transcripts/acp")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().compactMap { Exchange(folder.appendingPathComponent($0), provider: "acp") }
    }()

    /// Golden messages of the official SDK: updates, results and content blocks without their envelope.
    static let golden: [Exchange] = {
        guard let root = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] else { return [] }
        let folder = URL(fileURLWithPath: root).appendingPathComponent("acp")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().compactMap { Exchange(folder.appendingPathComponent($0), provider: "acp") }
    }()

    @Test("There are transcripts")
    func count() {
        #expect(Self.transcripts.count >= 15)
        print("Agents: \(Self.golden.count) messages of the official SDK replayed")
    }

    @Test("A turn comes to what its transcript expects", arguments: transcripts)
    func expected(_ exchange: Exchange) throws {
        let expect = try #require(exchange.expect)
        let decoded = Native.decode([exchange.body[...]], Agent())
        if let error = expect["error"] {
            let failure = try #require(decoded.failure)
            #expect(failure.httpStatus == error["status"]?.int)
            if let type = error["type"]?.string, type != "invalid_request_error" { #expect(failure.type == type) }
            #expect(failure.code == error["code"]?.string)
        } else {
            #expect(decoded.failure == nil && decoded.isComplete)
        }
        let choice = decoded.response.choices.first
        #expect(choice?.message.text ?? "" == expect["text"]?.string ?? "")
        #expect(choice?.message.reasoning.map(\.text).joined() ?? "" == expect["reasoning"]?.string ?? "")
        #expect(choice?.message.toolCalls.isEmpty ?? true)
        if let finish = expect["finish"]?.string { #expect(choice?.finish?.rawValue == finish) }
        let usage = decoded.response.usage
        #expect(usage.input == expect["usage"]?["prompt"]?.int)
        #expect(usage.output == expect["usage"]?["completion"]?.int)
        #expect(usage.cacheRead == expect["usage"]?["cached"]?.int)
        #expect(usage.reasoning == expect["usage"]?["reasoning"]?.int)
    }

    @Test("A turn is the same in any pieces, and again after it was written for a client", arguments: transcripts)
    func splits(_ exchange: Exchange) {
        let bytes = exchange.body
        let whole = Native.decode([bytes[...]], Agent(showsTools: true))
        let bytewise = Native.decode(bytes.indices.map { bytes[$0...$0] }, Agent(showsTools: true))
        #expect(bytewise.events == whole.events && bytewise.failure?.kind == whole.failure?.kind)
        for seed in 0..<20 as Range<UInt64> {
            let split = Native.decode(pieces(of: bytes, seed: seed), Agent(showsTools: true))
            #expect(split.events == whole.events, "seed \(seed)")
        }
        guard whole.failure == nil else { return }
        let again = ParleyDialectsTests.decode(encode(whole.events))
        #expect(again.failure == nil && again.response.choices == whole.response.choices)
    }

    @Test("What the agent does beside talking is told as reasoning where that is wanted")
    func activity() throws {
        let exchange = try #require(Self.transcripts.first { $0.folder.lastPathComponent == "stream-tools" })
        let shown = Native.decode([exchange.body[...]], Agent(showsTools: true)).response
        #expect(
            shown.choices.first?.message.reasoning.map(\.text).joined() == """
                - [ ] Look it up
                - [ ] Answer
                [Reading cats.md]
                [Reading cats.md: done]
                - [x] Look it up
                - [ ] Answer

                """)
        let hidden = Native.decode([exchange.body[...]], Agent()).response
        #expect(hidden.choices.first?.message.reasoning.isEmpty == true)
        #expect(hidden.choices.first?.message.text == shown.choices.first?.message.text)
    }

    @Test("The official SDK's own messages are read", arguments: golden)
    func officialMessages(_ exchange: Exchange) throws {
        let name = exchange.folder.lastPathComponent
        guard name.hasPrefix("session-update-") || name.hasPrefix("content-") else { return }
        var update = try JSON.parse(ByteBuffer(bytes: exchange.body))
        if name.hasPrefix("content-") { update = ["sessionUpdate": "agent_message_chunk", "content": update] }
        let line: JSONValue = [
            "jsonrpc": "2.0", "method": "session/update", "params": ["sessionId": "s", "update": update],
        ]
        let end: JSONValue = ["jsonrpc": "2.0", "id": 1, "result": ["stopReason": "end_turn"]]
        let bytes = Array((JSON.text(line) + "\n" + JSON.text(end) + "\n").utf8)
        let decoded = Native.decode([bytes[...]], Agent(showsTools: true))
        #expect(decoded.failure == nil && decoded.isComplete)
        let message = try #require(decoded.response.choices.first?.message)
        let words = update["content"]?["text"]?.string
        switch name {
        case "session-update-agent-message-chunk", "content-text": #expect(message.text == words)
        case "session-update-agent-thought-chunk": #expect(message.reasoning.map(\.text).joined() == words)
        case "content-resource-text": #expect(message.text == update["content"]?["resource"]?["text"]?.string)
        case "content-resource-link": #expect(message.text.contains(update["content"]?["uri"]?.string ?? "?"))
        case let name where name.contains("tool-call") || name.hasSuffix("plan"):
            #expect(message.text.isEmpty && !message.reasoning.isEmpty)
        default: #expect(message.text.isEmpty && message.reasoning.isEmpty)
        }
    }
}
