// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The ids that calls get whose client sent none: `req_`, nine digits of the time, and fifteen that tell calls apart. The
/// digits are those of base 32.
///
/// They grow with time, and so a call of such an id is found by when it came: no index has to be kept of them, which would
/// cost more than all the rest of writing a call down.
public enum CallID {
    /// How many bytes an id has.
    public static let length = 28

    /// How far an id's time may lie from its call's, in milliseconds, for the call to be found by it.
    public static let tolerance: Int64 = 2_000

    /// The largest time that nine digits can say.
    private static let lastTime: Int64 = 1 << 45

    /// Eight digits of the lower 40 bits, the highest first, as they lie in memory.
    @inlinable
    public static func digits(_ bits: UInt64) -> UInt64 {
        // Five bits into each byte: halves apart, then quarters, then eighths.
        var spread = (bits & 0xF_FFFF) | (bits & 0xFF_FFF0_0000) << 12
        spread = (spread & 0x0000_03FF_0000_03FF) | (spread & 0x000F_FC00_000F_FC00) << 6
        spread = (spread & 0x001F_001F_001F_001F) | (spread & 0x03E0_03E0_03E0_03E0) << 3
        // From ten on they are letters.
        let letters = ((spread &+ 0x7676_7676_7676_7676) >> 7) & 0x0101_0101_0101_0101
        return (spread &+ 0x3030_3030_3030_3030 &+ letters &* 39).bigEndian
    }

    /// The id of a call that came at `time`, in milliseconds since 1970; `noise` and `more` tell it from others, with 35
    /// and 40 bits.
    @inlinable
    public static func make(time: Int64, noise: UInt64, more: UInt64) -> String {
        let time = UInt64(bitPattern: time)
        return String(unsafeUninitializedCapacity: 28) { out in
            guard let start = out.baseAddress else { return 0 }
            let bytes = UnsafeMutableRawPointer(start)
            bytes.storeBytes(of: (0x7265_715F as UInt32).bigEndian, as: UInt32.self)
            bytes.storeBytes(of: digits(time >> 5), toByteOffset: 4, as: UInt64.self)
            bytes.storeBytes(of: digits((time & 31) << 35 | noise & 0x7_FFFF_FFFF), toByteOffset: 12, as: UInt64.self)
            bytes.storeBytes(of: digits(more), toByteOffset: 20, as: UInt64.self)
            return 28
        }
    }

    /// The lower 40 bits that eight digits say, as they lie in memory: the way back from `digits`, and anything for other
    /// bytes.
    static func bits(_ digits: UInt64) -> UInt64 {
        let characters = digits.bigEndian
        let letters = (characters >> 6) & 0x0101_0101_0101_0101
        var bits = characters &- 0x3030_3030_3030_3030 &- letters &* 39
        bits = (bits & 0x001F_001F_001F_001F) | (bits & 0x1F00_1F00_1F00_1F00) >> 3
        bits = (bits & 0x0000_03FF_0000_03FF) | (bits & 0x03FF_0000_03FF_0000) >> 6
        return (bits & 0x0000_0000_000F_FFFF) | (bits & 0x000F_FFFF_0000_0000) >> 12
    }

    /// The time that an id of this kind says; nil for any other text. A client may have made it up.
    public static func time(of id: UnsafeRawBufferPointer) -> Int64? { Number(id)?.time }

    /// What the digits of an id say, which is all that it says.
    public struct Number: Sendable, Equatable {
        /// The digits, eight at a time, 40 bits each.
        let first, second, third: UInt64

        /// How many bytes it takes.
        public static let size = 15

        private static let prefix = (0x7265_715F as UInt32).bigEndian
        private static let mask: UInt64 = 1 << 40 - 1

        /// The number of an id of this kind; nil for any other text.
        public init?(_ id: UnsafeRawBufferPointer) {
            guard id.count == length, id.loadUnaligned(as: UInt32.self) == Self.prefix else { return nil }
            let texts = (
                id.loadUnaligned(fromByteOffset: 4, as: UInt64.self),
                id.loadUnaligned(fromByteOffset: 12, as: UInt64.self),
                id.loadUnaligned(fromByteOffset: 20, as: UInt64.self)
            )
            (first, second, third) = (bits(texts.0), bits(texts.1), bits(texts.2))
            guard digits(first) == texts.0, digits(second) == texts.1, digits(third) == texts.2 else { return nil }
        }

        /// The number that ``write(to:)`` wrote at a place of fifteen bytes.
        public init(at place: UnsafeRawPointer) {
            let low = UInt64(littleEndian: place.loadUnaligned(as: UInt64.self))
            let high = UInt64(littleEndian: place.loadUnaligned(fromByteOffset: 7, as: UInt64.self))
            first = low & Self.mask
            second = low >> 40 | ((high >> 8) << 24) & Self.mask
            third = high >> 24
        }

        /// Writes the number to a place of fifteen bytes.
        public func write(to place: UnsafeMutableRawPointer) {
            place.storeBytes(of: (first | second << 40).littleEndian, as: UInt64.self)
            place.storeBytes(of: (second >> 16 | third << 24).littleEndian, toByteOffset: 7, as: UInt64.self)
        }

        /// Writes the id to a place of 28 bytes.
        public func writeID(to place: UnsafeMutableRawPointer) {
            place.storeBytes(of: Self.prefix, as: UInt32.self)
            place.storeBytes(of: digits(first), toByteOffset: 4, as: UInt64.self)
            place.storeBytes(of: digits(second), toByteOffset: 12, as: UInt64.self)
            place.storeBytes(of: digits(third), toByteOffset: 20, as: UInt64.self)
        }

        /// The time that the id says.
        public var time: Int64 { Int64(first << 5 | second >> 35) }

        /// Whether a call of that time is found by it.
        public func tells(_ call: Int64) -> Bool {
            (0...lastTime).contains(call) && abs(time - call) <= tolerance
        }
    }
}
