// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import Testing

@testable import ParleyGateway

@Suite("Timestamps of log lines")
struct LogTimestampTests {
    @Test(
        "Milliseconds since 1970 are written as ISO 8601",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (1_795_226_996_123, "2026-11-21T02:09:56.123Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func iso8601(milliseconds: Int64, expected: String) {
        var writer = TimestampWriter()
        var out = ByteBuffer()
        writer.write(milliseconds, into: &out)
        #expect(String(buffer: out) == expected)
    }

    @Test("The kept second is not used for another one")
    func keptSecond() {
        var writer = TimestampWriter()
        var out = ByteBuffer()
        for time: Int64 in [1000, 1999, 2000, 1500] {
            writer.write(time, into: &out)
            out.writeString(" ")
        }
        #expect(
            String(buffer: out)
                == "1970-01-01T00:00:01.000Z 1970-01-01T00:00:01.999Z 1970-01-01T00:00:02.000Z 1970-01-01T00:00:01.500Z "
        )
    }

    @Test("Extreme times do not trap", arguments: [Int64.min, Int64.max])
    func extremes(milliseconds: Int64) {
        var writer = TimestampWriter()
        var out = ByteBuffer()
        writer.write(milliseconds, into: &out)
        #expect(String(buffer: out).hasSuffix("Z"))
    }
}
