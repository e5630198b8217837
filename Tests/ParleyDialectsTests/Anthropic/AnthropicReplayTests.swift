// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

/// Exchanges with Anthropic on disk.
private enum Exchanges {
    static func all(below root: URL) -> [Exchange] {
        let folder = root.appendingPathComponent("anthropic")
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        return names.compactMap { Exchange(folder.appendingPathComponent($0), provider: "anthropic") }
    }

    static let written: [Exchange] = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return all(below: root.appendingPathComponent("Transcripts"))
    }()

    static let recorded: [Exchange] = {
        guard let root = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] else { return [] }
        return all(below: URL(fileURLWithPath: root))
    }()

    static let all = written + recorded
    static let streams = all.filter { $0.kind == "sse" }
    static let wholes = all.filter { $0.kind == "json" && $0.status == 200 && !$0.path.contains("count_tokens") }
    static let requests = all.filter { $0.request?["messages"] != nil }

    /// A broken stream with parts of two answers in it, spliced.
    static func isSpliced(_ exchange: Exchange) -> Bool {
        exchange.folder.lastPathComponent == "stream-tool-call-thinking-0de2"
    }
}

@Suite("Replaying exchanges with Anthropic")
struct AnthropicReplayTests {
    @Test("There are transcripts, and recordings where the environment says so")
    func count() {
        #expect(Exchanges.written.count >= 15)
        let isSet = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] != nil
        #expect(Exchanges.recorded.isEmpty == !isSet)
        print("Anthropic: \(Exchanges.recorded.count) recordings replayed")
    }

    @Test("A stream gives the same in any pieces, and again after it was written anew", arguments: Exchanges.streams)
    func streams(_ exchange: Exchange) {
        let bytes = exchange.body
        let whole = Messages.decode([bytes[...]])
        #expect(Messages.decode(bytes.indices.map { bytes[$0...$0] }) == whole)
        for seed in 0..<20 as Range<UInt64> {
            #expect(Messages.decode(pieces(of: bytes, seed: seed)) == whole, "seed \(seed)")
        }
        guard whole.failure == nil else { return }
        let again = Messages.decode(Messages.encode(whole.events))
        #expect(again.failure == nil && again.response == whole.response)
        #expect(again.response.choices.first?.finish != nil)
    }

    @Test("A relayed stream is passed on byte for byte, and seen as a decoder sees it", arguments: Exchanges.streams)
    func relays(_ exchange: Exchange) {
        let bytes = exchange.body
        let decoded = Messages.decode([bytes[...]])
        for splits in [[bytes[...]], bytes.indices.map { bytes[$0...$0] }, pieces(of: bytes, seed: 3)] {
            let relayed = Messages.relay(splits)
            #expect(relayed.error == decoded.failure)
            #expect(relayed.observed.usage == decoded.response.usage)
            #expect(relayed.observed.isComplete == decoded.isComplete)
            guard decoded.failure == nil else { continue }
            #expect(bytes.starts(with: relayed.output) && relayed.output.count + 2 >= bytes.count)
            #expect(relayed.observed.isMeaningful && relayed.observed.finish != nil)
        }
    }

    @Test("A whole answer is read, inspected, and the same after it was written anew", arguments: Exchanges.wholes)
    func wholes(_ exchange: Exchange) throws {
        let body = ByteBuffer(bytes: exchange.body)
        let response = try Messages.dialect.decodeWhole(body)
        let seen = try Messages.dialect.inspectWhole(body)
        #expect(seen.usage == response.usage && seen.finish != nil && seen.isComplete)
        let written = Messages.dialect.encodeWhole(response, Messages.context)
        #expect(try Messages.dialect.decodeWhole(written) == response)
        // The blocks are as they came, in their order.
        let given = try JSON.parse(body.trimmed)["content"]?.array ?? []
        let types = try JSON.parse(written)["content"]?.array?.map { $0["type"] }
        #expect(types == given.filter { $0["text"]?.string != "" }.map { $0["type"] })
    }

    @Test("A refusal of the service is an error that says why", arguments: Exchanges.all.filter { $0.status >= 400 })
    func errors(_ exchange: Exchange) throws {
        let error = Messages.dialect.decodeFailure(
            status: exchange.status, headers: HeaderBlock(), body: ByteBuffer(bytes: exchange.body))
        #expect(error.httpStatus >= 400 && !error.message.isEmpty)
        let isKept = exchange.status < 500 || exchange.status == 529
        if isKept, let own = try? JSON.parse(ByteBuffer(bytes: exchange.body)) {
            let envelope = try JSON.parse(Messages.dialect.encodeFailure(error))
            let type = own["error"]?["type"]?.string
            #expect(envelope["error"]?["type"]?.string == type || error.kind == .quota)
        }
    }

    @Test("A request is read and written the same, within what is normalised", arguments: Exchanges.requests)
    func requests(_ exchange: Exchange) throws {
        guard let body = exchange.request else { return }
        let text = ByteBuffer(string: JSON.text(body))
        let isCount = exchange.path.contains("count_tokens")
        let dialect = Messages.dialect
        let request = try isCount ? dialect.decodeCountRequest(text) : dialect.decodeRequest(text)
        var dropped: [String] = []
        let bytes =
            try isCount
            ? dialect.encodeCountRequest(request, dropped: &dropped)
            : dialect.encodeRequest(request, dropped: &dropped)
        let written = try JSON.parse(bytes)
        #expect(same(NormalisedMessages.request(written), NormalisedMessages.request(body)))
        #expect(dropped.isEmpty)
        let again = try isCount ? dialect.decodeCountRequest(bytes) : dialect.decodeRequest(bytes)
        #expect(again == request)
    }

    @Test("A request is spliced by its top level only", arguments: Exchanges.requests)
    func splices(_ exchange: Exchange) throws {
        guard let body = exchange.request else { return }
        let text = ByteBuffer(string: JSON.text(body))
        var dropped: [String] = []
        let spliced = try Messages.dialect.splice(
            text, reading: nil, model: "other", stream: false, overrides: [], dropped: &dropped)
        var expected = body.object ?? [:]
        expected["model"] = "other"
        if expected["stream"]?.bool == true { expected["stream"] = false }
        #expect(try spliced.map { try JSON.parse($0) } == .object(expected))
    }
}

/// What reading and writing makes the same.
enum NormalisedMessages {
    /// A null field and `stream: false` are fields not said, text in one block is plain text, `output_format` is
    /// `output_config.format`, and a cache mark of a result's last block is the result's.
    static func request(_ value: JSONValue) -> JSONValue {
        guard case .object(var object) = value else { return value }
        object.members.removeAll { $0.value.isNull }
        if object["stream"] == .bool(false) { object["stream"] = nil }
        if let format = object.remove("output_format") { object["output_config"] = ["format": format] }
        object["messages"] = .array(
            (object["messages"]?.array ?? []).map { message in
                guard case .object(var fields) = message else { return message }
                fields["content"] = content(fields["content"])
                return .object(fields)
            })
        return .object(object)
    }

    private static func content(_ value: JSONValue?) -> JSONValue? {
        guard let list = value?.array else { return value }
        return .array(
            list.map { block in
                guard case .object(var fields) = block else { return block }
                fields.members.removeAll { $0.value.isNull }
                if fields["type"] == "tool_result" { fields["content"] = content(fields["content"]) }
                return .object(fields)
            })
    }
}
