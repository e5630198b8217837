// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Ids for requests whose client sent none: unique, not secret.
struct RequestIDs {
    private static let alphabet = Array("0123456789abcdefghijklmnopqrstuv".utf8)

    /// Random per event loop and process, so that ids of several machines do not meet.
    private var high = UInt64.random(in: .min ... .max)
    private var low = UInt64.random(in: .min ... .max)

    /// The next id: `req_` and 24 letters and digits.
    mutating func next() -> String {
        // A xorshift walk: cheap, and two neighbours look nothing alike.
        low ^= low << 13
        low ^= low >> 7
        low ^= low << 17
        high &+= 0x9E37_79B9_7F4A_7C15
        var bits = high ^ low
        return String(unsafeUninitializedCapacity: 28) { out in
            out[0] = UInt8(ascii: "r")
            out[1] = UInt8(ascii: "e")
            out[2] = UInt8(ascii: "q")
            out[3] = UInt8(ascii: "_")
            for index in 4..<28 {
                if index == 16 { bits = low }
                out[index] = Self.alphabet[Int(truncatingIfNeeded: bits & 31)]
                bits >>= 5
            }
            return 28
        }
    }

    /// Whether a client's own id can be kept: 1 to 128 visible ASCII characters.
    static func isAcceptable(_ id: String) -> Bool {
        let length = id.utf8.count
        return length > 0 && length <= 128 && id.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
