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

    /// The time that an id of this kind says; nil for any other text. A client may have made it up.
    public static func time(of id: UnsafeRawBufferPointer) -> Int64? {
        guard id.count == length, id.starts(with: [0x72, 0x65, 0x71, 0x5F]) else { return nil }
        var time: Int64 = 0
        for place in 4..<length {
            let digit: UInt8
            switch id[place] {
            case 0x30...0x39: digit = id[place] - 0x30
            case 0x61...0x76: digit = id[place] - 0x61 + 10
            default: return nil
            }
            if place < 13 { time = time << 5 | Int64(digit) }
        }
        return time
    }

    /// Whether a call is found by the time that its id says.
    public static func tellsTime(_ id: UnsafeRawBufferPointer, of call: Int64) -> Bool {
        guard let time = time(of: id), (0...lastTime).contains(call) else { return false }
        return abs(time - call) <= tolerance
    }
}
