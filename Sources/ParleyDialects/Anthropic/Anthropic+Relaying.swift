// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

extension Anthropic: RelayingDialect {
    /// Answers are passed on as they are.
    public var relaysAnswers: Bool { true }

    /// A stream always ends with its usage; nobody asks for it.
    public var asksForUsage: Bool { false }

    /// The request with its top level changed; nil where configuration sets a field that has another form here.
    public func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer? {
        let scan = try Intake.scan(body, known: reading)
        var splice = AnthropicSplice(scan)
        splice.setModel(model)
        splice.setStream(stream)
        guard splice.apply(overrides) else { return nil }
        return splice.edits.isEmpty ? body : scan.applying(splice.edits)
    }

    /// A tap that passes events on as they are.
    public func makeStreamRelay(stripUsage: Bool) -> any StreamRelay { TappedRelay(AnthropicTap()) }

    /// Finds usage, stop reason and errors in a whole answer.
    public func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation {
        let scan: JSONScan
        do {
            scan = try JSONScan(body.trimmed)
        } catch {
            throw ParleyError(
                .upstreamUnavailable, "The upstream sent JSON that is not whole (at byte \(error.offset)).")
        }
        if scan.member(named: "error").map({ !scan.isNull($0) }) == true
            || scan.member(named: "type").flatMap({ scan.string($0) }) == "error"
        {
            throw AnthropicFailure.inStream(body)
        }
        guard scan.elements("content") != nil else {
            throw ParleyError(.upstreamUnavailable, "The upstream sent JSON that is not a message.")
        }
        var observed = Observation()
        var usage = AnthropicUsage()
        if let object = scan.object("usage") { usage.merge(object) }
        observed.usage = usage.neutral
        observed.finish = scan.string(named: "stop_reason")
        observed.isMeaningful = true
        observed.isComplete = true
        return observed
    }
}

/// Gathers the edits of one request.
struct AnthropicSplice {
    private let scan: JSONScan
    private(set) var edits: [JSONEdit] = []

    init(_ scan: JSONScan) {
        self.scan = scan
    }

    mutating func setModel(_ model: String) {
        if let member = scan.member(named: "model"), scan.string(member) == model,
            scan.members.count(where: { scan.name($0) == "model" }) == 1
        {
            return
        }
        edits.append(.set("model", json: JSON.text(.string(model))))
    }

    mutating func setStream(_ stream: Bool) {
        let current = scan.bool(named: "stream") ?? false
        if current != stream { edits.append(.set("stream", json: stream ? "true" : "false")) }
    }

    /// Applies what configuration sets, weakest first: a forced value beats a default, within each class the later wins.
    ///
    /// - Returns: whether every field has an equivalent here.
    mutating func apply(_ overrides: [FieldOverride]) -> Bool {
        var winners: [(name: String, json: String, force: Bool)] = []
        for override in overrides where !["model", "stream", "stream_options"].contains(override.name) {
            guard let (name, json) = Self.translated(override) else { return false }
            if let index = winners.firstIndex(where: { $0.name == name }) {
                if override.force || !winners[index].force { winners[index] = (name, json, override.force) }
            } else {
                winners.append((name, json, override.force))
            }
        }
        for winner in winners where winner.force || !isSaid(winner.name) {
            edits.append(.set(winner.name, json: winner.json))
        }
        return true
    }

    private func isSaid(_ name: String) -> Bool {
        guard let member = scan.member(name) else { return false }
        return !scan.isNull(member)
    }

    /// The field as Anthropic calls it; nil where it has another form there.
    private static func translated(_ override: FieldOverride) -> (String, String)? {
        switch override.name {
        case "max_tokens", "max_completion_tokens": return ("max_tokens", override.json)
        case "temperature":
            guard let value = try? JSON.parse(override.json), let number = value.double else { return nil }
            return (override.name, number > 1 ? "1" : override.json)
        // Anthropic's own, which no other dialect has.
        case "top_p", "top_k", "stop_sequences", "thinking", "output_config", "container", "context_management",
            "mcp_servers", "inference_geo", "speed", "cache_control":
            return (override.name, override.json)
        case "stop":
            guard let value = try? JSON.parse(override.json) else { return nil }
            return ("stop_sequences", value.string == nil ? override.json : "[\(override.json)]")
        default: return nil
        }
    }
}
