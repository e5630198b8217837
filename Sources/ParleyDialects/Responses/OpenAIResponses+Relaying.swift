// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

extension OpenAIResponses: RelayingDialect {
    /// True: what upstreams send is what clients read.
    public var relaysAnswers: Bool { true }

    /// False: usage always comes, and nothing needs to be taken out.
    public var asksForUsage: Bool { false }

    /// The request with its top level changed; nil where it has something of our own making, or where an override
    /// concerns what looks different here.
    public func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer? {
        guard !ReasoningSeal.occurs(in: body) else { return nil }
        let scan = try Intake.scan(body, known: reading)
        var editor = ResponsesEditor(scan: scan)
        guard editor.apply(overrides) else { return nil }
        editor.set(model: model, stream: stream)
        for name in editor.dropped where !dropped.contains(name) { dropped.append(name) }
        return scan.applying(editor.edits)
    }

    /// A tap that passes events on as they are.
    public func makeStreamRelay(stripUsage: Bool) -> any StreamRelay { TappedRelay(ResponsesTap()) }

    /// Finds usage, status and errors in a whole answer.
    public func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation {
        let scan: JSONScan
        do {
            scan = try JSONScan(body.trimmed)
        } catch {
            throw ParleyError(.upstreamUnavailable, "the service sent JSON that is not whole")
        }
        guard scan.elements("output") != nil else {
            _ = try decodeWhole(body)
            throw ParleyError(.upstreamUnavailable, "the service sent JSON that is not a response")
        }
        let seen = ResponsesEnd(scan)
        if seen.status == "failed" { _ = try decodeWhole(body) }
        return seen.observation
    }
}

/// Gathers the edits of one request.
private struct ResponsesEditor {
    let scan: JSONScan
    private(set) var edits: [JSONEdit] = []
    private(set) var dropped: [String] = []

    init(scan: JSONScan) {
        self.scan = scan
    }

    mutating func set(model: String, stream: Bool) {
        if scan.member("model").flatMap({ scan.string($0) }) != model {
            edits.append(.set("model", json: JSON.text(.string(model))))
        }
        let current = scan.member("stream").flatMap { scan.bool($0) } ?? false
        if current != stream { edits.append(.set("stream", json: stream ? "true" : "false")) }
    }

    /// Sets configured fields, which are called as in Chat.
    ///
    /// - Returns: false where one has no simple equivalent.
    mutating func apply(_ overrides: [FieldOverride]) -> Bool {
        var forced: Set<String> = []
        for override in overrides where !["model", "stream", "stream_options", "messages"].contains(override.name) {
            let name = Self.names[override.name] ?? override.name
            if !override.force, forced.contains(name) { continue }
            switch override.name {
            case "tools", "tool_choice", "response_format", "functions", "function_call", "logprobs": return false
            case "reasoning_effort": nest("effort", in: "reasoning", override)
            case "verbosity": nest("verbosity", in: "text", override)
            case "stop", "n", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "top_k":
                if !dropped.contains(override.name) { dropped.append(override.name) }
            default:
                if override.force || !said(name) { edits.append(.set(name, json: override.json)) }
            }
            if override.force { forced.insert(name) }
        }
        return true
    }

    private static let names = ["max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"]

    private func said(_ name: String) -> Bool {
        guard let member = scan.member(name) else { return false }
        return !scan.isNull(member)
    }

    /// Sets a member of an object, with what this request or an earlier override has there.
    private mutating func nest(_ name: String, in outer: String, _ override: FieldOverride) {
        var object = JSONObject()
        var isSaid = false
        if let member = scan.member(outer), case .object(let given)? = try? scan.value(member) {
            object = given
            isSaid = given[name].map { !$0.isNull } ?? false
        }
        for case .set(outer, let json) in edits {
            if case .object(let given)? = try? JSON.parse(json) { object = given }
        }
        guard override.force || !isSaid, let value = try? JSON.parse(override.json) else { return }
        object[name] = value
        edits.append(.set(outer, json: JSON.text(.object(object))))
    }
}
