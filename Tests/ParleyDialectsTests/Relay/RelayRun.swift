// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// What came of one stream pushed through a relay.
struct RelayRun: Equatable {
    var output: [UInt8] = []
    var observed = Observation()
    var error: ParleyError?

    var text: String { String(decoding: output, as: UTF8.self) }

    /// Pushes the pieces, then ends the stream. The error's message is the payload where the stream had an error.
    init(_ pieces: [ArraySlice<UInt8>], stripUsage: Bool = false, budget: Int = 32 << 20) {
        let relay = ChatStreamRelay(stripUsage: stripUsage, budget: budget) { payload in
            ParleyError(.upstreamRejected, String(buffer: payload))
        }
        var out = ByteBuffer()
        do throws(ParleyError) {
            for piece in pieces {
                try relay.push(ByteBuffer(bytes: piece), into: &out)
            }
            try relay.finish(into: &out)
        } catch {
            self.error = error
        }
        output = Array(out.readableBytesView)
        observed = relay.observed
    }

    init(_ text: String, stripUsage: Bool = false, budget: Int = 32 << 20) {
        self.init([Array(text.utf8)[...]], stripUsage: stripUsage, budget: budget)
    }
}

/// Random numbers that are the same in every run with the same seed (a linear congruential generator's high bits).
struct SplitGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        func half() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 32
        }
        return half() << 32 | half()
    }
}

/// The bytes in up to `count` + 1 pieces of random length.
func randomPieces(_ bytes: [UInt8], count: Int, seed: UInt64) -> [ArraySlice<UInt8>] {
    var generator = SplitGenerator(state: seed)
    let cuts = (0..<count).map { _ in Int.random(in: 0...bytes.count, using: &generator) }.sorted()
    return zip([0] + cuts, cuts + [bytes.count]).map { bytes[$0..<$1] }
}
