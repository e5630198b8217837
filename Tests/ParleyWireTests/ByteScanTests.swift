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

    @Test("Values of HTTP headers")
    func fields() {
        check({ Int(parley_field_run($0, $1)) }) { bytes, at in
            bytes[at] < 0x20 && bytes[at] != UInt8(ascii: "\t") || bytes[at] == 0x7F
        }
    }
}

@Suite struct ChatFrameScanTests {
    private struct Frame: Equatable {
        var payload: Range<Int>
        var end: Int
        var isRemarkable: Bool
    }

    private func frame(_ text: String, seeksFinish: Bool = true) -> Frame? {
        Array(text.utf8).withUnsafeBytes { bytes in
            var frame = parley_frame()
            guard let base = bytes.baseAddress,
                parley_chat_frame(base, bytes.count, seeksFinish ? 1 : 0, &frame) != 0
            else { return nil }
            return Frame(
                payload: frame.payload..<frame.payload_end, end: frame.end, isRemarkable: frame.is_remarkable != 0)
        }
    }

    /// Blocks are of 16 and 32 bytes, so that every place in and between them is tried.
    @Test(arguments: [
        ("\"finish_reason\":\"stop\"", true), ("\"finish_reason\": null", false), ("\"usage\":{}", true),
        ("\"usage\":null", false), ("\"error\":{}", true), ("\"error\":\"\"", false), ("\"e\":1", false),
        ("\"object\":\"error\"", true), ("\\\"usage\\\":1", false),
    ])
    func `a key that matters is found wherever it lies`(key: String, isRemarkable: Bool) {
        for before in 0..<70 {
            for after in [0, 1, 20, 50] {
                for (space, lineEnd) in [("", "\n"), (" ", "\r\n")] {
                    let start = "data:\(space)"
                    let object =
                        "{\(String(repeating: "x", count: before))\(key)\(String(repeating: "y", count: after))}"
                    let expected = Frame(
                        payload: start.utf8.count..<start.utf8.count + object.utf8.count,
                        end: (start + object + lineEnd + lineEnd).utf8.count, isRemarkable: isRemarkable)
                    #expect(frame(start + object + lineEnd + lineEnd) == expected)
                    #expect(frame(start + object + lineEnd + lineEnd + "data: {\"usage\":1}\n\n") == expected)
                    #expect(frame(start + object + lineEnd) == nil)
                    #expect(frame(start + object) == nil)
                }
            }
        }
    }

    @Test func `a finish reason matters only where one is sought`() {
        #expect(frame("data: {\"finish_reason\":\"stop\"}\n\n", seeksFinish: false)?.isRemarkable == false)
        #expect(frame("data: {\"finish_reason\":\"stop\"}\n\n")?.isRemarkable == true)
    }

    @Test(arguments: [
        "data: [DONE]\n\n", "data: {}\n \n", "data: {} \n\n", "data: {}\r\n\n", "data: {}\n\r\n", "data: {}\r\r",
        "event: x\ndata: {}\n\n", "data: {\ndata: }\n\n", ": {}\n\n", "data", "", "data: {}",
    ])
    func `frames of another form are left to others`(text: String) {
        #expect(frame(text) == nil)
    }

    @Test func `the last line feed may come later`() {
        #expect(frame("data: {}\r\n\r") == Frame(payload: 6..<8, end: 11, isRemarkable: false))
    }
}

@Suite struct ChunkJoinTests {
    private func join(_ text: String) -> (String, Int) {
        let bytes = Array(text.utf8)
        var out = [UInt8](repeating: 0, count: bytes.count)
        var used = 0
        let count = bytes.withUnsafeBytes { source in
            out.withUnsafeMutableBytes { target in
                source.baseAddress.flatMap { from in
                    target.baseAddress.map { parley_join_chunks(from, source.count, $0, &used) }
                } ?? 0
            }
        }
        return (String(decoding: out[..<count], as: UTF8.self), used)
    }

    @Test(arguments: [
        ("1\r\na\r\n00b\r\nhello world\r\n", "ahello world", 24), ("1\r\na\r\n0\r\n\r\n", "a", 6),
        ("1\r\na\r\n2\r\nb", "a", 6), ("1\r\na\r\n2\r\nbb\r", "a", 6), ("A\r\n0123456789\r\n", "0123456789", 15),
        ("1;x\r\na\r\n", "", 0), ("1\na\n", "", 0), ("1\r\nab\r\n", "", 0), ("00000001\r\na\r\n", "", 0),
        ("fffffff\r\na\r\n", "", 0), ("\r\n", "", 0), ("", "", 0), ("1\r\na\r\n1", "a", 6),
    ])
    func `whole plain chunks are joined, and no others`(text: String, joined: String, used: Int) {
        let found = join(text)
        #expect(found.0 == joined)
        #expect(found.1 == used)
    }
}
