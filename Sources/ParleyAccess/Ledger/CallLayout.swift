// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// How a call's record lies in bytes, from the event loop to the store. No object goes that way: what one thread makes and
/// another throws away costs both of them.
///
/// A version, a mask of four bytes, the texts and the numbers that every call has (`CallReader.Head` has their order), the
/// numbers that the mask names, and where it says so the rest: lists, other attempts, inner calls. The attempt that answered
/// lies in the call itself. A text is its length and one, or zero where there is none; numbers are seven bits to a byte, the
/// lowest first, the sign in the lowest bit. Stores keep these bytes: what a version says stays readable.
public enum CallLayout {
    static let version: UInt8 = 1
    /// How much of a text is kept: what clients name may be as long as they like.
    static let longestText = 1024
    /// How deep inner calls may lie in each other.
    static let deepest = 32

    static let usageShift: UInt32 = 6
    static let streamBit: UInt32 = 1 << 17
    static let estimatedBit: UInt32 = 1 << 18
    static let restBit: UInt32 = 1 << 19

    /// In the mask of attempts and inner calls, behind the classes of usage.
    enum Part {
        static let estimated: UInt32 = 1 << 11
        static let elapsed: UInt32 = 1 << 12
        static let cost: UInt32 = 1 << 13
    }

    /// Bytes that are no call.
    public struct Malformed: Error {
        /// Bytes that are none.
        public init() {}
    }
}
