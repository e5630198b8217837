// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
import ParleyWire

/// Takes the final response out of a stream of Responses on its way to a client, relayed or written by Parley.
///
/// The pieces must hold whole frames, as an `AnswerBody` gives them.
public struct ResponseCapture: Sendable {
    /// The final response as JSON; nil until it passed.
    public private(set) var response: ByteBuffer?

    /// Nothing captured yet.
    public init() {}

    /// Looks a piece of the stream over.
    public mutating func note(_ piece: ByteBuffer) {
        guard response == nil, Self.mayHoldEnd(piece) else { return }
        var frames = ServerSentEvents()
        frames.push(piece)
        while let frame = try? frames.next() {
            guard let event = try? ResponsesEventHead(frame.data), event.kind == .end, let found = event.response
            else { continue }
            response = ByteBuffer(bytes: found.readableBytesView)
        }
    }

    private static func mayHoldEnd(_ piece: ByteBuffer) -> Bool {
        piece.contains("\"response.completed\"") || piece.contains("\"response.incomplete\"")
            || piece.contains("\"response.failed\"")
    }
}
