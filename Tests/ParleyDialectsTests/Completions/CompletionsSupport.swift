// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

/// An exchange on disk whose wire is not the chat's.
struct WireExchange: Sendable, CustomTestStringConvertible {
    var provider: String
    var name: String
    var path: String
    var request: JSONValue
    var status: Int
    var headers: HeaderBlock
    var kind: String
    var body: [UInt8]
    var expect: JSONValue?

    var testDescription: String { provider + "/" + name }
    var isError: Bool { status >= 400 }

    private init?(_ folder: URL, provider: String) {
        func json(_ name: String) -> JSONValue? {
            guard let data = try? Data(contentsOf: folder.appendingPathComponent(name)) else { return nil }
            return try? JSON.parse(ByteBuffer(bytes: data))
        }
        guard let request = json("request.json"), let head = json("response.headers.json"),
            let info = json("case.json"), let path = request["path"]?.string, let status = head["status"]?.int,
            let data = try? Data(contentsOf: folder.appendingPathComponent("response.body"))
        else { return nil }
        self.provider = provider
        name = folder.lastPathComponent
        self.path = path
        self.request = request["body"] ?? .null
        self.status = status
        let fields = head["headers"]?.object?.members.map { "\($0.key): \($0.value.string ?? "")\r\n" } ?? []
        headers = HeaderBlock(ByteBuffer(string: fields.joined()))
        kind = info["body_kind"]?.string ?? ""
        body = Array(data)
        expect = info["expect"]
    }

    /// The exchanges of our transcripts and, where there are any, of recorded traffic.
    static func all(where isIncluded: (WireExchange) -> Bool) -> [WireExchange] {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        var roots = [root.appendingPathComponent("Transcripts")]
        if let place = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] {
            roots.append(URL(fileURLWithPath: place))
        }
        let manager = FileManager.default
        var list: [WireExchange] = []
        for root in roots {
            for provider in ((try? manager.contentsOfDirectory(atPath: root.path)) ?? []).sorted() {
                let folder = root.appendingPathComponent(provider)
                for name in ((try? manager.contentsOfDirectory(atPath: folder.path)) ?? []).sorted() {
                    guard let exchange = WireExchange(folder.appendingPathComponent(name), provider: provider) else {
                        continue
                    }
                    if isIncluded(exchange) { list.append(exchange) }
                }
            }
        }
        return list
    }
}

/// Helpers of the suites on completions.
enum Completing {
    static func context(includeUsage: Bool = true, request: String? = nil) -> AnswerContext {
        var context = AnswerContext(id: "own", model: "asked", created: 99, includeUsage: includeUsage)
        context.request = request.map { ByteBuffer(string: $0) }
        return context
    }

    static func decode(_ pieces: [ArraySlice<UInt8>]) -> Decoded {
        var decoder = OpenAICompletions().makeStreamDecoder()
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

    static func encode(_ events: [Event], _ context: AnswerContext = context()) -> String {
        var encoder = OpenAICompletions().makeStreamEncoder(context)
        var out = ByteBuffer()
        for event in events { encoder.push(event, into: &out) }
        encoder.finish(into: &out)
        return String(buffer: out)
    }

    /// What a relay passes on of a stream given in pieces, and what it says of it.
    static func relayed(
        _ pieces: [ArraySlice<UInt8>], stripUsage: Bool = false
    ) -> (output: String, observed: Observation, failure: ParleyError?) {
        let relay = OpenAICompletions(quirks: Quirks()).makeStreamRelay(stripUsage: stripUsage)
        var out = ByteBuffer()
        do throws(ParleyError) {
            for piece in pieces { try relay.push(ByteBuffer(bytes: piece), into: &out) }
            try relay.finish(into: &out)
        } catch {
            return (String(buffer: out), relay.observed, error)
        }
        return (String(buffer: out), relay.observed, nil)
    }

    static func fault(_ body: String) -> ParleyError? {
        do throws(ParleyError) {
            _ = try OpenAICompletions().decodeRequest(ByteBuffer(string: body))
            return nil
        } catch {
            return error
        }
    }

    static func translationFault(_ body: String) throws -> ParleyError? {
        var request = try OpenAICompletions().decodeRequest(ByteBuffer(string: body))
        do throws(ParleyError) {
            try OpenAICompletions().prepareForTranslation(&request)
            return nil
        } catch {
            return error
        }
    }
}
