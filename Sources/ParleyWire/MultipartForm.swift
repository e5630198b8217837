// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
public import NIOCore
public import ParleyCore

/// Finds the parts called `model` in a form (RFC 7578) while it passes by, holding no more of it than it must.
///
/// Line feeds alone count as line ends, too: what a lenient server takes for a part must not go unseen.
public struct MultipartForm: Sendable {
    /// A part called `model`.
    public struct Field: Sendable, Equatable {
        /// Where its value is, from the body's start.
        public var place: Range<Int>
        /// Its value.
        public var value: String
    }

    private enum State {
        /// In a part, or before the first one.
        case body(isModel: Bool)
        /// Behind a delimiter.
        case delimiterEnd
        case headers
        case done
    }

    private static let headerLimit = 8 << 10
    private static let nameLimit = 1 << 10
    private static let paddingLimit = 256

    /// The parts found so far.
    public private(set) var models: [Field] = []
    /// The bytes looked at so far.
    public private(set) var count = 0
    private let boundary: String
    private let delimiter: [UInt8]
    private var state = State.body(isModel: false)
    /// What was not decided yet. The line feed lets a delimiter stand at the very beginning.
    private var held = ByteBuffer(string: "\n")
    /// The offset of `held` in the body.
    private var base = -1

    /// A form of this content type; nil where that is none, or one that two readers could take apart differently.
    public init?(contentType: String) {
        let type = contentType.prefix { $0 != ";" }.lowercased()
        let boundaries = Self.parameters(of: contentType[...]).filter { $0.name == "boundary" }
        guard type.hasPrefix("multipart/"), contentType.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }),
            boundaries.count == 1, let boundary = boundaries.first?.value, (1...200).contains(boundary.utf8.count)
        else { return nil }
        self.boundary = boundary
        delimiter = Array("\n--\(boundary)".utf8)
    }

    /// Whether the last part was read.
    public var isDone: Bool {
        if case .done = state { return true }
        return false
    }

    /// Takes in what follows.
    ///
    /// - Throws: `invalid` for a part's head or a model's name that is too long.
    public mutating func read(_ bytes: ByteBuffer) throws(ParleyError) {
        count += bytes.readableBytes
        guard !isDone else { return }
        held.writeImmutableBuffer(bytes)
        while try step() {}
        held.discardReadBytes()
    }

    /// The form's beginning with another name of the model: in each part that was found, or in one put in front.
    public func naming(_ model: String, in opening: ByteBuffer) -> ByteBuffer {
        var out = ByteBuffer()
        out.reserveCapacity(opening.readableBytes + model.utf8.count + boundary.utf8.count + 64)
        let view = opening.readableBytesView
        var done = 0
        for field in models where field.place.upperBound <= view.count {
            out.writeBytes(view.dropFirst(done).prefix(field.place.lowerBound - done))
            out.writeString(model)
            done = field.place.upperBound
        }
        if models.isEmpty {
            out.writeString("--\(boundary)\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n\(model)\r\n")
        }
        out.writeBytes(view.dropFirst(done))
        return out
    }

    // MARK: Steps

    /// Goes on; false where more is needed.
    private mutating func step() throws(ParleyError) -> Bool {
        switch state {
        case .body(let isModel): return try readBody(isModel)
        case .delimiterEnd: return readDelimiterEnd()
        case .headers: return try readHeaders()
        case .done: return false
        }
    }

    private mutating func readBody(_ isModel: Bool) throws(ParleyError) -> Bool {
        guard let end = find(delimiter) else {
            guard isModel else {
                advance(max(0, held.readableBytes - delimiter.count + 1))
                return false
            }
            guard held.readableBytes <= Self.nameLimit + delimiter.count else {
                throw Self.fault("The model's name is too long.")
            }
            return false
        }
        if isModel {
            var value = held.readableBytesView.prefix(end)
            if value.last == UInt8(ascii: "\r") { value.removeLast() }
            guard value.count <= Self.nameLimit, let name = String(validating: value, as: UTF8.self) else {
                throw Self.fault("The model's name is no text, or too long.")
            }
            models.append(Field(place: base..<base + value.count, value: name))
        }
        advance(end + delimiter.count)
        state = .delimiterEnd
        return true
    }

    private mutating func readDelimiterEnd() -> Bool {
        let view = held.readableBytesView
        if view.starts(with: "--".utf8) {
            state = .done
            held = ByteBuffer()
            return false
        }
        guard let end = view.firstIndex(of: 0x0A) else {
            guard view.count > Self.paddingLimit else { return false }
            state = .body(isModel: false)
            return true
        }
        let padding = view[..<end]
        guard padding.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) else {
            // The boundary is only the beginning of what stands here.
            state = .body(isModel: false)
            return true
        }
        advance(padding.count + 1)
        state = .headers
        return true
    }

    private mutating func readHeaders() throws(ParleyError) -> Bool {
        let view = held.readableBytesView
        let length: Int
        if view.starts(with: "\n".utf8) {
            length = 1
        } else if view.starts(with: "\r\n".utf8) {
            length = 2
        } else {
            let ends = [(find("\n\r\n".utf8), 3), (find("\n\n".utf8), 2)]
            let first = ends.compactMap { end, size in end.map { ($0, size) } }.min { $0.0 < $1.0 }
            guard let (end, size) = first else {
                if view.count > Self.headerLimit { throw Self.fault("The head of a part is too long.") }
                return false
            }
            length = end + size
        }
        // Bytes that are not ASCII must not join what stands before them into one character.
        let head = view.prefix(length).map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }
        let isModel = Self.isModel(String(decoding: head, as: UTF8.self))
        advance(length)
        state = .body(isModel: isModel)
        return true
    }

    private mutating func advance(_ count: Int) {
        held.moveReaderIndex(forwardBy: min(count, held.readableBytes))
        base += count
    }

    private func find(_ word: some Collection<UInt8>) -> Int? {
        let word = Array(word)
        let found = held.withUnsafeReadableBytes { bytes in
            bytes.baseAddress.map { parley_find($0, bytes.count, word, word.count) } ?? -1
        }
        return found < 0 ? nil : found
    }

    private static func fault(_ message: String) -> ParleyError {
        ParleyError(.invalid, message, code: "invalid_multipart", parameter: "model")
    }

    // MARK: Headers

    /// Whether a part's head says that it is the model.
    private static func isModel(_ head: String) -> Bool {
        var isDisposition = false
        for line in head.split(whereSeparator: \.isNewline) {
            // A line that begins with a space goes on with the one before.
            let isContinued = line.first == " " || line.first == "\t"
            isDisposition =
                isContinued ? isDisposition : line.prefix { $0 != ":" }.lowercased() == "content-disposition"
            guard isDisposition else { continue }
            let text = isContinued ? ";" + line : line
            for (name, value) in parameters(of: text) {
                if name == "name", value == "model" { return true }
                if name == "name*", value.hasSuffix("'model") { return true }
            }
        }
        return false
    }

    /// The parameters behind the first semicolon, quotes and backslashes taken off, names in lower case.
    private static func parameters(of text: Substring) -> [(name: String, value: String)] {
        var found: [(name: String, value: String)] = []
        var rest = text.drop { $0 != ";" }
        while rest.first == ";" {
            rest = rest.dropFirst().drop { $0.isWhitespace }
            let key = rest.prefix { $0 != "=" && $0 != ";" }
            rest = rest.dropFirst(key.count)
            var value = ""
            if rest.first == "=" {
                rest = rest.dropFirst().drop { $0 == " " || $0 == "\t" }
                value = takeValue(&rest)
            }
            found.append((trimmed(key).lowercased(), value))
            rest = rest.drop { $0 != ";" }
        }
        return found
    }

    private static func takeValue(_ rest: inout Substring) -> String {
        guard rest.first == "\"" else {
            let value = rest.prefix { $0 != ";" && !$0.isNewline }
            rest = rest.dropFirst(value.count)
            return trimmed(value)
        }
        rest = rest.dropFirst()
        var value = ""
        while let character = rest.popFirst(), character != "\"" {
            let isEscape = character == "\\"
            value.append(isEscape ? rest.popFirst() ?? character : character)
        }
        return value
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
