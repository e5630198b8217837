// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// A dialect in which the length of a request can be asked for.
public protocol CountsTokens: Dialect {
    /// Reads a client's question: a request without what only an answer needs.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    func decodeCountRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest

    /// Writes the question for an upstream.
    func encodeCountRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer

    /// Reads an upstream's answer.
    ///
    /// - Throws: `upstreamUnavailable` where there is no number in it.
    func decodeCount(_ body: ByteBuffer) throws(ParleyError) -> Int

    /// Writes the answer for a client.
    func encodeCount(_ count: Int) -> ByteBuffer
}
