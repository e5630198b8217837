// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// A dialect whose requests can be changed in place and whose answers can be passed on as they are, for clients that
/// speak it too.
public protocol RelayingDialect: Dialect {
    /// Whether answers may be passed on as they are.
    var relaysAnswers: Bool { get }

    /// Whether the answer to this call may be passed on as it is; by default what `relaysAnswers` says.
    func relays(_ call: Call) -> Bool

    /// Whether a stream's request asks for usage, so that it must be stripped for clients that did not.
    var asksForUsage: Bool { get }

    /// The client's request for `model`, changed in place.
    ///
    /// - Parameters:
    ///   - reading: what was found in it before, if it is of any use.
    ///   - overrides: fields that configuration sets, weakest first.
    /// - Returns: nil where this request cannot be changed in place and must be written anew.
    func splice(
        _ body: ByteBuffer, reading: (any RequestReading)?, model: String, stream: Bool, overrides: [FieldOverride],
        dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer?

    /// A tap for one stream.
    func makeStreamRelay(stripUsage: Bool) -> any StreamRelay

    /// Looks a whole answer over.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    func inspectWhole(_ body: ByteBuffer) throws(ParleyError) -> Observation
}

extension RelayingDialect {
    /// What `relaysAnswers` says, whatever the call.
    public func relays(_ call: Call) -> Bool { relaysAnswers }
}

/// Passes one stream on and watches it. An object, since a value behind a protocol is copied where only a part of it is read.
public protocol StreamRelay: AnyObject {
    /// What was seen so far.
    var observed: Observation { get }
    /// Whether an event passed that cannot be taken back: `observed` says it too, but is long.
    var isMeaningful: Bool { get }
    /// Whether the answer's proper end was seen; likewise.
    var isComplete: Bool { get }

    /// Passes on what arrived, in whole frames. The bytes are handed over, so that they can be passed on where they lie.
    func push(_ bytes: consuming ByteBuffer, into out: inout ByteBuffer) throws(ParleyError)

    /// The upstream closed its body properly.
    func finish(into out: inout ByteBuffer) throws(ParleyError)

    /// Writes an error as the stream's end, well-formed behind whatever was passed on so far.
    func fail(_ error: ParleyError, into out: inout ByteBuffer)
}
