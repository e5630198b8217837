// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Replaying completions")
struct CompletionsReplayTests {
    static let exchanges = WireExchange.all { $0.provider == "openai-completions" && $0.path.hasSuffix("/completions") }
    static let streams = exchanges.filter { $0.kind == "sse" }

    private func answer(_ exchange: WireExchange) -> Decoded {
        if exchange.isError {
            return Decoded(
                failure: OpenAICompletions().decodeFailure(
                    status: exchange.status, headers: exchange.headers, body: ByteBuffer(bytes: exchange.body)))
        }
        if exchange.kind == "sse" { return Completing.decode([exchange.body[...]]) }
        var result = Decoded()
        do throws(ParleyError) {
            let response = try OpenAICompletions().decodeWhole(ByteBuffer(bytes: exchange.body))
            result.events = EventReplay.events(of: response)
        } catch {
            result.failure = error
        }
        return result
    }

    @Test("There is something to replay")
    func count() {
        #expect(Self.exchanges.count >= 18)
        print("completions: \(Self.exchanges.count) exchanges replayed")
    }

    @Test("An answer comes to what is expected of it", arguments: exchanges)
    func expected(_ exchange: WireExchange) throws {
        let decoded = answer(exchange)
        guard let expect = exchange.expect else {
            #expect(decoded.failure == nil)
            #expect(decoded.response.choices.first?.message.text.isEmpty == false)
            return
        }
        if let error = expect["error"] {
            let failure = try #require(decoded.failure)
            let envelope = try JSON.parse(OpenAICompletions().encodeFailure(failure))["error"]
            if let status = error["status"]?.int { #expect(failure.httpStatus == status) }
            if let type = error["type"] { #expect(envelope?["type"] == type) }
            if let code = error["code"] { #expect(envelope?["code"] == code) }
        } else {
            #expect(decoded.failure == nil)
        }
        let choices = decoded.response.choices
        if let text = expect["text"]?.string { #expect(choices.first?.message.text ?? "" == text) }
        if let texts = expect["texts"]?.array {
            #expect(choices.map(\.message.text) == texts.compactMap(\.string))
        }
        if let finish = expect["finish"]?.string { #expect(choices.first?.finish?.rawValue == finish) }
        let usage = decoded.response.usage
        if let count = expect["usage"]?["prompt"]?.int { #expect(usage.input == count) }
        if let count = expect["usage"]?["completion"]?.int { #expect(usage.output == count) }
        if let count = expect["usage"]?["total"]?.int { #expect(usage.total == count) }
    }

    @Test("A stream gives the same in any pieces, and again after it was written", arguments: streams)
    func splits(_ exchange: WireExchange) {
        let bytes = exchange.body
        let whole = Completing.decode([bytes[...]])
        #expect(Completing.decode(bytes.indices.map { bytes[$0...$0] }) == whole)
        for seed in 0..<20 as Range<UInt64> {
            #expect(Completing.decode(pieces(of: bytes, seed: seed)) == whole, "seed \(seed)")
        }
        guard whole.failure == nil else { return }
        let again = Completing.decode([ArraySlice(Completing.encode(whole.events).utf8)])
        #expect(again.failure == nil && again.response == whole.response)
    }

    @Test("A relayed stream is byte-exact in any pieces and gets its terminator", arguments: streams)
    func relays(_ exchange: WireExchange) {
        let bytes = exchange.body
        let whole = Completing.relayed([bytes[...]])
        let decoded = Completing.decode([bytes[...]])
        #expect((whole.failure == nil) == (decoded.failure == nil))
        let text = String(decoding: bytes, as: UTF8.self)
        if whole.failure == nil {
            let done = "data: [DONE]\n\n"
            #expect(whole.output == (text.hasSuffix(done) ? text : text + done))
            #expect(whole.observed.isComplete && whole.observed.isMeaningful)
            #expect(whole.observed.usage == decoded.response.usage)
        } else {
            #expect(text.hasPrefix(whole.output) && !whole.output.contains("error"))
        }
        let bytewise = Completing.relayed(bytes.indices.map { bytes[$0...$0] })
        #expect(bytewise.output == whole.output && bytewise.failure == whole.failure)
        for seed in 0..<20 as Range<UInt64> {
            let split = Completing.relayed(pieces(of: bytes, seed: seed))
            #expect(split.output == whole.output && split.observed == whole.observed, "seed \(seed)")
        }
    }

    @Test("A whole answer written and read again is the same", arguments: exchanges.filter { $0.kind == "json" })
    func wholes(_ exchange: WireExchange) throws {
        guard !exchange.isError else { return }
        let response = try OpenAICompletions().decodeWhole(ByteBuffer(bytes: exchange.body))
        let written = OpenAICompletions(quirks: Quirks()).encodeWhole(response, Completing.context())
        #expect(try OpenAICompletions().decodeWhole(written) == response)
        #expect(try OpenAICompletions().inspectWhole(ByteBuffer(bytes: exchange.body)).usage == response.usage)
        // The very shape of the vendor, but for offsets, which are counted anew.
        guard !exchange.testDescription.contains("logprobs") else { return }
        #expect(same(try JSON.parse(written), try JSON.parse(ByteBuffer(bytes: exchange.body))))
    }

    @Test("A request read and written is the same", arguments: exchanges)
    func requests(_ exchange: WireExchange) throws {
        let body = ByteBuffer(string: JSON.text(exchange.request))
        let request = try OpenAICompletions().decodeRequest(body)
        var dropped: [String] = []
        var quirks = Quirks()
        quirks.streamOptions = exchange.request["stream_options"] != nil
        let written = try OpenAICompletions(quirks: quirks).encodeRequest(request, dropped: &dropped)
        #expect(same(try JSON.parse(written), exchange.request))
        #expect(dropped.isEmpty)
    }
}
