// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore

/// The wall clock as log lines need it: milliseconds since 1970 in UTC, written as ISO 8601.
public enum LogTimestamp {
    /// The present, in milliseconds since 1970-01-01 00:00 UTC.
    public static func now() -> Int64 {
        var time = timespec()
        guard clock_gettime(CLOCK_REALTIME, &time) == 0 else { return 0 }
        return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
    }

    /// The Gregorian date of a day counted from 1970-01-01.
    ///
    /// Years begin in March here, so that the leap day is a year's last and months need no table; an era is the 400
    /// years after which the calendar repeats.
    static func civil(day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = day &+ 719_468
        let era = (shifted >= 0 ? shifted : shifted &- 146_096) / 146_097
        let dayOfEra = shifted &- era &* 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra &+ era &* 400 &+ (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}

/// Writes timestamps, keeping the text of the last second, since neighbouring lines share it.
struct TimestampWriter {
    private var second = Int64.min
    private var text = ""

    /// Appends e.g. `2026-11-21T02:09:56.123Z`; the time is in milliseconds since 1970.
    mutating func write(_ milliseconds: Int64, into out: inout ByteBuffer) {
        let rest = enter(milliseconds)
        out.writeString(text)
        out.writePadded(rest, width: 3)
        out.writeStaticString("Z")
    }

    /// The same for a line with its room reserved.
    mutating func write(_ milliseconds: Int64, into out: inout LineWriter) {
        let rest = enter(milliseconds)
        out.writePlain(text)
        out.write(Int(rest), width: 3)
        out.write("Z")
    }

    /// Makes `text` that of the second.
    ///
    /// - Returns: the milliseconds within it.
    private mutating func enter(_ milliseconds: Int64) -> Int64 {
        let (quotient, remainder) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        let current = remainder < 0 ? quotient - 1 : quotient
        if current != second {
            second = current
            text = Self.secondText(current)
        }
        return remainder < 0 ? remainder + 1000 : remainder
    }

    private static func secondText(_ second: Int64) -> String {
        let (quotient, remainder) = second.quotientAndRemainder(dividingBy: 86_400)
        let day = remainder < 0 ? quotient - 1 : quotient
        let time = remainder < 0 ? remainder + 86_400 : remainder
        let date = LogTimestamp.civil(day: day)
        var out = ByteBuffer()
        out.writePadded(date.year, width: 4)
        out.writeStaticString("-")
        out.writePadded(date.month, width: 2)
        out.writeStaticString("-")
        out.writePadded(date.day, width: 2)
        out.writeStaticString("T")
        out.writePadded(time / 3600, width: 2)
        out.writeStaticString(":")
        out.writePadded(time / 60 % 60, width: 2)
        out.writeStaticString(":")
        out.writePadded(time % 60, width: 2)
        out.writeStaticString(".")
        return String(buffer: out)
    }
}
