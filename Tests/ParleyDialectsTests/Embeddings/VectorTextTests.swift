// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyDialects

@Suite("Vectors as text")
struct VectorTextTests {
    private func read(_ text: String) -> [Float]? {
        ByteBuffer(string: text).withUnsafeReadableBytes { raw in
            VectorText.read(JSONText(raw), 0..<raw.count)
        }
    }

    private func written(_ vector: [Float], base64: Bool = false) -> String {
        var out = ByteBuffer()
        if base64 { VectorText.writeBase64(vector, into: &out) } else { VectorText.write(vector, into: &out) }
        return String(buffer: out)
    }

    @Test("Every float comes back the same, as numbers and as base64")
    func roundTrip() {
        var dice = Dice(seed: 11)
        for length in [0, 1, 2, 3, 64, 1000] {
            let vector = (0..<length).map { _ -> Float in
                let value = Float(bitPattern: UInt32.random(in: .min ... .max, using: &dice))
                return value.isFinite ? value : 0
            }
            #expect(read(written(vector)) == vector)
            #expect(read(written(vector, base64: true)) == vector)
            let text = written(vector)
            #expect((try? JSON.parse(text))?.array?.count == length)
        }
    }

    @Test("A number is read as the standard library reads it")
    func numbers() {
        var dice = Dice(seed: 12)
        var texts = [
            "0", "-0", "1e10", "1E-5", "0.1", "123456789012345678901234567890", "0.00000000000000000000000001",
            "16777217", "16777216.999999999", "3.4028235e38", "1e-46", "2.5e+3", "0.30000001192092896",
            "8388608.5000000001", "9007199254740993", "1.17549435e-38", "5e-324", "1e-2147483648",
        ]
        for _ in 0..<20_000 {
            let digits = String(UInt64.random(in: 0...99_999_999_999_999_999, using: &dice))
            texts.append("0." + digits)
            texts.append("-\(Double.random(in: -1e6...1e6, using: &dice).magnitude)")
            texts.append("\(UInt8.random(in: 0...9, using: &dice)).\(digits)e\(Int.random(in: -45...30, using: &dice))")
        }
        for text in texts {
            #expect(read("[ \(text) ]")?.first?.bitPattern == Float(text)?.bitPattern, "\(text)")
        }
    }

    @Test(
        "What is no vector is none",
        arguments: [
            "[1e39]", "[null]", "[\"1\"]", "[[1]]", "{}", "1", "null", "[1", "\"AAA\"", "\"AAAAA!==\"", "\"AACAfw==\"",
            "\"A\"", "[true]", "[-]",
        ])
    func hostile(text: String) { #expect(read(text) == nil) }

    @Test("Empty vectors, spaces, and a slash with a backslash before it")
    func odd() {
        #expect(read("[]") == [])
        #expect(read("\"\"") == [])
        #expect(read("[ 1 ,\n2\t]") == [1, 2])
        let plain = written([-1.9990234375, 1.9990234375], base64: true)
        #expect(plain.contains("/"))
        #expect(read(plain.replacing("/", with: "\\/")) == [-1.9990234375, 1.9990234375])
        #expect(read("\"AACAPw\"") == [1])
        #expect(written([.infinity, .nan, 1]) == "[0,0,1.0]")
    }
}
