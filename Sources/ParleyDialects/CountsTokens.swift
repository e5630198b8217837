// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// A dialect in which the length of a request can be asked for.
public protocol CountsTokens: Dialect {
    /// Reads a client's request to be counted.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    func decodeCountRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest

    /// Writes a request to be counted for an upstream.
    ///
    /// - Parameter dropped: gains the names of fields that this dialect cannot carry and that do not matter.
    /// - Throws: `invalid` where something that matters cannot be carried.
    func encodeCountRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer

    /// Reads an upstream's count.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    func decodeCount(_ body: ByteBuffer) throws(ParleyError) -> Int

    /// Writes a count for a client.
    func encodeCount(_ count: Int) -> ByteBuffer
}
