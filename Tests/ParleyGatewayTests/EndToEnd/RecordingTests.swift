// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Recorded answers of OpenAI")
struct RecordingTests {
    /// Empty where no recordings are at hand.
    private static func recordings() throws -> [Transcript] {
        try Transcript.recordings(provider: "openai-chat").filter { transcript in
            transcript.request.path.contains("/chat/completions") && ["json", "sse"].contains(transcript.bodyKind)
        }
    }

    /// The pieces the body comes in: at once, and in five ways that chance decides.
    private static let splits: [Script.Split?] = [nil] + (1...5).map { .random(seed: $0, max: 200) }

    @Test(
        "Each reaches the client byte for byte, but for usage that it did not ask for and the wording around an error",
        arguments: try recordings())
    func replay(recording: Transcript) async throws {
        let asked = Self.request(of: recording)
        var setup = GatewayUnderTest.Setup()
        setup.provider = ["kind: openai"]
        try await GatewayUnderTest.run(setup) { gateway, upstream in
            for split in Self.splits {
                await upstream.clear()
                await upstream.add(recording.script(split: split))
                let answer = try await gateway.post(asked)
                #expect(answer.status == recording.response.status, "\(answer.text.prefix(300))")
                #expect(answer.isComplete)
                if answer.status >= 400 {
                    Self.expectSame(answer, recording)
                } else {
                    #expect(answer.body == Self.expected(recording, asked), "split: \(String(describing: split))")
                }
            }
        }
    }

    /// Errors are written anew in OpenAI's envelope: they say the same.
    private static func expectSame(_ answer: ClientAnswer, _ recording: Transcript) {
        let recorded = ClientAnswer(status: recording.response.status, body: recording.response.body).error
        for name in ["type", "code", "param"] {
            #expect(answer.error[name] as? String == recorded[name] as? String, "\(name)")
        }
        #expect(answer.message.hasSuffix(recorded["message"] as? String ?? ""))
    }

    /// The recorded request; where none was kept, one that fits the answer.
    private static func request(of recording: Transcript) -> String {
        if let body = recording.request.body { return String(decoding: body, as: UTF8.self) }
        return Bodies.chat(stream: recording.bodyKind == "sse")
    }

    /// The recorded body without the frames that have usage and no choices, unless they were asked for.
    private static func expected(_ recording: Transcript, _ asked: String) -> [UInt8] {
        let body = recording.response.body
        let request = (try? JSONSerialization.jsonObject(with: Data(asked.utf8))) as? [String: Any]
        let options = request?["stream_options"] as? [String: Any]
        guard recording.bodyKind == "sse", options?["include_usage"] as? Bool != true else { return body }
        let frames = String(decoding: body, as: UTF8.self).components(separatedBy: "\n\n")
        let kept = frames.filter { frame in
            guard frame.hasPrefix("data: {") else { return true }
            let event = (try? JSONSerialization.jsonObject(with: Data(frame.dropFirst(6).utf8))) as? [String: Any]
            let choices = event?["choices"] as? [Any] ?? []
            return !(choices.isEmpty && event?["usage"] is [String: Any])
        }
        return Array(kept.joined(separator: "\n\n").utf8)
    }
}
