// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// What an answer's body is, judged by how it begins and, where that says nothing, by its content type.
enum BodyShape: Equatable {
    case events
    case json
    case webPage
    case unknown

    /// Judges by the first bytes; nil while there is nothing but white space and more may come.
    ///
    /// Lines of JSON begin like one whole answer: there the framing and what was asked for decide. So they do for binary
    /// messages, unless an error came in their place.
    init?(
        _ bytes: ByteBuffer, framing: StreamFraming = .serverSentEvents, isStream: Bool = true,
        contentType: @autoclosure () -> String?, isWhole: Bool
    ) {
        let start = bytes.withUnsafeReadableBytes { bytes in
            bytes.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }
        }
        guard let start else {
            guard isWhole else { return nil }
            self = .unknown
            return
        }
        switch start {
        case UInt8(ascii: "{") where framing == .lines && isStream:
            self = .events
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            self = .json
        case 0x00 where framing == .binary:
            self = .events
        case UInt8(ascii: "<"):
            self = .webPage
        case _ where framing == .lines:
            // What is no JSON is for the one who reads the lines.
            self = .events
        case UInt8(ascii: ":"), 0xEF:
            // A comment, or a byte order mark.
            self = .events
        case UInt8(ascii: "d"), UInt8(ascii: "e"), UInt8(ascii: "i"), UInt8(ascii: "r"):
            // data, event, id, retry; but what calls itself JSON may begin with an unquoted word.
            let isJSON = contentType()?.lowercased().hasPrefix("application/json") == true
            self = isJSON && start != UInt8(ascii: "d") ? .unknown : .events
        default:
            self = contentType()?.lowercased().hasPrefix("text/event-stream") == true ? .events : .unknown
        }
    }
}
