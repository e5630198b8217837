// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Calls that wait to be appended to a journal, in frames, in memory that is used over and over.
final class CallBuffer {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0
    /// Where the last frame begins.
    private var frame = 0
    private var head = JournalFrame.Head(length: 0, calls: 0)
    /// How many calls there are.
    private(set) var calls = 0

    private static let standardCapacity = 64 << 10
    /// What a burst has made larger than that is given back.
    private static let keptCapacity = 1 << 20

    init() {
        capacity = Self.standardCapacity
        base = .allocate(byteCount: capacity, alignment: 8)
    }

    deinit { base.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    func append(_ call: UnsafeRawBufferPointer) {
        let room = call.count + CallList.overhead + JournalFrame.headSize
        if capacity - count < room { grow(room) }
        if count == 0 || count - frame >= JournalFrame.standardSize {
            frame = count
            head = JournalFrame.Head(length: 0, calls: 0)
            count += JournalFrame.headSize
        }
        CallList.write(call, to: base + count)
        count += call.count + CallList.overhead
        head.length += call.count + CallList.overhead
        head.calls += 1
        JournalFrame.write(head, to: base + frame)
        calls += 1
    }

    /// Fills in the generation and the checksums.
    func seal(generation: UInt32) {
        var at = 0
        while var head = JournalFrame.head(of: UnsafeRawBufferPointer(rebasing: bytes[at...])) {
            let start = at + JournalFrame.headSize
            let end = start + head.length
            guard end <= count else { return }
            head.generation = generation
            head.checksum = JournalFrame.checksum(
                UnsafeRawBufferPointer(rebasing: bytes[start..<end]), generation: generation)
            JournalFrame.write(head, to: base + at)
            at = end
        }
    }

    func clear() {
        (count, frame, calls) = (0, 0, 0)
        guard capacity > Self.keptCapacity else { return }
        base.deallocate()
        capacity = Self.standardCapacity
        base = .allocate(byteCount: capacity, alignment: 8)
    }

    @inline(never)
    private func grow(_ room: Int) {
        let larger = max(capacity * 2, count + room)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
        memory.copyMemory(from: base, byteCount: count)
        base.deallocate()
        (base, capacity) = (memory, larger)
    }
}
