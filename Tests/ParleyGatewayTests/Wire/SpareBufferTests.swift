// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import Testing

@testable import ParleyGateway

@Suite struct SpareBufferTests {
    @Test func `memory is used again once nobody else refers to it`() {
        var spare = SpareBuffer()
        var first = spare.take(room: 100)
        first.writeString("first")
        let place = first.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
        spare.give(back: first)
        first = ByteBuffer()
        var second = spare.take(room: 100)
        #expect(second.readableBytes == 0)
        second.writeString("second")
        #expect(second.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) } == place)
    }

    @Test func `what a channel has not sent yet is not written over`() {
        var spare = SpareBuffer()
        var waiting: [ByteBuffer] = []
        for number in 0..<5 {
            var buffer = spare.take(room: 16)
            buffer.writeString("piece \(number)")
            waiting.append(buffer)
            spare.give(back: buffer)
        }
        #expect(waiting.map { String(buffer: $0) } == (0..<5).map { "piece \($0)" })
    }

    @Test func `two that are taken at once do not share memory, and much memory is not kept`() {
        var spare = SpareBuffer()
        var (one, two) = (spare.take(room: 16), spare.take(room: 1 << 20))
        one.writeString("one")
        two.writeString("two")
        #expect(String(buffer: one) == "one" && String(buffer: two) == "two")
        spare.give(back: two)
        #expect(spare.take(room: 16).capacity < 1 << 16)
    }
}
