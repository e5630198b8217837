// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyTestKit
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Replaying Bedrock's answers")
struct BedrockReplayTests {
    static let written = (try? BedrockRun.transcripts()) ?? []
    /// Recorded Converse exchanges; InvokeModel has the models' own wires.
    static let recorded = ((try? Transcript.recordings(provider: "bedrock")) ?? []).filter {
        $0.response.status == 200 && !$0.name.hasPrefix("invoke")
    }
    static let streams = (written + recorded).filter { $0.bodyKind == "eventstream" }

    @Test("There are transcripts, and how many recordings there are is said")
    func count() {
        print("Bedrock: \(Self.recorded.count) recordings replayed")
        #expect(Self.written.count >= 12)
        let isSet = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] != nil
        #expect(Self.recorded.isEmpty == !isSet)
    }

    @Test("A stream gives the same in any pieces, and the same again for a client", arguments: streams)
    func splits(_ transcript: Transcript) {
        let bytes = transcript.response.body
        let whole = BedrockRun.decode([bytes])
        #expect(BedrockRun.decode(bytes.map { [$0] }) == whole)
        let plans = bytes.count < 1500 ? Splits.twoPart(forBytes: bytes.count) : []
        for plan in plans + (0..<12).map({ Splits.manyPart(forBytes: bytes.count, seed: $0) }) {
            #expect(BedrockRun.decode(plan.pieces(of: bytes)) == whole, "\(plan)")
        }
        guard whole.failure == nil else { return }
        #expect(whole.isComplete)
        let again = ParleyDialectsTests.decode(encode(whole.events))
        #expect(again.failure == nil)
        #expect(again.response.choices.map(\.message.text) == whole.response.choices.map(\.message.text))
        #expect(again.response.choices.map(\.message.toolCalls) == whole.response.choices.map(\.message.toolCalls))
        #expect(again.response.choices.map(\.finish) == whole.response.choices.map(\.finish))
        #expect(again.response.usage.input == whole.response.usage.input)
    }

    @Test(
        "A stream that is cut anywhere before its reason fails, and never ends as if all were well", arguments: streams)
    func cuts(_ transcript: Transcript) {
        let bytes = transcript.response.body
        guard BedrockRun.decode([bytes]).failure == nil, bytes.count < 6000 else { return }
        for length in 0..<bytes.count {
            let cut = BedrockRun.decode([Array(bytes[..<length])])
            let isFinished = cut.events.contains { if case .finish = $0 { true } else { false } }
            #expect((cut.failure == nil) == isFinished, "\(transcript) cut at \(length)")
        }
    }

    @Test(
        "A recorded stream has content, a reason and usage", arguments: recorded.filter { $0.bodyKind == "eventstream" }
    )
    func recordedStreams(_ transcript: Transcript) {
        let decoded = BedrockRun.decode([transcript.response.body])
        #expect(decoded.failure == nil)
        check(decoded.response, transcript)
        if case .start? = decoded.events.first {} else { Issue.record("no start") }
    }

    @Test(
        "A recorded whole answer has content, a reason and usage", arguments: recorded.filter { $0.bodyKind == "json" })
    func recordedAnswers(_ transcript: Transcript) throws {
        let (response, failure) = BedrockRun.whole(transcript.response.body)
        #expect(failure == nil)
        let found = try #require(response)
        check(found, transcript)
        let written = Bedrock().encodeWhole(found, context)
        let again = try Bedrock().decodeWhole(written)
        #expect(again.choices.map(\.message.content) == found.choices.map(\.message.content))
        #expect(again.choices.map(\.message.toolCalls) == found.choices.map(\.message.toolCalls))
        #expect(again.choices.map(\.message.reasoning) == found.choices.map(\.message.reasoning))
        #expect(again.choices.map(\.finish) == found.choices.map(\.finish))
        #expect(again.usage == found.usage)
    }

    private func check(_ response: ChatResponse, _ transcript: Transcript) {
        let choice = response.choices.first
        #expect(choice?.finish != nil)
        #expect(choice?.message.text.isEmpty == false || choice?.message.toolCalls.isEmpty == false)
        #expect((response.usage.input ?? 0) > 0 && response.usage.output != nil)
        for call in choice?.message.toolCalls ?? [] {
            #expect(!call.id.isEmpty && !call.name.isEmpty && call.name != "nova_code_interpreter")
            #expect((try? JSON.parse(call.arguments))?.object != nil)
        }
        if transcript.shows.contains("thinking") {
            #expect(choice?.message.reasoning.contains { $0.isClaudes } == true)
            #expect(choice?.message.reasoning.count == 1)
        }
        if transcript.shows.contains("refusal") { #expect(choice?.finish == .contentFilter) }
        if transcript.shows.contains("tool call") { #expect(choice?.finish == .toolCalls) }
    }
}
