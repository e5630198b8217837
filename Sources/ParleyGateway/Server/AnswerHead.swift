// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// How the end of a response body is told.
enum BodyFraming: Equatable {
    case length(Int)
    case chunked
    /// By closing the connection, for HTTP/1.0.
    case close
    /// There is no body (204, and 304).
    case none
}

/// Everything above a response's body. An object, since it is passed along while an answer is looked for and is
/// emptied once it was sent.
final class AnswerHead {
    let status: Int
    var contentType = "application/json"
    private var requestID: String
    var headers: [HeaderField] = []
    /// Whether a shared cache or a proxy must keep its hands off, as with event streams.
    var isStream = false

    init(status: Int = 200, requestID: String) {
        self.status = status
        self.requestID = requestID
    }

    /// Lets go of what was needed for writing.
    func empty() {
        headers = []
        requestID = ""
    }

    /// Writes the head.
    func write(
        into out: inout ByteBuffer, framing: BodyFraming, keepAlive: Bool, isHTTP10: Bool = false,
        clock: inout DateHeader
    ) {
        out.reserveCapacity(minimumWritableBytes: 384)
        if status == 200 {
            out.writeStaticString("HTTP/1.1 200 OK\r\n")
        } else {
            out.writeStaticString("HTTP/1.1 ")
            out.writeDecimal(status)
            out.writeStaticString(" ")
            out.writeString(Self.reason(status))
            out.writeStaticString("\r\n")
        }
        clock.write(into: &out)
        if framing != .none {
            out.writeStaticString("content-type: ")
            out.writeString(contentType)
            out.writeStaticString("\r\n")
        }
        switch framing {
        case .length(let length):
            out.writeStaticString("content-length: ")
            out.writeDecimal(length)
            out.writeStaticString("\r\n")
        case .chunked: out.writeStaticString("transfer-encoding: chunked\r\n")
        case .close, .none: break
        }
        if isStream { out.writeStaticString("cache-control: no-cache\r\nx-accel-buffering: no\r\n") }
        if !keepAlive {
            out.writeStaticString("connection: close\r\n")
        } else if isHTTP10 {
            // There the connection closes unless it is said.
            out.writeStaticString("connection: keep-alive\r\n")
        }
        if !requestID.isEmpty {
            out.writeStaticString("x-request-id: ")
            out.writeString(requestID)
            out.writeStaticString("\r\n")
        }
        for header in headers where Self.isSafe(header.value) {
            out.writeString(header.name)
            out.writeStaticString(": ")
            out.writeString(header.value)
            out.writeStaticString("\r\n")
        }
        out.writeStaticString("\r\n")
    }

    /// Whether a value can stand in a header line: visible ASCII, spaces and tabs.
    static func isSafe(_ value: String) -> Bool {
        value.utf8.allSatisfy { ($0 >= 0x20 && $0 < 0x7F) || $0 == 0x09 }
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 204: "No Content"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: status < 400 ? "OK" : "Error"
        }
    }
}

/// The `date` header line, written anew once a second.
struct DateHeader {
    private var second = Int.min
    private var line = ByteBuffer()

    /// Appends `date: …`.
    mutating func write(into out: inout ByteBuffer) {
        let now = WallClock.seconds()
        if now != second {
            second = now
            line.clear()
            line.writeString("date: \(WallClock.httpDate(now))\r\n")
        }
        out.writeImmutableBuffer(line)
    }
}
