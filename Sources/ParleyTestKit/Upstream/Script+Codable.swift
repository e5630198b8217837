// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import FoundationEssentials

/// A member name met while coding; the vocabulary is too irregular for synthesised keys.
private struct Member: CodingKey, ExpressibleByStringLiteral {
    var stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
    init(stringLiteral value: String) { stringValue = value }
}

extension KeyedDecodingContainer {
    /// Refuses members other than these: a misspelt one would silently change what a test says.
    fileprivate func only(_ names: Set<String>) throws {
        for key in allKeys where !names.contains(key.stringValue) { try check(false, key, "unknown member") }
    }

    fileprivate func check(_ condition: Bool, _ key: Key, _ message: String) throws {
        guard condition else {
            throw DecodingError.dataCorruptedError(forKey: key, in: self, debugDescription: message)
        }
    }
}

extension Script: Codable {
    /// Decodes a script of the control API.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Member.self)
        try members.only(["match", "times", "steps"])
        match = try members.decodeIfPresent(Match.self, forKey: "match") ?? Match()
        times = try members.decodeIfPresent(Int.self, forKey: "times")
        steps = try members.decode([Step].self, forKey: "steps")
    }

    /// Encodes the script as the control API takes it.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Member.self)
        try members.encode(match, forKey: "match")
        try members.encodeIfPresent(times, forKey: "times")
        try members.encode(steps, forKey: "steps")
    }
}

extension Script.Match: Codable {
    /// Decodes the conditions.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Member.self)
        try members.only(["model", "path", "header"])
        model = try members.decodeIfPresent(String.self, forKey: "model")
        path = try members.decodeIfPresent(String.self, forKey: "path")
        header = try members.decodeIfPresent([String: String].self, forKey: "header") ?? [:]
    }

    /// Encodes the conditions that are set.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Member.self)
        try members.encodeIfPresent(model, forKey: "model")
        try members.encodeIfPresent(path, forKey: "path")
        if !header.isEmpty { try members.encode(header, forKey: "header") }
    }
}

extension Script.Step: Codable {
    /// Decodes a step: an object whose one known member names it.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Member.self)
        let names = Set(members.allKeys.map(\.stringValue))
        if names.contains("sse") {
            self = .sse(try Script.Events(from: decoder))
            return
        }
        guard names.count == 1, let name = members.allKeys.first else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "a step has one member, this has \(names)"))
        }
        switch name.stringValue {
        case "head": self = .head(try members.decode(Script.Head.self, forKey: name))
        case "write": self = .write(try members.decode(String.self, forKey: name))
        case "write_base64": self = .writeBytes([UInt8](try members.decode(Data.self, forKey: name)))
        case "write_file": self = .writeFile(try members.decode(String.self, forKey: name))
        case "repeat": self = .repeat(try members.decode(Script.Repetition.self, forKey: name))
        case "split": self = .split(try members.decode(Script.Split.self, forKey: name))
        case "sleep_ms":
            let milliseconds = try members.decode(Int.self, forKey: name)
            try members.check((0...86_400_000).contains(milliseconds), name, "not within a day")
            self = .sleep(milliseconds: milliseconds)
        case "cut": self = .cut(try members.decode(Script.Cut.self, forKey: name))
        case "raw": self = .raw(try members.decode(String.self, forKey: name))
        case "hang", "end", "close", "refuse":
            try members.check(try members.decode(Bool.self, forKey: name), name, "only true makes sense here")
            self =
                switch name.stringValue {
                case "hang": .hang
                case "end": .end
                case "close": .close
                default: .refuse
                }
        default: throw DecodingError.dataCorruptedError(forKey: name, in: members, debugDescription: "unknown step")
        }
    }

    /// Encodes the step as an object that names it.
    public func encode(to encoder: any Encoder) throws {
        if case .sse(let events) = self { return try events.encode(to: encoder) }
        var members = encoder.container(keyedBy: Member.self)
        switch self {
        case .head(let head): try members.encode(head, forKey: "head")
        case .write(let text): try members.encode(text, forKey: "write")
        case .writeBytes(let bytes): try members.encode(Data(bytes), forKey: "write_base64")
        case .writeFile(let path): try members.encode(path, forKey: "write_file")
        case .sse: break
        case .repeat(let repetition): try members.encode(repetition, forKey: "repeat")
        case .split(let split): try members.encode(split, forKey: "split")
        case .sleep(let milliseconds): try members.encode(milliseconds, forKey: "sleep_ms")
        case .hang: try members.encode(true, forKey: "hang")
        case .cut(let cut): try members.encode(cut, forKey: "cut")
        case .end: try members.encode(true, forKey: "end")
        case .close: try members.encode(true, forKey: "close")
        case .raw(let text): try members.encode(text, forKey: "raw")
        case .refuse: try members.encode(true, forKey: "refuse")
        }
    }
}

extension Script.Head: Codable {
    /// Decodes a head; status 200, no headers and chunked framing when left out.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Member.self)
        try members.only(["status", "headers", "framing"])
        status = try members.decodeIfPresent(Int.self, forKey: "status") ?? 200
        headers = try members.decodeIfPresent([String: String].self, forKey: "headers") ?? [:]
        framing = try members.decodeIfPresent(Script.Framing.self, forKey: "framing") ?? .chunked
    }

    /// Encodes the head.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Member.self)
        try members.encode(status, forKey: "status")
        try members.encode(headers, forKey: "headers")
        try members.encode(framing, forKey: "framing")
    }
}

extension Script.Framing: Codable {
    /// Decodes a framing: one of three words, or `{"length": n}`.
    public init(from decoder: any Decoder) throws {
        if let members = try? decoder.container(keyedBy: Member.self) {
            self = .declaredLength(try members.decode(Int.self, forKey: "length"))
            return
        }
        let container = try decoder.singleValueContainer()
        switch try container.decode(String.self) {
        case "chunked": self = .chunked
        case "length": self = .length
        case "close": self = .close
        case let word:
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "unknown framing \(word)")
        }
    }

    /// Encodes the framing.
    public func encode(to encoder: any Encoder) throws {
        if case .declaredLength(let length) = self {
            var members = encoder.container(keyedBy: Member.self)
            return try members.encode(length, forKey: "length")
        }
        var container = encoder.singleValueContainer()
        switch self {
        case .chunked, .declaredLength: try container.encode("chunked")
        case .length: try container.encode("length")
        case .close: try container.encode("close")
        }
    }
}

extension Script.Events: Codable {
    /// Decodes an `sse` step's object.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Member.self)
        try members.only(["sse", "done", "crlf"])
        data = try members.decode([String].self, forKey: "sse")
        done = try members.decodeIfPresent(Bool.self, forKey: "done") ?? true
        crlf = try members.decodeIfPresent(Bool.self, forKey: "crlf") ?? false
    }

    /// Encodes the `sse` step's object.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Member.self)
        try members.encode(data, forKey: "sse")
        try members.encode(done, forKey: "done")
        try members.encode(crlf, forKey: "crlf")
    }
}

extension Script.Repetition: Codable {
    /// Decodes a repetition.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Member.self)
        try members.only(["count", "write", "every_ms"])
        count = try members.decode(Int.self, forKey: "count")
        try members.check((0...1_000_000_000).contains(count), "count", "out of range")
        write = try members.decode(String.self, forKey: "write")
        everyMilliseconds = try members.decodeIfPresent(Int.self, forKey: "every_ms") ?? 0
        try members.check((0...86_400_000).contains(everyMilliseconds), "every_ms", "not within a day")
    }

    /// Encodes the repetition.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Member.self)
        try members.encode(count, forKey: "count")
        try members.encode(write, forKey: "write")
        if everyMilliseconds > 0 { try members.encode(everyMilliseconds, forKey: "every_ms") }
    }
}

extension Script.Split: Codable {
    /// Decodes a split: a size, or `{"seed": n, "max": n}`.
    public init(from decoder: any Decoder) throws {
        if let members = try? decoder.container(keyedBy: Member.self) {
            let max = try members.decode(Int.self, forKey: "max")
            try members.check(max > 0, "max", "must be positive")
            self = .random(seed: try members.decode(UInt64.self, forKey: "seed"), max: max)
            return
        }
        let container = try decoder.singleValueContainer()
        let size = try container.decode(Int.self)
        guard size > 0 else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "a piece has at least one byte")
        }
        self = .size(size)
    }

    /// Encodes the split.
    public func encode(to encoder: any Encoder) throws {
        if case .random(let seed, let max) = self {
            var members = encoder.container(keyedBy: Member.self)
            try members.encode(seed, forKey: "seed")
            return try members.encode(max, forKey: "max")
        }
        var container = encoder.singleValueContainer()
        if case .size(let size) = self { try container.encode(size) }
    }
}
