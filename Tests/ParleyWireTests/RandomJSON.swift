// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Random numbers that are the same in every run with the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Random JSON, as a tree and as text with random spaces and escapes.
struct RandomJSON {
    var generator: SeededGenerator

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    private static let numbers = ["0", "-0", "1", "-12", "0.10", "1e3", "1E+3", "12345678901234567890", "2.5e-7"]
    private static let pieces = [
        "a", "Z", " ", "key", "\"", "\\", "/", "\n", "\t", "\u{0}", "\u{1F}", "\u{7F}", "é", "ß", "中文", "🙂", "\u{2028}",
        "plain text that is longer than one machine word", "}", "]", ",", ":",
    ]

    mutating func number(below bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }

    mutating func text() -> String {
        var text = ""
        for _ in 0..<number(below: 6) { text += Self.pieces[number(below: Self.pieces.count)] }
        return text
    }

    mutating func value(depth: Int) -> JSONValue {
        switch number(below: depth > 0 ? 8 : 5) {
        case 0: return .null
        case 1: return .bool(number(below: 2) == 0)
        case 2: return .number(Self.numbers[number(below: Self.numbers.count)])
        case 3, 4: return .string(text())
        case 5: return .array((0..<number(below: 5)).map { _ in value(depth: depth - 1) })
        default: return .object(object(depth: depth - 1))
        }
    }

    /// An object whose keys are few enough to be repeated now and then.
    mutating func object(depth: Int) -> JSONObject {
        let keys = ["model", "stream", "a", "é\n", "", "max_tokens", text()]
        return JSONObject(
            (0..<number(below: 7)).map { _ in
                JSONObject.Member(keys[number(below: keys.count)], value(depth: depth))
            })
    }

    /// The value as text, with spaces between tokens and with some characters written as escapes.
    mutating func spaced(_ value: JSONValue) -> String {
        space() + token(value) + space()
    }

    private mutating func space() -> String { ["", "", " ", "\n", "\t \r\n"][number(below: 5)] }

    private mutating func token(_ value: JSONValue) -> String {
        switch value {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .number(let text): return text
        case .string(let text): return quoted(text)
        case .array(let elements):
            let inside = elements.map { spaced($0) }.joined(separator: ",")
            return "[" + (elements.isEmpty ? space() : inside) + "]"
        case .object(let object):
            let inside = object.members.map { space() + quoted($0.key) + space() + ":" + spaced($0.value) }
            return "{" + (object.isEmpty ? space() : inside.joined(separator: ",")) + "}"
        }
    }

    private mutating func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
            if mustEscape || number(below: 8) == 0 {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: number(below: 2) == 0)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
