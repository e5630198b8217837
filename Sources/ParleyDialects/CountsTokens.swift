// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// A dialect that can ask how many tokens a request has.
public protocol CountsTokens: Dialect {
    /// Reads a client's request to count.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    func decodeCountRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest

    /// Writes a request to count for an upstream.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    func encodeCountRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer

    /// Reads an upstream's count.
    ///
    /// - Throws: `upstreamUnavailable` where it is unreadable.
    func decodeCount(_ body: ByteBuffer) throws(ParleyError) -> Int

    /// Writes a count for a client.
    func encodeCount(_ count: Int) -> ByteBuffer
}
