// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyTestKit
import ParleyWire

@testable import ParleyDialects

/// What the suites on Bedrock share.
enum BedrockRun {
    static let claude = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

    /// What a stream in these pieces comes to.
    static func decode(_ pieces: [[UInt8]]) -> Decoded {
        var decoder = Bedrock().makeStreamDecoder()
        var result = Decoded()
        do throws(ParleyError) {
            for piece in pieces { try decoder.push(ByteBuffer(bytes: piece), into: &result.events) }
            try decoder.finish(into: &result.events)
        } catch {
            result.failure = error
        }
        result.isComplete = decoder.isComplete
        return result
    }

    static func whole(_ body: [UInt8]) -> (response: ChatResponse?, failure: ParleyError?) {
        do throws(ParleyError) {
            return (try Bedrock().decodeWhole(ByteBuffer(bytes: body)), nil)
        } catch {
            return (nil, error)
        }
    }

    /// The body that a request is written as, and what was left out.
    static func encode(_ request: ChatRequest) throws(ParleyError) -> (body: JSONValue, dropped: [String]) {
        var dropped: [String] = []
        let bytes = try Bedrock().encodeRequest(request, dropped: &dropped)
        return ((try? JSON.parse(bytes)) ?? .null, dropped)
    }

    /// The same for a request as a client of OpenAI's API says it, for `model`.
    static func encode(
        _ json: String, model: String = claude
    ) throws(ParleyError) -> (body: JSONValue, dropped: [String]) {
        var request = try OpenAIChat().decodeRequest(ByteBuffer(string: json))
        request.model = model
        return try encode(request)
    }

    /// Why a request is refused.
    static func fault(_ json: String, model: String = claude) -> ParleyError? {
        do throws(ParleyError) {
            _ = try encode(json, model: model)
            return nil
        } catch {
            return error
        }
    }

    /// A request of one user turn, with more fields.
    static func ask(_ more: String = "") -> String {
        #"{"model":"m","messages":[{"role":"user","content":"Hi"}]\#(more)}"#
    }

    /// A folder beside `Tests`, found from this file.
    static func transcripts() throws -> [Transcript] {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return try Transcript.all(in: root.appendingPathComponent("Transcripts"), provider: "bedrock")
    }

    static func event(_ type: String, _ json: String) -> [UInt8] { EventStreamWriter.event(type, json) }
}
