// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyTestKit
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Replaying requests to Bedrock")
struct BedrockRequestReplayTests {
    private static let all = (BedrockReplayTests.written + BedrockReplayTests.recorded).filter {
        $0.request.path.contains("/converse") && $0.request.body != nil
    }

    @Test("A request is read and written the same", arguments: all)
    func again(_ transcript: Transcript) throws {
        let sent = try JSON.parse(ByteBuffer(bytes: transcript.request.body ?? []))
        // InvokeModel and streams that were put together afterwards have no Converse request.
        guard sent["messages"] != nil else { return }
        var request = try Bedrock().decodeRequest(ByteBuffer(bytes: transcript.request.body ?? []))
        let path = transcript.request.path.replacing("%3A", with: ":").replacing("%2F", with: "/")
        request.model = path.split(separator: "/").dropFirst().dropLast().joined(separator: "/")
        let (written, dropped) = try BedrockRun.encode(request)
        #expect(same(Self.normalised(written), Self.normalised(sent)), "\(JSON.text(written))")
        #expect(dropped.isEmpty)
        let again = try Bedrock().decodeRequest(ByteBuffer(string: JSON.text(written)))
        #expect(
            try Bedrock().decodeRequest(ByteBuffer(string: JSON.text(Self.normalised(written)))).tools == again.tools)
    }

    /// Empty members say nothing, `success` is what a result's status is anyway, turns of one role are one turn.
    private static func normalised(_ value: JSONValue) -> JSONValue {
        guard case .object(var object) = value else { return value }
        for name in ["system", "inferenceConfig"] where object[name] == [:] || object[name] == .array([]) {
            object[name] = nil
        }
        var turns: [JSONValue] = []
        for turn in object["messages"]?.array ?? [] {
            let blocks = (turn["content"]?.array ?? []).map(block)
            if let last = turns.last, last["role"] == turn["role"] {
                let before = last["content"]?.array ?? []
                turns[turns.count - 1] = ["role": turn["role"] ?? .null, "content": .array(before + blocks)]
            } else {
                turns.append(["role": turn["role"] ?? .null, "content": .array(blocks)])
            }
        }
        object["messages"] = .array(turns)
        return .object(object)
    }

    private static func block(_ value: JSONValue) -> JSONValue {
        guard var result = value["toolResult"]?.object, result["status"] == "success", result["type"] == nil else {
            return value
        }
        result["status"] = nil
        return ["toolResult": .object(result)]
    }

    @Test(
        "What is wrong with a request is said by its place",
        arguments: [
            ("[]", nil), ("{}", "messages"), (#"{"messages":{}}"#, "messages"), (#"{"messages":[1]}"#, "messages[0]"),
            (#"{"messages":[{"role":"tool","content":[]}]}"#, "messages[0].role"),
            (#"{"messages":[{"role":"user"}]}"#, "messages[0].content"),
            (#"{"messages":[{"role":"user","content":[1]}]}"#, "messages[0].content[0]"),
            (
                #"{"messages":[{"role":"user","content":[{"toolResult":{}}]}]}"#,
                "messages[0].content[0].toolResult.toolUseId"
            ),
            (#"{"messages":[],"inferenceConfig":{"maxTokens":"x"}}"#, "inferenceConfig.maxTokens"),
            (#"{"messages":[],"toolConfig":{"tools":[{"toolSpec":{}}]}}"#, "toolConfig.tools[0].toolSpec.name"),
        ] as [(String, String?)])
    func faults(body: String, place: String?) {
        do throws(ParleyError) {
            _ = try Bedrock().decodeRequest(ByteBuffer(string: body))
            Issue.record("no fault")
        } catch {
            #expect(error.kind == .invalid)
            #expect(error.parameter == place)
        }
    }
}
