// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Cheap looks into a request that is not decoded.
public enum RequestLook {
    /// What has to be in a request's bytes where an earlier turn left something in it that only its origin can read.
    private static let marks: [StaticString] = [
        // The end of `signature`, `thoughtSignature` and `thought_signature`.
        "ignature\"", "encrypted_content", "redacted_thinking", "reasoning_details",
    ]

    /// The end user that a request names: `user`, or `metadata.user_id` in Anthropic's dialect.
    public static func user(in body: ByteBuffer, reading: (any RequestReading)?, dialect: DialectID) -> String? {
        guard let scan = try? JSONScan.of(body, known: reading) else { return nil }
        if dialect == .anthropic {
            guard let metadata = scan.object("metadata") else { return nil }
            return metadata.member(named: "user_id").flatMap { metadata.string($0) }
        }
        return scan.string(named: "user")
    }

    /// Whether a request may hold what only the origin of an earlier turn can read. Says yes too often rather than too
    /// rarely: who asks decodes the request then.
    public static func mayBeBound(_ body: ByteBuffer) -> Bool {
        marks.contains { body.contains($0) }
    }
}

extension ChatRequest {
    /// The dialect whose upstreams alone can read what the latest such turn left in the request; nil where there is
    /// nothing of the kind.
    public var binding: DialectID? {
        for message in messages.reversed() {
            for call in message.toolCalls.reversed() where call.signature != nil && call.origin != nil {
                return call.origin
            }
            for piece in message.reasoning.reversed() where piece.signature != nil || piece.opaque != nil {
                if let origin = piece.origin { return origin }
            }
        }
        return nil
    }
}
