// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// Memory for what is written and leaves at once, used over and over by one event loop.
///
/// What the channel could not send yet keeps its memory: a buffer that somebody else still refers to is not written over, the
/// next one gets memory of its own.
struct SpareBuffer {
    /// What is kept at most: a large answer's memory is given back.
    private static let most = 64 << 10

    private var bytes = ByteBuffer()

    /// An empty buffer with room for as many bytes.
    mutating func take(room: Int) -> ByteBuffer {
        var taken = ByteBuffer()
        swap(&taken, &bytes)
        taken.clear(minimumCapacity: room)
        return taken
    }

    /// Takes a buffer back once it was handed to its channel.
    mutating func give(back buffer: consuming ByteBuffer) {
        if buffer.capacity <= Self.most { bytes = buffer }
    }
}
