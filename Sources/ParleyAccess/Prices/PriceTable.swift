// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyPrices

/// The built-in table: sorted lines in the program's own file, searched where they lie and read one at a time, so that
/// the table costs neither time at the start nor memory while nobody asks.
public enum PriceTable {
    /// What is known of the vendor's model of exactly that name.
    public static func facts(vendor: String, model: String) -> ModelFacts? {
        let name = "\(vendor)/\(model)"
        return line(of: name).map { ModelFacts(line: $0) }
    }

    /// Every name (`vendor/model`) of the table, sorted; it makes a string of each, so it is for tests and lists.
    public static var names: [String] {
        var names: [String] = []
        var at = 0
        while at < bytes.count {
            let end = lineEnd(at)
            names.append(String(decoding: bytes[at..<nameEnd(at, end)], as: UTF8.self))
            at = end + 1
        }
        return names
    }

    private static var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: parley_prices(), count: max(0, parley_prices_size()))
    }

    /// The fields of the line of that name.
    private static func line(of name: String) -> UnsafeRawBufferPointer? {
        var name = name
        return name.withUTF8 { wanted in
            let bytes = bytes
            var low = 0
            var high = bytes.count
            while low < high {
                let start = lineStart(low + (high - low) / 2)
                let end = lineEnd(start)
                let name = start..<nameEnd(start, end)
                let found = UnsafeRawBufferPointer(rebasing: bytes[name])
                if found.elementsEqual(wanted) {
                    return UnsafeRawBufferPointer(rebasing: bytes[min(name.upperBound + 1, end)..<end])
                }
                if found.lexicographicallyPrecedes(wanted) { low = end + 1 } else { high = start }
            }
            return nil
        }
    }

    private static func lineStart(_ at: Int) -> Int {
        let bytes = bytes
        var start = at
        while start > 0, bytes[start - 1] != UInt8(ascii: "\n") { start -= 1 }
        return start
    }

    private static func lineEnd(_ at: Int) -> Int {
        bytes[at...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
    }

    private static func nameEnd(_ start: Int, _ end: Int) -> Int {
        bytes[start..<end].firstIndex(of: UInt8(ascii: "\t")) ?? end
    }
}

extension ModelFacts {
    /// Reads the fields of a line, as `script/prices` writes them: a letter and a number each.
    init(line: UnsafeRawBufferPointer) {
        var values: [UInt8: Int] = [:]
        for field in line.split(separator: UInt8(ascii: " ")) {
            guard let letter = field.first else { continue }
            let isCount = letter == UInt8(ascii: "c") || letter == UInt8(ascii: "m")
            values[letter] = Self.number(field.dropFirst(), decimals: isCount ? 0 : 6)
        }
        func value(_ letter: Unicode.Scalar) -> Int? { values[UInt8(ascii: letter)] }
        self.init(contextLength: value("c"), maxOutput: value("m"))
        // Vendors of vectors have no price for output.
        var price = Price(input: value("i") ?? 0, output: value("o") ?? 0)
        // In the source nothing tells a model that is free from one whose price nobody knew.
        guard price.input > 0 || price.output > 0 else { return }
        price.cacheRead = value("r")
        price.cacheWrite = value("w")
        price.cacheWriteHour = value("h")
        price.inputAudio = value("a")
        price.outputAudio = value("b")
        price.reasoning = value("t")
        price.inputAbove200K = value("I")
        price.outputAbove200K = value("O")
        self.price = price
    }

    /// A decimal number as a whole one of its last place.
    private static func number(_ text: some Sequence<UInt8>, decimals: Int) -> Int? {
        var value = 0
        var places: Int?
        for byte in text {
            if byte == UInt8(ascii: ".") {
                places = 0
                continue
            }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), value < 1 << 50 else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
            places = places.map { $0 + 1 }
        }
        guard decimals >= (places ?? 0) else { return nil }
        for _ in (places ?? 0)..<decimals { value = value.multipliedReportingOverflow(by: 10).partialValue }
        return value
    }
}
