// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Finds names that nobody has yet.
struct NameSet {
    private(set) var taken: Set<String>
    private var next: [String: Int] = [:]

    init(_ taken: Set<String> = []) {
        self.taken = taken
    }

    /// The name itself where it is free, else with the first number behind it that is.
    mutating func unique(_ name: String, separator: String = "-") -> String {
        if taken.insert(name).inserted { return name }
        var number = next[name] ?? 2
        while !taken.insert("\(name)\(separator)\(number)").inserted { number += 1 }
        next[name] = number + 1
        return "\(name)\(separator)\(number)"
    }

    /// A word for names in the file: letters, digits, dots and dashes; `fallback` where nothing is left.
    static func slug(_ text: String, fallback: String) -> String {
        var out = ""
        for scalar in text.lowercased().unicodeScalars {
            let isKept = scalar.properties.isAlphabetic || scalar.properties.numericType == .decimal || scalar == "."
            if isKept {
                out.unicodeScalars.append(scalar)
            } else if !out.hasSuffix("-") {
                out += "-"
            }
            if out.utf8.count >= 48 { break }
        }
        while out.hasPrefix("-") || out.hasPrefix(".") { out.removeFirst() }
        while out.hasSuffix("-") || out.hasSuffix(".") { out.removeLast() }
        return out.isEmpty ? fallback : out
    }
}

/// Names of environment variables.
enum VariableNames {
    /// Whether a shell can set a variable of that name.
    static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first), text.utf8.count <= 200 else { return false }
        return text.utf8.allSatisfy(isPart)
    }

    /// A name made of a hint: capitals, digits and underscores.
    static func name(_ hint: String) -> String {
        var out = ""
        for byte in hint.uppercased().utf8 {
            if isPart(byte) {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else if !out.hasSuffix("_") {
                out += "_"
            }
        }
        while out.hasPrefix("_") { out.removeFirst() }
        while out.hasSuffix("_") { out.removeLast() }
        if out.isEmpty { return "SECRET" }
        return out.first?.isNumber == true ? "N" + out : out
    }

    private static func isPart(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
    }
}
