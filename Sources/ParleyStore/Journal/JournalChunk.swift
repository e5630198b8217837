// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A part of one use of a journal's file.
struct JournalPart: Sendable {
    var generation: UInt32
    var start: Int
    var end: Int
}

/// Some whole frames of a journal.
struct JournalChunk: Sendable {
    var bytes: [UInt8] = []
    /// Where in the file they end.
    var end: Int
    var calls = 0
    var next = Next.frames

    /// What follows.
    enum Next {
        /// More frames, or nothing.
        case frames
        /// What a former use of the file left, or a frame of this one whose head did not reach the disk.
        case formerUse
        /// What was to be a frame of this use.
        case noFrame
    }

    /// How many calls are enough.
    private static let enough = 400

    init(end: Int) {
        self.end = end
    }

    /// Keeps the whole frames at the beginning of the bytes that were read.
    ///
    /// - Parameter isLast: whether the part has no more bytes than these.
    /// - Returns: how many bytes to read, where the first frame is longer.
    mutating func take(_ part: JournalPart, isLast: Bool) -> Int? {
        var at = 0
        var needed: Int?
        bytes.withUnsafeBytes { bytes in
            while at < bytes.count, calls < Self.enough {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
                guard let head = JournalFrame.head(of: rest), head.generation == part.generation else {
                    guard isLast || rest.count >= JournalFrame.headSize else { break }
                    // In its first use a file ends with its last frame.
                    next = part.generation == 0 ? .noFrame : .formerUse
                    break
                }
                let size = JournalFrame.headSize + head.length
                guard size <= rest.count else {
                    if isLast { next = .noFrame }
                    if !isLast, at == 0 { needed = size }
                    break
                }
                let payload = UnsafeRawBufferPointer(rebasing: rest[JournalFrame.headSize..<size])
                guard JournalFrame.checksum(payload, generation: head.generation) == head.checksum else {
                    next = .noFrame
                    break
                }
                calls += head.calls
                at += size
            }
        }
        if needed != nil { return needed }
        bytes.removeLast(bytes.count - at)
        end = part.start + at
        return nil
    }
}
