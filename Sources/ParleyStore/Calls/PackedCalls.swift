// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyAccess

/// How calls lie in a pack. Most have the same texts as one shortly before, and ids of our own; both are half of a call.
///
/// Four bytes that no ``CallList`` begins with, then the calls. Each is
///
/// - a byte with the place, out of sixteen, of what it has in common with others;
/// - where that byte has its highest bit, what is put into this place: the first five bytes of the call (``CallLayout``: its
///   version and mask), a length, and the texts behind the id;
/// - the number of the id in fifteen bytes, and how much later than the id says the call came;
/// - a length, and what comes behind the call's time.
///
/// Lengths and differences are numbers as in a call. Packs of earlier versions, and of single calls, are a ``CallList``.
enum PackedCalls {
    /// As a length of the first call, it is longer than any pack.
    fileprivate static let mark = (0x5043_32FF as UInt32).bigEndian
    fileprivate static let places = 16
    fileprivate static let isNew: UInt8 = 0x80
    /// The version and the mask.
    fileprivate static let startSize = 5
    /// An id with its length.
    fileprivate static let idSize = 1 + CallID.length
    fileprivate static let longestNumber = 10

    /// The number of a call's id; nil where the call cannot lie among others, since its id does not say its time.
    static func id(of head: CallReader.Head) -> CallID.Number? {
        // Bytes that nobody wrote may say the length of an id in a longer way.
        guard head.texts.lowerBound == startSize + idSize, let id = CallID.Number(head.id), id.tells(head.time) else {
            return nil
        }
        return id
    }

    // MARK: Writing

    /// Writes a pack.
    final class Writer {
        private struct Common {
            var start: UInt64
            /// Where the texts lie in the pack.
            var place: Int
            var length: Int
        }

        private var base: UnsafeMutableRawPointer
        private var capacity = 4 << 10
        private var count: Int
        private let commons = UnsafeMutablePointer<Common>.allocate(capacity: places)
        /// How many of them there are, which is written over next, and which was the last.
        private var used = 0
        private var next = 0
        private var last = 0

        init() {
            base = .allocate(byteCount: capacity, alignment: 8)
            base.storeBytes(of: mark, as: UInt32.self)
            count = MemoryLayout<UInt32>.size
        }

        deinit {
            base.deallocate()
            commons.deallocate()
        }

        /// The pack; good until the next call.
        var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

        /// Appends a whole call, the number of whose id is ``PackedCalls/id(of:)``.
        func append(_ call: UnsafeRawBufferPointer, _ head: CallReader.Head, id: CallID.Number) {
            guard let memory = call.baseAddress else { return }
            reserve(call.count + 5 * longestNumber)
            let texts = memory + head.texts.lowerBound
            let length = head.texts.count
            let start = UInt64(call[0]) << 32 | UInt64(call.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
            if let place = place(of: start, texts, length) {
                last = place
                byte(UInt8(truncatingIfNeeded: place))
            } else {
                last = next
                next = (next + 1) % places
                used = max(used, last + 1)
                byte(UInt8(truncatingIfNeeded: last) | isNew)
                copy(memory, startSize)
                number(UInt64(length))
                commons[last] = Common(start: start, place: count, length: length)
                copy(texts, length)
            }
            id.write(to: base + count)
            count += CallID.Number.size
            let later = head.time - id.time
            number(UInt64(bitPattern: later << 1 ^ later >> 63))
            var rest = head.texts.upperBound
            while rest < call.count, call[rest] >= 0x80 { rest += 1 }
            rest = min(rest + 1, call.count)
            number(UInt64(call.count - rest))
            copy(memory + rest, call.count - rest)
        }

        @inline(__always)
        private func place(of start: UInt64, _ texts: UnsafeRawPointer, _ length: Int) -> Int? {
            func isSame(_ place: Int) -> Bool {
                let common = commons[place]
                return common.start == start && common.length == length
                    && memcmp(base + common.place, texts, length) == 0
            }
            if used > 0, isSame(last) { return last }
            for place in 0..<used where isSame(place) { return place }
            return nil
        }

        @inline(__always)
        private func byte(_ value: UInt8) {
            base.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
            count += 1
        }

        @inline(__always)
        private func copy(_ start: UnsafeRawPointer, _ length: Int) {
            memcpy(base + count, start, length)
            count += length
        }

        private func number(_ value: UInt64) { count += Varint.write(value, to: base + count) }

        private func reserve(_ room: Int) {
            guard capacity - count < room else { return }
            let larger = max(capacity * 2, count + room)
            let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
            memcpy(memory, base, count)
            base.deallocate()
            (base, capacity) = (memory, larger)
        }
    }

    // MARK: Reading

    /// Reads packs, always with the same memory.
    final class Reader {
        /// A whole call, in which the texts stay for the next one that has the same.
        private struct Common {
            var memory: UnsafeMutableRawPointer
            var capacity: Int
            /// Up to the end of the texts; zero where nothing was put here in this pack.
            var length: Int
        }

        private let commons: UnsafeMutablePointer<Common>

        init() {
            commons = .allocate(capacity: places)
            for place in 0..<places {
                commons[place] = Common(memory: .allocate(byteCount: 256, alignment: 8), capacity: 256, length: 0)
            }
        }

        deinit {
            for place in 0..<places { commons[place].memory.deallocate() }
            commons.deallocate()
        }

        /// Calls `body` with every call of a pack, in order, whose bytes are good for as long as that takes; what follows
        /// something that cannot be is left out.
        func each(in pack: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
            guard pack.count >= MemoryLayout<UInt32>.size, pack.loadUnaligned(as: UInt32.self) == mark else {
                return try CallList.each(in: pack, body)
            }
            for place in 0..<places { commons[place].length = 0 }
            var rest = UnsafeRawBufferPointer(rebasing: pack[MemoryLayout<UInt32>.size...])
            while let call = next(&rest) { try body(call) }
        }

        private func next(_ rest: inout UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
            guard let control = rest.first, control & ~isNew < places else { return nil }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
            let place = Int(control & ~isNew)
            if control & isNew != 0 {
                guard let start = Self.take(startSize, &rest), let texts = Self.part(&rest) else { return nil }
                put(start, texts, at: place)
            }
            guard commons[place].length > 0, let number = Self.take(CallID.Number.size, &rest)?.baseAddress,
                let later = Varint.read(&rest), let tail = Self.part(&rest)
            else { return nil }
            let id = CallID.Number(at: number)
            let time = id.time &+ (Int64(bitPattern: later >> 1) ^ -Int64(bitPattern: later & 1))
            let length = commons[place].length
            reserve(length + longestNumber + tail.count, at: place)
            let memory = commons[place].memory
            id.writeID(to: memory + startSize + 1)
            var end = length + Varint.write(UInt64(bitPattern: time << 1 ^ time >> 63), to: memory + length)
            if let start = tail.baseAddress { memcpy(memory + end, start, tail.count) }
            end += tail.count
            return UnsafeRawBufferPointer(start: memory, count: end)
        }

        private func put(_ start: UnsafeRawBufferPointer, _ texts: UnsafeRawBufferPointer, at place: Int) {
            reserve(startSize + idSize + texts.count, at: place)
            let memory = commons[place].memory
            if let start = start.baseAddress { memcpy(memory, start, startSize) }
            // The length of an id, and one.
            memory.storeBytes(of: UInt8(idSize), toByteOffset: startSize, as: UInt8.self)
            if let start = texts.baseAddress { memcpy(memory + startSize + idSize, start, texts.count) }
            commons[place].length = startSize + idSize + texts.count
        }

        private func reserve(_ room: Int, at place: Int) {
            let common = commons[place]
            guard common.capacity < room else { return }
            let larger = max(common.capacity * 2, room)
            let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
            memcpy(memory, common.memory, common.length)
            common.memory.deallocate()
            commons[place] = Common(memory: memory, capacity: larger, length: common.length)
        }

        /// The next bytes behind their length.
        private static func part(_ rest: inout UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
            guard let length = Varint.read(&rest), length <= UInt64(rest.count) else { return nil }
            return take(Int(length), &rest)
        }

        @inline(__always)
        private static func take(
            _ count: Int, _ rest: inout UnsafeRawBufferPointer
        ) -> UnsafeRawBufferPointer? {
            guard count <= rest.count else { return nil }
            defer { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }
            return UnsafeRawBufferPointer(rebasing: rest[..<count])
        }
    }
}

/// Numbers of seven bits to a byte, the lowest first, as ``CallLayout`` has them.
private enum Varint {
    /// Writes a number to a place of ten bytes; how many it took.
    @inline(__always)
    static func write(_ value: UInt64, to place: UnsafeMutableRawPointer) -> Int {
        var rest = value
        var count = 0
        while rest >= 0x80 {
            place.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
            rest >>= 7
            count += 1
        }
        place.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
        return count + 1
    }

    /// Takes a number from the bytes; nil where there is none.
    @inline(__always)
    static func read(_ bytes: inout UnsafeRawBufferPointer) -> UInt64? {
        var value: UInt64 = 0
        for place in 0..<min(bytes.count, 9) {
            let byte = bytes[place]
            value |= UInt64(byte & 0x7F) << UInt64(7 * place)
            guard byte >= 0x80 else {
                bytes = UnsafeRawBufferPointer(rebasing: bytes[(place + 1)...])
                return value
            }
        }
        return nil
    }
}
