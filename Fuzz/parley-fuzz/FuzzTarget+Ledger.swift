// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess

@testable import ParleyStore

extension FuzzTarget {
    /// What the ledger reads from the disk, where a crash may have left anything.
    static let ledger: [FuzzTarget] = [
        FuzzTarget(name: "call-pack") { bytes in
            var calls: [[UInt8]] = []
            let reader = PackedCalls.Reader()
            // Behind the four bytes that a pack begins with, and as it is.
            let pack = Array(PackedCalls.Writer().bytes) + bytes
            for bytes in [pack, Array(bytes)] {
                bytes.withUnsafeBytes { bytes in
                    reader.each(in: bytes) { call in
                        if (try? CallRecord(call)) != nil { calls.append(Array(call)) }
                    }
                }
            }
            repack(calls, reader)
        },
        FuzzTarget(name: "journal-chunk") { bytes in
            for generation in [0, 1] as [UInt32] {
                let part = JournalPart(generation: generation, start: 0, end: bytes.count)
                var chunk = JournalChunk(end: 0)
                chunk.bytes = Array(bytes)
                _ = chunk.take(part, isLast: true)
                chunk.bytes.withUnsafeBytes { bytes in
                    JournalFrame.calls(in: bytes) { _ = try? CallRecord($0) }
                }
            }
        },
    ]

    /// Calls that can be read are the same when they come out of another pack.
    private static func repack(_ calls: [[UInt8]], _ reader: PackedCalls.Reader) {
        let writer = PackedCalls.Writer()
        var expected: [CallRecord] = []
        for call in calls {
            call.withUnsafeBytes { call in
                guard let head = CallReader.head(of: call), let id = PackedCalls.id(of: head),
                    let record = try? CallRecord(call)
                else { return }
                writer.append(call, head, id: id)
                expected.append(record)
            }
        }
        var found: [CallRecord] = []
        reader.each(in: writer.bytes) { call in
            if let record = try? CallRecord(call) { found.append(record) }
        }
        if found != expected { crash("calls in a pack are others") }
    }
}
