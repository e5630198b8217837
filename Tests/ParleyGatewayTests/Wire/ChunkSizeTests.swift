// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Testing

@testable import ParleyGateway

@Suite struct ChunkSizeTests {
    @Test(arguments: [
        0, 1, 9, 10, 15, 16, 159, 160, 0xABC, 0xDEF0, 0x0A0A_0A0A, 0x1234_5678, 0x9ABC_DEF0, 0x9999_9999, UInt32.max,
    ])
    func `a size is written as eight hexadecimal digits`(size: UInt32) {
        let digits = OutgoingPiece.hexadecimal(size)
        let text = withUnsafeBytes(of: digits.bigEndian) { String(decoding: $0, as: UTF8.self) }
        let plain = String(size, radix: 16)
        #expect(text == String(repeating: "0", count: 8 - plain.count) + plain)
    }
}
