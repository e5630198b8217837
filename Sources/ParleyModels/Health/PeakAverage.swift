// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
public import NIOCore

/// A time as it is lately: it rises at once, falls slowly, and fades while nothing is measured, so that what was slow
/// long ago is tried again.
public struct PeakAverage: Sendable, Equatable {
    /// How long it takes to fade to a bit more than a third.
    public static let decay = TimeAmount.seconds(10)

    private var value = 0.0
    private var noted: NIODeadline?

    /// Nothing measured yet.
    public init() {}

    /// The time in seconds; nil where nothing was measured.
    public func seconds(at now: NIODeadline) -> Double? { noted.map { value * Self.weight(from: $0, to: now) } }

    /// Takes in a measured time.
    public mutating func note(_ time: TimeAmount, at now: NIODeadline) {
        let seconds = max(Double(time.nanoseconds) / 1e9, 1e-6)
        if let noted {
            let weight = Self.weight(from: noted, to: now)
            value = seconds > value * weight ? seconds : value * weight + seconds * (1 - weight)
        } else {
            value = seconds
        }
        noted = now
    }

    /// Takes in that it takes longer than `time`; how long, nobody knows.
    public mutating func noteLonger(than time: TimeAmount, at now: NIODeadline) {
        if Double(time.nanoseconds) / 1e9 > seconds(at: now) ?? 0 { note(time, at: now) }
    }

    private static func weight(from start: NIODeadline, to now: NIODeadline) -> Double {
        exp(-Double(max((now - start).nanoseconds, 0)) / Double(decay.nanoseconds))
    }
}
