// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Calls behind one another, each behind its length in four bytes, the lowest first.
enum CallList {
    /// How many bytes a call takes besides its own.
    static let overhead = 4

    /// Writes a call to memory that has room for it and for what it takes besides.
    static func write(_ call: UnsafeRawBufferPointer, to place: UnsafeMutableRawPointer) {
        place.storeBytes(of: UInt32(truncatingIfNeeded: call.count).littleEndian, as: UInt32.self)
        if let start = call.baseAddress { (place + overhead).copyMemory(from: start, byteCount: call.count) }
    }

    static func append(_ call: UnsafeRawBufferPointer, to list: inout [UInt8]) {
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: call.count).littleEndian) { list.append(contentsOf: $0) }
        list.append(contentsOf: call)
    }

    /// Calls `body` with every call, in order; what follows a length that cannot be is left out.
    static func each(in list: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        var at = 0
        while list.count - at >= overhead {
            let length = Int(UInt32(littleEndian: list.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            at += overhead
            guard length <= list.count - at else { return }
            try body(UnsafeRawBufferPointer(rebasing: list[at..<at + length]))
            at += length
        }
    }
}
