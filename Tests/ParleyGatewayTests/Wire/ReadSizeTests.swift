// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import Testing

@testable import ParleyGateway

@Suite struct ReadSizeTests {
    /// The sizes behind reads of so many bytes each.
    private func sizes(_ first: UInt32, _ reads: Int...) -> [Int?] {
        var size = ReadSize(first: first)
        return reads.map { count in
            let grows = size.record(actualReadBytes: count)
            let next = size.nextBufferSize()
            #expect(grows == (count >= 1024 && next == count * 2))
            return next
        }
    }

    @Test func `a full read doubles the size, up to 64 KB`() {
        #expect(sizes(1024, 1024, 2048, 4096) == [2048, 4096, 8192])
        #expect(sizes(64 << 10, 64 << 10) == [64 << 10])
        #expect(sizes(32 << 10, 32 << 10, 64 << 10) == [64 << 10, 64 << 10])
    }

    @Test func `two small reads in a row halve it, down to 1 KB`() {
        #expect(sizes(4096, 100, 100, 100, 100, 100, 100) == [4096, 2048, 2048, 1024, 1024, 1024])
        #expect(sizes(4096, 100, 3000, 100, 100) == [4096, 4096, 4096, 2048])
        #expect(sizes(1024, 0, 0) == [1024, 1024])
    }

    @Test func `it lies inside the channel`() {
        // What is larger gets memory of its own.
        #expect(MemoryLayout<ReadSize>.size <= 3 * MemoryLayout<Int>.size)
        #expect(ReadSize(first: 2048).buffer(allocator: ByteBufferAllocator()).writableBytes == 2048)
    }
}
