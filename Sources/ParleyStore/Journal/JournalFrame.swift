// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A journal is a row of frames, each some calls that were written together: a head, then the calls as in ``CallList``.
///
/// The head is four bytes that say so, the length of what follows, the number of calls, the generation and a checksum of
/// eight, all with the lowest byte first. What a power cut left of the last frame is known by its checksum.
///
/// Files are written over again and again. The generation says in which use of its file a frame was written, beginning with
/// zero: behind the last frame of a use, or between frames that a power cut let reach the disk in another order, lies what
/// former uses wrote, with checksums that are right. It is part of the checksum, too, so that no head of one use goes with
/// what follows it of another.
enum JournalFrame {
    static let headSize = 24
    /// A frame that is as long takes no more calls.
    static let standardSize = 32 << 10
    /// The longest call.
    static let longestCall = 1 << 20
    private static let magic: UInt32 = 0x314A_4350

    struct Head {
        var length: Int
        var calls: Int
        var generation: UInt32 = 0
        var checksum: UInt64 = 0
    }

    static func write(_ head: Head, to place: UnsafeMutableRawPointer) {
        place.storeBytes(of: magic.littleEndian, as: UInt32.self)
        place.storeBytes(of: UInt32(truncatingIfNeeded: head.length).littleEndian, toByteOffset: 4, as: UInt32.self)
        place.storeBytes(of: UInt32(truncatingIfNeeded: head.calls).littleEndian, toByteOffset: 8, as: UInt32.self)
        place.storeBytes(of: head.generation.littleEndian, toByteOffset: 12, as: UInt32.self)
        place.storeBytes(of: head.checksum.littleEndian, toByteOffset: 16, as: UInt64.self)
    }

    /// The head at the beginning of the bytes; nil where they are none.
    static func head(of bytes: UnsafeRawBufferPointer) -> Head? {
        guard bytes.count >= headSize, bytes.loadUnaligned(as: UInt32.self) == magic.littleEndian else { return nil }
        let length = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let calls = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard length <= standardSize + longestCall + CallList.overhead else { return nil }
        return Head(
            length: Int(length), calls: Int(calls),
            generation: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self)),
            checksum: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)))
    }

    /// Tells whole frames from what a crash left of one; no protection against anybody.
    static func checksum(_ bytes: UnsafeRawBufferPointer, generation: UInt32) -> UInt64 {
        var sum: UInt64 = 0x9E37_79B9_7F4A_7C15 ^ UInt64(bytes.count) ^ UInt64(generation) << 32
        func mix(_ word: UInt64) {
            sum = (sum ^ word) &* 0xFF51_AFD7_ED55_8CCD
            sum ^= sum >> 32
        }
        var at = 0
        while bytes.count - at >= 8 {
            mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
            at += 8
        }
        while at < bytes.count {
            mix(UInt64(bytes[at]) + 1)
            at += 1
        }
        return sum
    }

    /// Calls `body` with every call of whole frames, in order, without a look at their checksums.
    static func calls(in bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        var at = 0
        while let head = head(of: UnsafeRawBufferPointer(rebasing: bytes[at...])) {
            let start = at + headSize
            at = start + head.length
            guard at <= bytes.count else { return }
            try CallList.each(in: UnsafeRawBufferPointer(rebasing: bytes[start..<at]), body)
        }
    }
}
