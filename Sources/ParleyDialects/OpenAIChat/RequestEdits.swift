// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
public import ParleyWire

extension OpenAIChat {
    /// The changes to a request that is passed on as it came: model, stream, overrides and what the vendor's quirks
    /// need at the top level. Quirks deeper down need `Quirks.rewritesRequests`.
    ///
    /// - Parameters:
    ///   - model: the model's name at the upstream.
    ///   - stream: whether the upstream is to stream, whatever the client asked for.
    ///   - overrides: weakest first. A forced one beats a default; within each class the later wins. The two fields
    ///     for the answer's length count as one.
    ///   - dropped: gains the client's fields that are left out and that do not matter.
    /// - Throws: `invalid` where the vendor cannot do what is asked.
    public func requestEdits(
        scan: JSONScan, model: String, stream: Bool, overrides: [FieldOverride], dropped: inout [String]
    ) throws(ParleyError) -> [JSONEdit] {
        var editor = RequestEditor(quirks: quirks, scan: scan)
        editor.setModel(model)
        editor.setStream(stream)
        editor.applyOverrides(overrides)
        editor.fixLength()
        editor.dropFields()
        editor.renameFields()
        try editor.checkChoices(overrides)
        for name in editor.dropped where !dropped.contains(name) { dropped.append(name) }
        return editor.edits
    }
}

extension OpenAIChat {
    /// A request with the changes of `requestEdits` made.
    ///
    /// - Throws: `invalid` where the vendor cannot do what is asked.
    public func edited(
        scan: JSONScan, model: String, stream: Bool, overrides: [FieldOverride], dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        if overrides.isEmpty, !quirks.changesFields, let plan = PlainEdit(scan, streams: stream),
            let asksForUsage = plan.asksForUsage(quirks)
        {
            return plan.written(scan, model: model, asksForUsage: asksForUsage)
        }
        return scan.applying(
            try requestEdits(scan: scan, model: model, stream: stream, overrides: overrides, dropped: &dropped))
    }
}

extension Quirks {
    /// Whether top-level fields other than the model and the stream's may have to change.
    fileprivate var changesFields: Bool {
        lengthField != .asSent || singleChoice || refusesUnknownFields || requiredToolChoice != nil
            || !droppedFields.isEmpty || !renamedFields.isEmpty
    }
}

/// What nearly every request needs: another model name, and a stream the question for its usage. Found in one pass over
/// the members and written without a list of edits.
private struct PlainEdit {
    private var model: Range<Int>?
    private var hasOptions = false
    private var asksAlready = false
    private let end: Int
    private let streams: Bool

    /// Nil where more than that must change, or where a key comes twice or is written with escapes.
    init?(_ scan: JSONScan, streams: Bool) {
        guard let last = scan.members.last else { return nil }
        end = last.value.upperBound
        self.streams = streams
        var stream: Bool?
        let isPlain = scan.bytes.withUnsafeReadableBytes { raw in
            let text = JSONText(raw)
            for member in scan.members {
                if member.hasEscapes { return false }
                if member.isNamed("model", in: text) {
                    guard model == nil else { return false }
                    model = member.value
                } else if member.isNamed("stream", in: text) {
                    guard stream == nil else { return false }
                    stream = text.first(member.value) == UInt8(ascii: "t")
                } else if member.isNamed("stream_options", in: text) {
                    guard !hasOptions else { return false }
                    hasOptions = true
                    asksAlready = text.isUsageQuestion(member.value)
                }
            }
            return true
        }
        guard isPlain, model != nil, (stream ?? false) == streams else { return nil }
    }

    /// Whether the question for usage must be added; nil where the stream's options must change.
    func asksForUsage(_ quirks: Quirks) -> Bool? {
        guard streams, quirks.streamOptions else { return hasOptions ? nil : false }
        if hasOptions { return asksAlready ? false : nil }
        return true
    }

    func written(_ scan: JSONScan, model name: String, asksForUsage: Bool) -> ByteBuffer {
        guard let model else { return scan.bytes }
        return scan.bytes.withUnsafeReadableBytes { raw in
            guard end <= raw.count else { return scan.bytes }
            if !asksForUsage, JSONText(raw).string(model) == name { return scan.bytes }
            var out = ByteBufferAllocator().buffer(capacity: raw.count + name.utf8.count + 48)
            out.writeBytes(UnsafeRawBufferPointer(rebasing: raw[..<model.lowerBound]))
            out.writeJSONString(name)
            out.writeBytes(UnsafeRawBufferPointer(rebasing: raw[model.upperBound..<end]))
            if asksForUsage { out.writeStaticString(#","stream_options":{"include_usage":true}"#) }
            out.writeBytes(UnsafeRawBufferPointer(rebasing: raw[end...]))
            return out
        }
    }
}

extension JSONText {
    /// Whether a value is an object that asks for usage and nothing else, written as clients do.
    fileprivate func isUsageQuestion(_ value: Range<Int>) -> Bool {
        let text = UnsafeRawBufferPointer(rebasing: bytes[value])
        return text.elementsEqual(#"{"include_usage":true}"#.utf8)
            || text.elementsEqual(#"{"include_usage": true}"#.utf8)
    }
}

/// Gathers the edits of one request.
private struct RequestEditor {
    let quirks: Quirks
    let scan: JSONScan
    var edits: [JSONEdit] = []
    var dropped: [String] = []
    /// Fields that configuration set, by the names they are set under.
    private var configured: Set<String> = []

    private static let lengthFields = ["max_completion_tokens", "max_tokens"]

    init(quirks: Quirks, scan: JSONScan) {
        self.quirks = quirks
        self.scan = scan
    }

    /// Whether the client said something in this field.
    private func said(_ name: String) -> Bool {
        guard let member = scan.member(name) else { return false }
        return !scan.isNull(member)
    }

    private func text(_ member: JSONMember) -> String {
        guard let slice = scan.slice(member) else { return "null" }
        return String(buffer: slice)
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
        let current = scan.bool(named: "stream")
        if (current ?? false) != stream { edits.append(.set("stream", json: stream ? "true" : "false")) }
        let options = scan.member(named: "stream_options")
        guard stream, quirks.streamOptions else {
            // OpenAI refuses the field where nothing is streamed.
            if options != nil { edits.append(.remove("stream_options")) }
            return
        }
        guard let options, case .object(var object)? = try? scan.value(options), !object.isEmpty else {
            edits.append(.set("stream_options", json: #"{"include_usage":true}"#))
            return
        }
        if object["include_usage"] == .bool(true) { return }
        object["include_usage"] = true
        edits.append(.set("stream_options", json: JSON.text(.object(object))))
    }

    mutating func applyOverrides(_ overrides: [FieldOverride]) {
        var winners: [FieldOverride] = []
        for override in overrides where !["model", "stream", "stream_options"].contains(override.name) {
            let family = Self.family(override.name)
            if let index = winners.firstIndex(where: { Self.family($0.name) == family }) {
                if override.force || !winners[index].force { winners[index] = override }
            } else {
                winners.append(override)
            }
        }
        for override in winners {
            let name = wireName(override.name)
            let aliases = Self.family(override.name) == "max_tokens" ? Self.lengthFields : [override.name]
            let names = aliases.contains(name) ? aliases : aliases + [name]
            if !override.force, names.contains(where: said) { continue }
            if quirks.droppedFields.contains(override.name) { continue }
            for other in names where other != name && scan.member(other) != nil { edits.append(.remove(other)) }
            edits.append(.set(name, json: override.json))
            configured.formUnion(names)
        }
    }

    /// Fields that say the same under two names.
    private static func family(_ name: String) -> String {
        lengthFields.contains(name) ? "max_tokens" : name
    }

    private func wireName(_ name: String) -> String {
        let name: String =
            switch quirks.lengthField {
            case .maxTokens where name == "max_completion_tokens": "max_tokens"
            case .maxCompletionTokens where name == "max_tokens": "max_completion_tokens"
            default: name
            }
        return quirks.renamedFields[name] ?? name
    }

    /// Leaves one field for the answer's length, the one the vendor knows.
    mutating func fixLength() {
        guard quirks.lengthField != .asSent, configured.isDisjoint(with: Self.lengthFields) else { return }
        let isLegacy = quirks.lengthField == .maxTokens
        let wanted = isLegacy ? "max_tokens" : "max_completion_tokens"
        let other = isLegacy ? "max_completion_tokens" : "max_tokens"
        guard let member = scan.member(other) else { return }
        // Where both say something, `max_completion_tokens` is what the client means.
        if !scan.isNull(member), isLegacy || !said(wanted) { edits.append(.set(wanted, json: text(member))) }
        edits.append(.remove(other))
    }

    mutating func dropFields() {
        for name in quirks.droppedFields.sorted() where scan.member(name) != nil {
            edits.append(.remove(name))
            if said(name) { dropped.append(name) }
        }
        guard quirks.refusesUnknownFields else { return }
        for member in scan.members {
            let name = scan.name(member)
            if ChatField.documented.contains(name) || quirks.knownFields.contains(name) { continue }
            if configured.contains(name) || dropped.contains(name) { continue }
            edits.append(.remove(name))
            dropped.append(name)
        }
    }

    mutating func renameFields() {
        for (name, new) in quirks.renamedFields.sorted(by: { $0.key < $1.key }) {
            if scan.member(name) != nil, !configured.contains(name) { edits.append(.rename(name, to: new)) }
        }
        if let word = quirks.requiredToolChoice, !configured.contains("tool_choice"),
            let choice = scan.member(named: "tool_choice"), scan.string(choice) == "required"
        {
            edits.append(.set("tool_choice", json: JSON.text(.string(word))))
        }
    }

    /// Refuses more than one choice where the vendor gives only one; configuration may have set `n` itself.
    func checkChoices(_ overrides: [FieldOverride]) throws(ParleyError) {
        guard quirks.singleChoice, !configured.contains("n"), let member = scan.member(named: "n") else { return }
        if let n = try? scan.value(member).int, n > 1 { throw ChatRequestEncoder.singleChoiceOnly }
    }
}
