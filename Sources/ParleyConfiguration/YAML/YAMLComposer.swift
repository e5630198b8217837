// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

// The scanner inside Yams is used directly. Yams's own composer stops at the first repeated key, compares whole
// subtrees that are used as keys (which aliases can make enormous) and recurses without a bound of its own; a
// configuration file wants every fault reported, with its position, and no input that takes the process down.
import CYaml

/// Builds a tree of ``YAMLNode`` from one document and reports everything that is wrong with its shape.
struct YAMLComposer {
    /// Deepest nesting; the deepest sensible configuration has seven levels.
    static let deepest = 64
    /// Most values, with aliases counted in full.
    static let heaviest = 100_000

    /// A fault that leaves nothing to go on with.
    private struct Stop: Error {
        var mark: Mark
        var message: String
    }

    private let source: SourceText
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private var anchors: [String: YAMLNode] = [:]
    private var total = 0
    private var faults: [(Mark, String)] = []

    /// The document's value (nil when there is none) and the faults found, in the order they were met.
    static func compose(_ source: SourceText) -> (root: YAMLNode?, faults: [(Mark, String)]) {
        source.bytes.withUnsafeBufferPointer { buffer in
            let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
            defer { parser.deallocate() }
            parser.initialize(to: yaml_parser_t())
            guard yaml_parser_initialize(parser) == 1 else { return (nil, [(.start, "out of memory")]) }
            defer { yaml_parser_delete(parser) }
            yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
            yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
            var composer = YAMLComposer(source: source, parser: parser)
            do {
                let root = try composer.document()
                return (root, composer.faults)
            } catch let stop as Stop {
                return (nil, composer.faults + [(stop.mark, stop.message)])
            } catch {
                return (nil, composer.faults + [(.start, "cannot be read as YAML")])
            }
        }
    }

    private init(source: SourceText, parser: UnsafeMutablePointer<yaml_parser_t>) {
        self.source = source
        self.parser = parser
    }

    /// What a composer needs of an event, copied out of the scanner's memory.
    private struct Event {
        var type: yaml_event_type_t
        var mark: Mark
        var anchor: String?
        var tag: String?
        var text = ""
        var plain = false
    }

    private mutating func next() throws -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw scannerFault() }
        defer { yaml_event_delete(&event) }
        var result = Event(type: event.type, mark: source.mark(scalar: Int(event.start_mark.index)))
        switch event.type {
        case YAML_ALIAS_EVENT:
            result.anchor = Self.string(event.data.alias.anchor)
        case YAML_SCALAR_EVENT:
            result.anchor = Self.string(event.data.scalar.anchor)
            result.tag = Self.string(event.data.scalar.tag)
            result.plain = event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE
            let value = UnsafeBufferPointer(start: event.data.scalar.value, count: event.data.scalar.length)
            result.text = String(decoding: value, as: UTF8.self)
        case YAML_SEQUENCE_START_EVENT:
            result.anchor = Self.string(event.data.sequence_start.anchor)
            result.tag = Self.string(event.data.sequence_start.tag)
        case YAML_MAPPING_START_EVENT:
            result.anchor = Self.string(event.data.mapping_start.anchor)
            result.tag = Self.string(event.data.mapping_start.tag)
        default:
            break
        }
        return result
    }

    private static func string(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }

    private func scannerFault() -> Stop {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "cannot be read as YAML"
        if parser.pointee.error == YAML_READER_ERROR {
            return Stop(mark: source.mark(byte: Int(parser.pointee.problem_offset)), message: problem)
        }
        var message = problem
        if let context = parser.pointee.context {
            let line = source.mark(scalar: Int(parser.pointee.context_mark.index)).line
            message += " (\(String(cString: context)) that begins on line \(line))"
        }
        let place = Int(parser.pointee.problem_mark.index)
        if source.text(scalar: place - 1, count: 2) == "${" {
            message = "inside { } and [ ], text with ${…} must stand in quotes"
        }
        return Stop(mark: source.mark(scalar: place), message: message)
    }

    private mutating func document() throws -> YAMLNode? {
        _ = try next()  // the stream's start
        guard try next().type == YAML_DOCUMENT_START_EVENT else { return nil }
        let root = try node(next(), depth: 1)
        _ = try next()  // the document's end
        let rest = try next()
        if rest.type != YAML_STREAM_END_EVENT {
            faults.append((rest.mark, "a second document begins here; the file must hold one"))
        }
        return root
    }

    private mutating func node(_ event: Event, depth: Int) throws -> YAMLNode {
        if event.type == YAML_ALIAS_EVENT { return try alias(event, depth: depth) }
        guard depth <= Self.deepest else {
            throw Stop(mark: event.mark, message: "nested deeper than \(Self.deepest) levels")
        }
        try weigh(1, at: event.mark)
        var node = YAMLNode(content: .scalar("", plain: true), mark: event.mark, height: 1, weight: 1)
        switch event.type {
        case YAML_SEQUENCE_START_EVENT:
            try fill(&node, with: sequence(depth: depth))
        case YAML_MAPPING_START_EVENT:
            try fill(&node, with: mapping(depth: depth))
        default:
            node.content = .scalar(event.text, plain: event.plain && event.tag != "tag:yaml.org,2002:str")
        }
        if let tag = event.tag, !Self.knownTags.contains(tag) {
            faults.append((event.mark, "tags have no meaning here; text that begins with ! needs quotes"))
        }
        if let anchor = event.anchor { anchors[anchor] = node }
        return node
    }

    private static let knownTags: Set<String> = Set(
        ["str", "int", "float", "bool", "null", "seq", "map"].map { "tag:yaml.org,2002:" + $0 } + ["!"])

    private mutating func weigh(_ weight: Int, at mark: Mark) throws {
        total += weight
        guard total <= Self.heaviest else {
            throw Stop(mark: mark, message: "more than \(Self.heaviest) values, counting what aliases repeat")
        }
    }

    private mutating func alias(_ event: Event, depth: Int) throws -> YAMLNode {
        // Neither this name nor a tag is repeated: either may be the beginning of a password without quotes.
        guard let node = anchors[event.anchor ?? ""] else {
            throw Stop(
                mark: event.mark, message: "an alias without an anchor before it; text that begins with * needs quotes")
        }
        try weigh(node.weight, at: event.mark)
        guard depth + node.height - 1 <= Self.deepest else {
            throw Stop(mark: event.mark, message: "nested deeper than \(Self.deepest) levels")
        }
        return node
    }

    private func fill(_ node: inout YAMLNode, with content: YAMLNode.Content) {
        node.content = content
        let children: [YAMLNode] =
            switch content {
            case .scalar: []
            case .sequence(let elements): elements
            case .mapping(let entries): entries.map(\.value)
            }
        node.height = 1 + (children.map(\.height).max() ?? 0)
        node.weight = children.reduce(1) { $0 + $1.weight }
    }

    private mutating func sequence(depth: Int) throws -> YAMLNode.Content {
        var elements: [YAMLNode] = []
        while true {
            let event = try next()
            if event.type == YAML_SEQUENCE_END_EVENT { return .sequence(elements) }
            elements.append(try node(event, depth: depth + 1))
        }
    }

    private mutating func mapping(depth: Int) throws -> YAMLNode.Content {
        var entries: [YAMLEntry] = []
        var merged: [YAMLEntry] = []
        var seen: [String: Int] = [:]
        while true {
            let event = try next()
            if event.type == YAML_MAPPING_END_EVENT { break }
            let key = try node(event, depth: depth + 1)
            let value = try node(next(), depth: depth + 1)
            // An alias used as a key stands where the alias is written, not where its anchor is.
            guard case .scalar(let name, let plain) = key.content else {
                faults.append((event.mark, "a key must be a single word, not \(key.noun)"))
                continue
            }
            if plain, name == "<<" {
                merge(value, into: &merged)
            } else if let line = seen[name] {
                faults.append((event.mark, "\(Diagnostic.quote(name)) is already set on line \(line)"))
            } else {
                seen[name] = event.mark.line
                entries.append(YAMLEntry(key: name, mark: event.mark, value: value))
            }
        }
        for entry in merged where seen[entry.key] == nil {
            seen[entry.key] = entry.mark.line
            entries.append(entry)
        }
        return .mapping(entries)
    }

    /// `<<` takes over the members of a mapping, or of several, that the mapping itself does not set.
    private mutating func merge(_ value: YAMLNode, into merged: inout [YAMLEntry]) {
        switch value.content {
        case .mapping(let entries):
            merged += entries
        case .sequence(let elements):
            for element in elements {
                guard case .mapping(let entries) = element.content else {
                    faults.append((element.mark, "<< takes mappings, not \(element.noun)"))
                    continue
                }
                merged += entries
            }
        case .scalar:
            faults.append((value.mark, "<< takes a mapping, not \(value.noun)"))
        }
    }
}
