// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The ways of cutting a body into the pieces in which a network might deliver it.
///
/// A decoder must give the same result for all of them. Where chance decides, the seed is part of the description, so
/// that a failing test prints what is needed to repeat it.
public enum Splits {
    /// One way of cutting a body of a certain length.
    public struct Plan: Sendable, Hashable, CustomStringConvertible {
        /// What a failing test prints.
        public let description: String
        /// Where to cut: ascending, each within the body.
        public let cuts: [Int]

        /// The pieces of a body, none of them empty unless the body is; cuts beyond its end are passed over.
        public func pieces(of bytes: [UInt8]) -> [[UInt8]] {
            var pieces: [[UInt8]] = []
            var start = 0
            for cut in cuts where cut > start && cut < bytes.count {
                pieces.append(Array(bytes[start..<cut]))
                start = cut
            }
            pieces.append(Array(bytes[start...]))
            return pieces
        }
    }

    /// Bodies up to this many bytes get every two-part split.
    public static let exhaustiveBytes = 8_192
    /// How many two-part splits a longer body gets.
    public static let sampledSplits = 200

    /// Every kind of plan for a body of this length: whole, in two parts, bytewise, and in random parts.
    public static func plans(forBytes count: Int, seed: UInt64 = 1, manyPart: Int = 16) -> [Plan] {
        [Plan(description: "whole", cuts: [])] + twoPart(forBytes: count, seed: seed) + [bytewise(forBytes: count)]
            + (0..<max(0, manyPart)).map { self.manyPart(forBytes: count, seed: seed &+ UInt64($0)) }
    }

    /// Two parts: every place of a body up to `exhaustiveBytes`, else `sampledSplits` places drawn with the seed.
    public static func twoPart(forBytes count: Int, seed: UInt64 = 1) -> [Plan] {
        guard count > 1 else { return [] }
        if count <= exhaustiveBytes {
            return (1..<count).map { Plan(description: "in two at \($0)", cuts: [$0]) }
        }
        var generator = SeededGenerator(seed: seed)
        return (0..<sampledSplits).map { _ in
            let cut = Int.random(in: 1..<count, using: &generator)
            return Plan(description: "in two at \(cut) (seed \(seed))", cuts: [cut])
        }
    }

    /// One byte at a time.
    public static func bytewise(forBytes count: Int) -> Plan {
        Plan(description: "bytewise", cuts: count > 1 ? Array(1..<count) : [])
    }

    /// Pieces of random sizes, between 1 byte and a most that is itself random, up to 1,024.
    public static func manyPart(forBytes count: Int, seed: UInt64) -> Plan {
        var generator = SeededGenerator(seed: seed)
        let most = 1 << Int.random(in: 1...10, using: &generator)
        var cuts: [Int] = []
        var place = Int.random(in: 1...most, using: &generator)
        while place < count {
            cuts.append(place)
            place += Int.random(in: 1...most, using: &generator)
        }
        return Plan(description: "in \(cuts.count + 1) parts of at most \(most) (seed \(seed))", cuts: cuts)
    }
}
