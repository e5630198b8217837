// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyCore
import ParleyWire
import Testing

import struct NIOCore.ByteBuffer

/// Recorded traffic, where the environment says that there is some.
private enum Recordings {
    static let root = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"]

    /// The services that answer in OpenAI's chat format.
    static let services = [
        "openai-chat", "azure", "baidu-qianfan", "bedrock-mantle", "cerebras", "dashscope", "deepseek",
        "gemini-openai-compat", "gpustack", "groq", "huggingface", "mistral", "moonshot", "ollama", "openrouter",
        "perplexity", "together", "writer", "xai", "xunfei-spark", "zai",
    ]

    /// The bodies of these services' cases, by `service/case`; event streams or whole answers.
    static func bodies(streams: Bool) throws -> [(name: String, body: [UInt8])] {
        guard let root else { return [] }
        var found: [(name: String, body: [UInt8])] = []
        for service in services {
            let folder = URL(fileURLWithPath: root).appendingPathComponent(service)
            let cases = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            for name in cases.sorted() {
                let about = try Data(contentsOf: folder.appendingPathComponent("\(name)/case.json"))
                let kind = try JSON.parse(ByteBuffer(bytes: about))["body_kind"]?.string
                guard kind == (streams ? "sse" : "json") else { continue }
                let body = try Data(contentsOf: folder.appendingPathComponent("\(name)/response.body"))
                found.append(("\(service)/\(name)", Array(body)))
            }
        }
        return found
    }
}

@Suite("Recorded answers are relayed", .enabled(if: Recordings.root != nil, "PARLEY_RECORDINGS is not set"))
struct RelayRecordingTests {
    @Test("Every recorded stream gives the same whole, byte by byte and at random splits")
    func streams() throws {
        let recordings = try Recordings.bodies(streams: true)
        #expect(!recordings.isEmpty)
        for (name, body) in recordings {
            for stripUsage in [false, true] {
                let whole = RelayRun([body[...]], stripUsage: stripUsage)
                let bytewise = RelayRun(body.indices.map { body[$0...$0] }, stripUsage: stripUsage)
                #expect(bytewise == whole, "\(name), byte by byte")
                for seed in 0..<20 {
                    let split = RelayRun(randomPieces(body, count: 8, seed: UInt64(seed)), stripUsage: stripUsage)
                    #expect(split == whole, "\(name), seed \(seed)")
                }
                guard whole.error == nil, !stripUsage else { continue }
                #expect(whole.output.starts(with: body) || body.starts(with: whole.output), "\(name)")
            }
        }
        print("\(recordings.count) recorded streams replayed")
    }

    @Test("Every recorded whole answer is read and written back the same")
    func wholes() throws {
        let recordings = try Recordings.bodies(streams: false)
        #expect(!recordings.isEmpty)
        for (name, body) in recordings {
            let tree = try JSON.parse(ByteBuffer(bytes: body))
            #expect(try JSON.parse(JSON.text(tree)) == tree, "\(name)")
            guard tree.object != nil else { continue }
            let scan = try JSONScan(ByteBuffer(bytes: body))
            #expect(try scan.members.map { try scan.value($0) } == tree.object?.members.map(\.value), "\(name)")
            #expect(Array(scan.applying([]).readableBytesView) == body, "\(name)")
        }
        print("\(recordings.count) recorded answers read")
    }
}
