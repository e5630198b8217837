// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyBytes
import Testing

@Suite("Byte scans stop at the first byte they look for")
struct ByteScanTests {
    private func check(
        _ scan: (UnsafeRawPointer, Int) -> Int, _ stops: ([UInt8], Int) -> Bool
    ) {
        for length in 0..<50 {
            for value in UInt8.min...UInt8.max where length > 0 {
                for position in [0, length / 2, length - 1] {
                    var bytes = [UInt8](repeating: UInt8(ascii: "a"), count: length)
                    bytes[position] = value
                    let expected = bytes.indices.first { stops(bytes, $0) } ?? length
                    let found = bytes.withUnsafeBytes { $0.baseAddress.map { scan($0, length) } }
                    #expect(found == expected, "byte \(value) at \(position) of \(length)")
                }
            }
        }
    }

    @Test("Plain text")
    func plain() {
        check({ Int(parley_plain_run($0, $1)) }) { bytes, at in
            bytes[at] < 0x20 || bytes[at] >= 0x80 || bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "\\")
        }
    }

    @Test("Text that needs no escape")
    func unescaped() {
        check({ Int(parley_unescaped_run($0, $1)) }) { bytes, at in
            bytes[at] < 0x20 || bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "\\")
        }
    }

    @Test("Lines")
    func lines() {
        check({ Int(parley_line_run($0, $1)) }) { bytes, at in
            bytes[at] == UInt8(ascii: "\n") || bytes[at] == UInt8(ascii: "\r")
        }
    }

    @Test("Marks of the tap: keys count only with their quote")
    func marks() {
        check({ Int(parley_mark_run($0, $1)) }) { bytes, at in
            bytes[at] == UInt8(ascii: "\n") || bytes[at] == UInt8(ascii: "\r")
        }
        for length in 0..<50 {
            for letter in "aefu" {
                let text = String(repeating: "x", count: length) + "\"" + String(letter) + "rest of the text"
                let expected = letter == "a" ? text.utf8.count : length
                for count in [text.utf8.count, length + 2] {
                    let found = Array(text.utf8).withUnsafeBytes {
                        $0.baseAddress.map { Int(parley_mark_run($0, count)) }
                    }
                    #expect(found == min(expected, count))
                }
                // A quote at the very end has no letter behind it.
                let cut = Array(text.utf8).withUnsafeBytes {
                    $0.baseAddress.map { Int(parley_mark_run($0, length + 1)) }
                }
                #expect(cut == length + 1)
            }
        }
    }
}
