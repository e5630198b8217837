// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// How much a connection reads at once: twice as much when a read filled its buffer, half as much when two reads in a row
/// needed no more than that.
///
/// As NIO's own adaptive sizes do it, but small enough to lie inside the channel: theirs have a memory of their own, which
/// is cold when a slow stream's next event arrives.
struct ReadSize: RecvByteBufferAllocator {
    private static let least: UInt32 = 1 << 10
    private static let most: UInt32 = 64 << 10

    private var next: UInt32
    private var wasHalfEmpty = false

    /// - Parameter first: bytes of the first read; a power of two.
    init(first: UInt32) {
        next = min(max(first, Self.least), Self.most)
    }

    func nextBufferSize() -> Int? { Int(next) }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: Int(next)) }

    /// Takes note of a read.
    ///
    /// - Returns: whether the next one is larger.
    mutating func record(actualReadBytes count: Int) -> Bool {
        if count >= Int(next) {
            wasHalfEmpty = false
            guard next < Self.most else { return false }
            next *= 2
            return true
        }
        let isHalfEmpty = count <= Int(next / 2) && next > Self.least
        if isHalfEmpty, wasHalfEmpty { next /= 2 }
        // Halved once, it takes two reads again.
        wasHalfEmpty = isHalfEmpty && !wasHalfEmpty
        return false
    }
}
