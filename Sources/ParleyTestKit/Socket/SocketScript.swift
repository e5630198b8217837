// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore

/// What a scripted WebSocket server does on one connection: how it answers the handshake, and then step by step.
///
/// After the last step it stays silent and open until the client closes.
public struct SocketScript: Sendable {
    /// How the handshake is answered.
    public enum Handshake: Sendable {
        /// As RFC 6455 says.
        case accept
        /// With status 101, but these headers: lines as sent, each without its end.
        case lie([String])
        /// With another status.
        case refuse(status: Int, headers: [String] = [], body: String = "")
        /// Not at all.
        case ignore
    }

    /// One thing that the server does.
    public enum Step: Sendable {
        /// It waits for the client's next text message.
        case receive
        /// It waits for the client's next text message, and does first what comes of it.
        case answer(@Sendable (String) -> [Step])
        /// It sends a text message in one frame.
        case send(String)
        /// It sends a text message in pieces, a frame each; they may split a character.
        case pieces([[UInt8]])
        /// It sends a frame with this opcode, as it is.
        case frame(opcode: UInt8, payload: [UInt8], isFinal: Bool = true)
        /// It sends these bytes, whatever they are.
        case bytes([UInt8])
        /// It sends what the steps would, one byte at a time.
        case trickle([Step])
        /// It sends a ping and waits for its pong.
        case ping(String)
        /// It sends a closing frame with a code; nil sends none.
        case close(Int?)
        /// It drops the connection.
        case cut
        /// It waits.
        case pause(Duration)
        /// It reads no more.
        case stopReading
        /// It reads again.
        case readOn
        /// It does not end the connection when the client closes.
        case ignoreClose
    }

    /// How the handshake is answered.
    public var handshake: Handshake
    /// What follows.
    public var steps: [Step]

    /// A script.
    public init(_ handshake: Handshake = .accept, _ steps: [Step] = []) {
        self.handshake = handshake
        self.steps = steps
    }

    /// A script that accepts.
    public init(_ first: Step, _ more: Step...) {
        self.init(.accept, [first] + more)
    }
}

/// One connection to a scripted WebSocket server, as the server saw it.
public struct SocketVisit: Sendable, Hashable {
    /// Path and query, as sent.
    public var target: String
    /// The header lines, names in lower case.
    public var headers: [String: String]
    /// Text messages.
    public var messages: [String] = []
    /// Payloads of pongs.
    public var pongs: [String] = []
    /// The code of the client's closing frame; 0 where it had none.
    public var closeCode: Int?
    /// Whether every frame of the client was masked.
    public var isMasked = true
    /// Bytes that the client has sent after the handshake.
    public var bytes = 0
    /// Bytes that the server has got rid of.
    public var written = 0
    /// Whether the connection is over.
    public var isClosed = false
}

extension SocketScript.Step {
    /// The frame of a text message that is split at these places of its UTF-8.
    public static func split(_ text: String, at places: Int...) -> Self {
        let bytes = Array(text.utf8)
        let bounds = [0] + places + [bytes.count]
        return .pieces(zip(bounds, bounds.dropFirst()).map { Array(bytes[$0..<$1]) })
    }

    /// What this sends, as bytes; nil for what sends nothing.
    var wire: [UInt8]? {
        switch self {
        case .send(let text): Self.frame(0x1, Array(text.utf8), true)
        case .pieces(let pieces):
            pieces.enumerated().flatMap { index, piece in
                Self.frame(index == 0 ? 0x1 : 0x0, piece, index == pieces.count - 1)
            }
        case .frame(let opcode, let payload, let isFinal): Self.frame(opcode, payload, isFinal)
        case .bytes(let bytes): bytes
        case .trickle(let steps): steps.flatMap { $0.wire ?? [] }
        case .ping(let text): Self.frame(0x9, Array(text.utf8), true)
        case .close(let code): Self.frame(0x8, code.map { [UInt8($0 >> 8 & 0xFF), UInt8($0 & 0xFF)] } ?? [], true)
        case .receive, .answer, .cut, .pause, .stopReading, .readOn, .ignoreClose: nil
        }
    }

    /// A server's frame (RFC 6455 section 5.2), written by hand, so that it can be wrong.
    private static func frame(_ opcode: UInt8, _ payload: [UInt8], _ isFinal: Bool) -> [UInt8] {
        var bytes = [opcode | (isFinal ? 0x80 : 0)]
        switch payload.count {
        case ..<126: bytes.append(UInt8(payload.count))
        case ..<65_536: bytes += [126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default: bytes += [127] + (0..<8).reversed().map { UInt8(payload.count >> ($0 * 8) & 0xFF) }
        }
        return bytes + payload
    }
}
