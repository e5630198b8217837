// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

/// Exchanges of Responses on disk.
private enum ResponsesExchanges {
    static let transcripts: [Exchange] = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return below(root.appendingPathComponent("Transcripts"))
    }()

    static let recordings: [Exchange] = {
        guard let root = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] else { return [] }
        return below(URL(fileURLWithPath: root))
    }()

    private static func below(_ root: URL) -> [Exchange] {
        let manager = FileManager.default
        var list: [Exchange] = []
        for provider in ((try? manager.contentsOfDirectory(atPath: root.path)) ?? []).sorted() {
            let folder = root.appendingPathComponent(provider)
            for name in ((try? manager.contentsOfDirectory(atPath: folder.path)) ?? []).sorted() {
                guard let exchange = Exchange(folder.appendingPathComponent(name), provider: provider),
                    (exchange.path.split(separator: "?").first ?? "").hasSuffix("/responses")
                else { continue }
                list.append(exchange)
            }
        }
        return list
    }

    /// What an answer came to.
    static func answer(_ exchange: Exchange) -> Decoded {
        let body = ByteBuffer(bytes: exchange.body)
        if exchange.status >= 400 {
            return Decoded(
                failure: Responses.dialect.decodeFailure(
                    status: exchange.status, headers: HeaderBlock(), body: body))
        }
        if exchange.kind == "sse" { return Responses.decode([exchange.body[...]]) }
        var result = Decoded()
        do throws(ParleyError) {
            result.events = EventReplay.events(of: try Responses.dialect.decodeWhole(body))
            result.isComplete = true
        } catch {
            result.failure = error
        }
        return result
    }

    /// A context in which nothing of an answer is left out.
    static let context = ResponsesPropertyTests.asking

    static func checkSplits(_ exchange: Exchange) {
        let bytes = exchange.body
        let whole = Responses.decode([bytes[...]])
        #expect(Responses.decode(bytes.indices.map { bytes[$0...$0] }) == whole)
        for seed in 0..<20 as Range<UInt64> {
            #expect(Responses.decode(pieces(of: bytes, seed: seed)) == whole, "seed \(seed)")
        }
        guard whole.failure == nil else { return }
        let again = Responses.decode(Responses.encode(whole.events, context))
        #expect(again.failure == nil)
        #expect(
            ResponsesPropertyTests.answer(again).choices == ResponsesPropertyTests.answer(whole).choices)
        #expect(again.response.usage.output == whole.response.usage.output)
    }

    /// Relays a stream byte by byte; what is passed on is what came.
    static func checkRelay(_ exchange: Exchange) {
        for size in [1, 7, exchange.body.count] {
            let relay = Responses.dialect.makeStreamRelay(stripUsage: false)
            var out = ByteBuffer()
            var failure: ParleyError?
            do throws(ParleyError) {
                for start in stride(from: 0, to: exchange.body.count, by: size) {
                    let piece = exchange.body[start..<min(start + size, exchange.body.count)]
                    try relay.push(ByteBuffer(bytes: piece), into: &out)
                }
                try relay.finish(into: &out)
            } catch {
                failure = error
            }
            let decoded = Responses.decode([exchange.body[...]])
            #expect(exchange.body.starts(with: out.readableBytesView))
            guard decoded.failure == nil else {
                #expect(failure != nil || relay.observed.finish == "error" || relay.observed.finish == "failed")
                continue
            }
            #expect(failure == nil && relay.isComplete && relay.isMeaningful)
            #expect(relay.observed.usage == decoded.response.usage)
            var capture = ResponseCapture()
            capture.note(out)
            #expect(capture.response.flatMap { try? JSON.parse($0) }?["object"] == "response")
        }
    }
}

@Suite("Replaying our transcripts of Responses")
struct ResponsesTranscriptTests {
    @Test("There are transcripts")
    func count() { #expect(ResponsesExchanges.transcripts.count >= 15) }

    @Test("An answer comes to what its transcript expects", arguments: ResponsesExchanges.transcripts)
    func expected(_ exchange: Exchange) throws {
        guard let expect = exchange.expect else { return }
        let decoded = ResponsesExchanges.answer(exchange)
        if let error = expect["error"] {
            let failure = try #require(decoded.failure)
            let envelope = try JSON.parse(Responses.dialect.encodeFailure(failure))["error"]
            if let status = error["status"]?.int { #expect(failure.httpStatus == status) }
            if let type = error["type"] { #expect(envelope?["type"] == type) }
            if let code = error["code"] { #expect(envelope?["code"] == code) }
        } else {
            #expect(decoded.failure == nil)
        }
        let choice = decoded.response.choices.first
        if let text = expect["text"]?.string { #expect(choice?.message.text == text) }
        if let refusal = expect["refusal"]?.string { #expect(choice?.message.refusal == refusal) }
        if let reasoning = expect["reasoning"]?.string {
            #expect(choice?.message.reasoning.map(\.text).joined() == reasoning)
        }
        if let finish = expect["finish"]?.string { #expect(choice?.finish?.rawValue == finish) }
        if let calls = expect["tool_calls"]?.array {
            #expect(choice?.message.toolCalls.map(\.name) == calls.map { $0["name"]?.string ?? "" })
            #expect(choice?.message.toolCalls.map(\.arguments) == calls.map { $0["arguments"]?.string ?? "" })
        }
        let usage = decoded.response.usage
        if let count = expect["usage"]?["prompt"]?.int { #expect(usage.input == count) }
        if let count = expect["usage"]?["completion"]?.int { #expect(usage.output == count) }
        if let count = expect["usage"]?["cached"]?.int { #expect(usage.cacheRead == count) }
        if let count = expect["usage"]?["reasoning"]?.int { #expect(usage.reasoning == count) }
    }

    @Test(
        "A stream gives the same in any pieces, and passes a relay as it came",
        arguments: ResponsesExchanges.transcripts.filter { $0.kind == "sse" })
    func splits(_ exchange: Exchange) {
        ResponsesExchanges.checkSplits(exchange)
        ResponsesExchanges.checkRelay(exchange)
    }
}

@Suite("Replaying recorded Responses")
struct ResponsesRecordingTests {
    @Test("How many recordings there are is said")
    func count() {
        let isSet = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] != nil
        print("OpenAI Responses: \(ResponsesExchanges.recordings.count) recordings replayed")
        #expect(ResponsesExchanges.recordings.isEmpty == !isSet)
    }

    @Test(
        "A recorded request is read and written the same",
        arguments: ResponsesExchanges.recordings.filter { $0.request?.object != nil })
    func requests(_ exchange: Exchange) throws {
        guard let body = exchange.request else { return }
        let written = try Responses.written(try Responses.request(JSON.text(body)))
        #expect(same(Self.normalised(written), Self.normalised(body)), "\(JSON.text(written))")
    }

    /// Null fields and `stream: false` are fields not said.
    private static func normalised(_ value: JSONValue) -> JSONValue {
        guard case .object(var object) = value else { return value }
        object.members.removeAll { $0.value.isNull }
        if object["stream"] == false { object["stream"] = nil }
        return .object(object)
    }

    @Test("A recorded answer has content, a finish reason and usage", arguments: ResponsesExchanges.recordings)
    func answers(_ exchange: Exchange) throws {
        let decoded = ResponsesExchanges.answer(exchange)
        if exchange.status >= 400 {
            let failure = try #require(decoded.failure)
            #expect(!failure.message.isEmpty && failure.httpStatus >= 400)
            return
        }
        #expect(decoded.failure == nil)
        let response = decoded.response
        let message = try #require(response.choices.first?.message)
        #expect(response.choices.first?.finish != nil)
        #expect(!message.text.isEmpty || !message.toolCalls.isEmpty || !message.extras.fields.isEmpty)
        #expect((response.usage.input ?? 0) > 0 && response.usage.output != nil)
        let written = Responses.dialect.encodeWhole(response, ResponsesExchanges.context)
        let again = try Responses.dialect.decodeWhole(written)
        #expect(again.choices.map(\.message.text) == response.choices.map(\.message.text))
        #expect(again.choices.map(\.message.toolCalls) == response.choices.map(\.message.toolCalls))
        if exchange.kind == "json" {
            let observed = try Responses.dialect.inspectWhole(ByteBuffer(bytes: exchange.body))
            #expect(observed.isComplete && observed.usage == response.usage)
        }
    }

    @Test(
        "A recorded stream gives the same in any pieces, and passes a relay as it came",
        arguments: ResponsesExchanges.recordings.filter { $0.kind == "sse" })
    func splits(_ exchange: Exchange) {
        ResponsesExchanges.checkSplits(exchange)
        ResponsesExchanges.checkRelay(exchange)
    }
}
