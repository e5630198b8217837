// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One step of a chain.
struct Step: Equatable {
    var title: String
    var content: String
    /// Whether the model has the answer.
    var isFinal: Bool
}

/// Reads a step from JSON text as it comes, cut anywhere, and says at once what has come of its title and content.
///
/// It passes over what stands before the object and behind it: fences, greetings, a second step. Line breaks within a
/// string and a comma before the closing brace are let pass, since models write them.
struct StepReader {
    enum Piece: Equatable {
        case title(String)
        case content(String)
    }

    private enum Place: Equatable {
        case outside, key, string
        /// Behind `{` or a comma.
        case beforeKey
        case beforeColon, beforeValue, afterValue
        /// A number, true, false or null.
        case literal
        /// Inside an array or an object that is the value of some member.
        case nested
        case done
    }

    private enum Member: String {
        case title, content, action = "next_action"
    }

    private var place = Place.outside
    private var text = JSONStringReader()
    private var key = ""
    private var value = ""
    private var depth = 0
    private var isInNestedString = false
    private var found: [Member: String] = [:]
    private var sawObject = false

    /// Whether the whole object has come.
    var isDone: Bool { place == .done }

    /// Takes more of the text.
    ///
    /// - Returns: what has come of title and content, in the order of the text.
    mutating func push(_ more: String) -> [Piece] {
        var pieces: [Piece] = []
        for scalar in more.unicodeScalars where place != .done { take(scalar, &pieces) }
        flush(&pieces)
        return pieces
    }

    /// The step, once all has come.
    ///
    /// - Throws: what is wrong with it.
    func step() throws(StepFault) -> Step {
        guard isDone else { throw sawObject ? .cut : .noObject }
        guard let title = found[.title] else { throw .lacks(Member.title.rawValue) }
        guard let content = found[.content] else { throw .lacks(Member.content.rawValue) }
        guard let action = found[.action] else { throw .lacks(Member.action.rawValue) }
        return Step(title: title, content: content, isFinal: Self.isFinal(action))
    }

    private static func isFinal(_ action: String) -> Bool {
        let word = String(action.lowercased().filter { $0.isLetter })
        return word == "finalanswer" || word == "final"
    }

    private mutating func take(_ scalar: Unicode.Scalar, _ pieces: inout [Piece]) {
        switch place {
        case .outside: if scalar == "{" { begin() }
        case .beforeKey:
            if scalar == "\"" {
                place = .key
                key = ""
                text = JSONStringReader()
            } else if scalar == "}" {
                finish()
            } else if !Self.isSpace(scalar) {
                lose(scalar)
            }
        case .key: if text.take(scalar, &key) { place = .beforeColon }
        case .beforeColon:
            if scalar == ":" { place = .beforeValue } else if !Self.isSpace(scalar) { lose(scalar) }
        case .beforeValue: enter(scalar)
        case .string:
            if text.take(scalar, &value) {
                flush(&pieces, isWhole: true)
                place = .afterValue
            }
        case .literal:
            if scalar == "," || scalar == "}" {
                place = .afterValue
                take(scalar, &pieces)
            } else if Self.isSpace(scalar) {
                place = .afterValue
            }
        case .nested: nested(scalar)
        case .afterValue:
            if scalar == "," {
                place = .beforeKey
            } else if scalar == "}" {
                finish()
            } else if !Self.isSpace(scalar) {
                lose(scalar)
            }
        case .done: break
        }
    }

    private mutating func begin() {
        place = .beforeKey
        found = [:]
    }

    /// What seemed to be an object is none.
    private mutating func lose(_ scalar: Unicode.Scalar) {
        place = .outside
        found = [:]
        if scalar == "{" { begin() }
    }

    /// The object is complete; one with none of our members is not the step.
    private mutating func finish() {
        place = found.isEmpty ? .outside : .done
    }

    private mutating func enter(_ scalar: Unicode.Scalar) {
        if Self.isSpace(scalar) { return }
        switch scalar {
        case "\"":
            place = .string
            text = JSONStringReader()
            value = ""
            if let member = Member(rawValue: key) {
                sawObject = true
                found[member] = ""
            }
        case "{", "[":
            place = .nested
            depth = 1
            isInNestedString = false
        case "}", "]", ",", ":": lose(scalar)
        default: place = .literal
        }
    }

    private mutating func nested(_ scalar: Unicode.Scalar) {
        if isInNestedString {
            var ignored = ""
            if text.take(scalar, &ignored) { isInNestedString = false }
            return
        }
        switch scalar {
        case "\"":
            isInNestedString = true
            text = JSONStringReader()
        case "{", "[": depth += 1
        case "}", "]":
            depth -= 1
            if depth == 0 { place = .afterValue }
        default: break
        }
    }

    /// Hands on what has come of the string that is being read.
    private mutating func flush(_ pieces: inout [Piece], isWhole: Bool = false) {
        guard isWhole || place == .string, !value.isEmpty, let member = Member(rawValue: key) else { return }
        found[member, default: ""] += value
        switch member {
        case .title: pieces.append(.title(value))
        case .content: pieces.append(.content(value))
        case .action: break
        }
        value = ""
    }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }
}

/// What is wrong with an answer that should be a step.
enum StepFault: Error, Equatable {
    case noObject, cut
    case lacks(String)

    var message: String {
        switch self {
        case .noObject: "The answer holds no JSON object."
        case .cut: "The JSON object is not complete."
        case .lacks(let key): "The JSON object lacks \"\(key)\"."
        }
    }
}

/// Reads the inside of a JSON string, one character at a time.
struct JSONStringReader {
    private enum State {
        case plain, escape
        case unicode(left: Int, value: UInt32)
    }

    private var state = State.plain
    /// The first half of a pair that waits for the second.
    private var high: UInt32?

    /// Takes the next character and appends what it stands for.
    ///
    /// - Returns: true at the closing quote.
    mutating func take(_ scalar: Unicode.Scalar, _ out: inout String) -> Bool {
        switch state {
        case .plain:
            if scalar == "\\" {
                state = .escape
                return false
            }
            endPair(&out)
            if scalar == "\"" { return true }
            out.unicodeScalars.append(scalar)
        case .escape: escape(scalar, &out)
        case .unicode(let left, let value): digit(scalar, left, value, &out)
        }
        return false
    }

    private mutating func escape(_ scalar: Unicode.Scalar, _ out: inout String) {
        state = .plain
        if scalar == "u" {
            state = .unicode(left: 4, value: 0)
            return
        }
        endPair(&out)
        switch scalar {
        case "n": out += "\n"
        case "t": out += "\t"
        case "r": out += "\r"
        case "b": out += "\u{8}"
        case "f": out += "\u{C}"
        case "\"", "\\", "/": out.unicodeScalars.append(scalar)
        default:
            // Not JSON, but what models write where they mean LaTeX.
            out += "\\"
            out.unicodeScalars.append(scalar)
        }
    }

    private mutating func digit(_ scalar: Unicode.Scalar, _ left: Int, _ value: UInt32, _ out: inout String) {
        guard let digit = Character(scalar).hexDigitValue, scalar.isASCII else {
            state = .plain
            endPair(&out)
            out += "\u{FFFD}"
            return
        }
        let value = value << 4 | UInt32(digit)
        guard left == 1 else {
            state = .unicode(left: left - 1, value: value)
            return
        }
        state = .plain
        if let first = high, (0xDC00...0xDFFF).contains(value) {
            high = nil
            let joined = 0x10000 + (first - 0xD800) << 10 + (value - 0xDC00)
            out.unicodeScalars.append(Unicode.Scalar(joined) ?? "\u{FFFD}")
            return
        }
        endPair(&out)
        if (0xD800...0xDBFF).contains(value) {
            high = value
        } else {
            out.unicodeScalars.append(Unicode.Scalar(value) ?? "\u{FFFD}")
        }
    }

    /// A first half without its second stands for nothing.
    private mutating func endPair(_ out: inout String) {
        guard high != nil else { return }
        high = nil
        out += "\u{FFFD}"
    }
}
