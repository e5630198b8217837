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
    /// The model that the client asked for, where one was asked.
    var model: String?
    /// The upstream that answered.
    var upstream: String?
    /// How many attempts were made.
    var attempts: Int?
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
        (model, upstream) = (nil, nil)
    }

    /// Writes the head.
    func write(
        into out: inout ByteBuffer, framing: BodyFraming, keepAlive: Bool, isHTTP10: Bool = false,
        clock: inout DateHeader
    ) {
        // All of it at once: dozens of small writes to a buffer cost more than the bytes.
        var room = 320 + contentType.utf8.count + requestID.utf8.count
        room += (model?.utf8.count ?? 0) + (upstream?.utf8.count ?? 0) + 96
        for header in headers { room += header.name.utf8.count + header.value.utf8.count + 4 }
        let date = clock.line()
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { bytes in
            var line = LineWriter(bytes)
            writeStatus(into: &line)
            date.withUnsafeReadableBytes { line.write($0) }
            writeFraming(framing, into: &line)
            if !keepAlive {
                line.write("connection: close\r\n")
            } else if isHTTP10 {
                // There the connection closes unless it is said.
                line.write("connection: keep-alive\r\n")
            }
            if !requestID.isEmpty {
                line.write("x-request-id: ")
                line.writePlain(requestID)
                line.write("\r\n")
            }
            Self.write("x-parley-model: ", model, into: &line)
            Self.write("x-parley-upstream: ", upstream, into: &line)
            if let attempts {
                line.write("x-parley-attempts: ")
                line.write(attempts)
                line.write("\r\n")
            }
            for header in headers where Self.isSafe(header.value) {
                line.writePlain(header.name)
                line.write(": ")
                line.writePlain(header.value)
                line.write("\r\n")
            }
            line.write("\r\n")
            return line.count
        }
    }

    private static func write(_ name: StaticString, _ value: String?, into line: inout LineWriter) {
        guard let value else { return }
        value.withBytes { value in
            guard isSafe(value) else { return }
            line.write(name)
            line.write(value)
            line.write("\r\n")
        }
    }

    private func writeStatus(into line: inout LineWriter) {
        guard status != 200 else { return line.write("HTTP/1.1 200 OK\r\n") }
        line.write("HTTP/1.1 ")
        line.write(status)
        line.write(" ")
        line.writePlain(Self.reason(status))
        line.write("\r\n")
    }

    private func writeFraming(_ framing: BodyFraming, into line: inout LineWriter) {
        if framing != .none {
            line.write("content-type: ")
            line.writePlain(contentType)
            line.write("\r\n")
        }
        switch framing {
        case .length(let length):
            line.write("content-length: ")
            line.write(length)
            line.write("\r\n")
        case .chunked: line.write("transfer-encoding: chunked\r\n")
        case .close, .none: break
        }
        if isStream { line.write("cache-control: no-cache\r\nx-accel-buffering: no\r\n") }
    }

    /// Whether a value can stand in a header line: visible ASCII, spaces and tabs.
    static func isSafe(_ value: String) -> Bool {
        value.withBytes { isSafe($0) }
    }

    /// Without a way out of the loop, so that the compiler looks at many bytes at once.
    static func isSafe(_ value: UnsafeRawBufferPointer) -> Bool {
        var harmful: UInt8 = 0
        for byte in value { harmful |= (byte >= 0x20 && byte < 0x7F) || byte == 0x09 ? 0 : 1 }
        return harmful == 0
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 204: "No Content"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
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
    private var written = ByteBuffer()

    /// `date: …` with its line end.
    mutating func line() -> ByteBuffer {
        let now = WallClock.seconds()
        if now != second {
            second = now
            written = ByteBuffer(string: "date: \(WallClock.httpDate(now))\r\n")
        }
        return written
    }
}
