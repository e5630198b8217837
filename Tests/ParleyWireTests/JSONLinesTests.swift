// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyWire

@Suite("Lines of JSON")
struct JSONLinesTests {
    private func lines(_ pieces: [[UInt8]], budget: Int = 100) throws -> [String] {
        var reader = JSONLines(budget: budget)
        var found: [String] = []
        for piece in pieces {
            reader.push(ByteBuffer(bytes: piece))
            while let line = try reader.next() { found.append(String(buffer: line)) }
        }
        if let line = reader.finish() { found.append(String(buffer: line)) }
        return found
    }

    @Test("Lines are the same wherever the bytes are split")
    func splits() throws {
        let text = Array("\u{FEFF}{\"a\":1}\n\r\n \n{\"b\":\"ä\"}\r\n{\"c\":3}\n\n{\"d\":4} ".utf8)
        let expected = [#"{"a":1}"#, #"{"b":"ä"}"#, #"{"c":3}"#, #"{"d":4}"#]
        #expect(try lines([text]) == expected)
        #expect(try lines(text.map { [$0] }) == expected)
        for cut in 1..<text.count {
            #expect(try lines([Array(text[..<cut]), Array(text[cut...])]) == expected, "at \(cut)")
        }
    }

    @Test("Nothing gives nothing")
    func nothing() throws {
        #expect(try lines([]).isEmpty)
        #expect(try lines([Array("\n\n \r\n".utf8)]).isEmpty)
    }

    @Test("A line over the budget is an error, ended or not")
    func budget() {
        let long = [UInt8](repeating: 0x61, count: 101)
        #expect(throws: ParleyError.self) { try lines([long]) }
        #expect(throws: ParleyError.self) { try lines([long + [0x0A]]) }
        #expect(throws: Never.self) { try lines([Array(long.dropLast()) + [0x0A]]) }
    }
}
