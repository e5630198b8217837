// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Why a text is not the value that a setting wants; never holds the text of a secret.
struct ValueFault: Error, Equatable {
    var message: String

    init(_ message: String) {
        self.message = message
    }
}

/// From the text of a scalar to a typed value.
enum ValueParsing {
    static func bool(_ text: String) throws(ValueFault) -> Bool {
        if let value = YAMLScalar.bool(text) { return value }
        throw ValueFault("must be true or false")
    }

    static func integer(_ text: String, in bounds: ClosedRange<Int>) throws(ValueFault) -> Int {
        guard let number = YAMLScalar.number(text), let value = Int(number), bounds.contains(value) else {
            throw ValueFault("must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
        }
        return value
    }

    static func number(_ text: String, in bounds: ClosedRange<Double>) throws(ValueFault) -> Double {
        guard let number = YAMLScalar.number(text), let value = Double(number), bounds.contains(value) else {
            throw ValueFault("must be a number from \(short(bounds.lowerBound)) to \(short(bounds.upperBound))")
        }
        return value
    }

    private static func short(_ value: Double) -> String {
        Int(exactly: value).map { "\($0)" } ?? "\(value)"
    }

    static func share(_ text: String) throws(ValueFault) -> Double {
        let percent = text.hasSuffix("%")
        let digits = percent ? String(text.dropLast()) : text
        guard let number = YAMLScalar.number(digits), let value = Double(number) else {
            throw ValueFault("must be a share from 0 to 1, or a percentage such as 5%")
        }
        let share = percent ? value / 100 : value
        guard (0...1).contains(share) else {
            throw ValueFault("must be a share from 0 to 1, or a percentage such as 5%")
        }
        return share
    }

    /// Seconds per unit of time.
    private static let spans: [(unit: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("y", 365 * 86_400_000),
    ]

    /// The longest length of time that is taken: a hundred years.
    private static let longest: Int64 = 100 * 365 * 86_400_000

    static func duration(_ text: String, positive: Bool) throws(ValueFault) -> Duration {
        let letters = text.reversed().prefix { $0.isASCII && $0.isLetter }
        let unit = String(letters.reversed())
        let digits = String(text.dropLast(unit.count))
        guard let number = YAMLScalar.number(digits) else {
            throw ValueFault("must be a duration such as 250ms, 5s, 10m, 12h or 7d")
        }
        if number.hasPrefix("-") { throw ValueFault("must not be negative") }
        let isZero = Double(number) == 0
        guard let scale = spans.first(where: { $0.unit == unit })?.milliseconds else {
            if unit.isEmpty, isZero, !positive { return .zero }
            if unit.isEmpty {
                throw ValueFault("needs a unit, as in \(isZero ? "1" : number)s; units are ms, s, m, h, d and y")
            }
            throw ValueFault("has no known unit of time; units are ms, s, m, h, d and y")
        }
        if isZero {
            guard !positive else { throw ValueFault("must be longer than 0") }
            return .zero
        }
        return try .milliseconds(scaled(number, by: scale, upTo: longest, what: "longer than 100 years"))
    }

    private static let sizes: [(unit: String, bytes: Int64)] = [
        ("", 1), ("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("KiB", 1 << 10), ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ]

    static func size(_ text: String) throws(ValueFault) -> Int {
        let letters = text.reversed().prefix { $0.isASCII && $0.isLetter }
        let unit = String(letters.reversed())
        let digits = String(text.dropLast(unit.count))
        guard let number = YAMLScalar.number(digits.hasSuffix(" ") ? String(digits.dropLast()) : digits),
            let scale = sizes.first(where: { $0.unit.lowercased() == unit.lowercased() })?.bytes
        else {
            throw ValueFault("must be a size such as 64KB, 32MB or 1GB")
        }
        if number.hasPrefix("-") { throw ValueFault("must not be negative") }
        let bytes = try scaled(number, by: scale, upTo: 1 << 40, what: "larger than 1024GB")
        guard bytes > 0 else { throw ValueFault("must be larger than 0") }
        return Int(bytes)
    }

    /// The number times the scale, rounded; exact for whole numbers.
    private static func scaled(
        _ number: String, by scale: Int64, upTo limit: Int64, what: String
    ) throws(ValueFault) -> Int64 {
        if let whole = Int64(number) {
            let (product, overflow) = whole.multipliedReportingOverflow(by: scale)
            guard !overflow, product <= limit else { throw ValueFault("must not be \(what)") }
            return product
        }
        guard let value = Double(number), value * Double(scale) <= Double(limit) else {
            throw ValueFault("must not be \(what)")
        }
        return Int64((value * Double(scale)).rounded())
    }

    static func choice(_ text: String, noun: String, among words: [String]) throws(ValueFault) -> String {
        if words.contains(text) { return text }
        if let closest = Suggestion.closest(to: text, among: words) {
            throw ValueFault("unknown \(noun) \(Diagnostic.quote(text)); did you mean \"\(closest)\"?")
        }
        throw ValueFault("unknown \(noun) \(Diagnostic.quote(text)); known: " + words.joined(separator: ", "))
    }

    static func sha256(_ text: String) throws(ValueFault) -> String {
        let hex = text.lowercased()
        guard hex.utf8.count == 64, hex.utf8.allSatisfy({ isHex($0) }) else {
            throw ValueFault("must be a SHA-256: 64 hexadecimal digits")
        }
        return hex
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    /// A name with at most one `*`.
    static func pattern(_ text: String) throws(ValueFault) -> String {
        guard text.count(where: { $0 == "*" }) <= 1 else { throw ValueFault("may hold one * only") }
        return text
    }
}
