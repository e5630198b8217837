// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore

/// The way to upstreams on one event loop: pools, TLS, proxies and framing are behind it.
public protocol Connector: Sendable {
    /// Runs tasks on the connector's event loop: whoever uses a connector must run there.
    var executor: any TaskExecutor { get }

    /// Sends a request and waits for the head of the answer.
    ///
    /// Cancelling the task closes the connection, in every phase: queued, connecting, waiting.
    /// - Throws: `upstreamUnavailable`, `timeout` or `cancelled`.
    func open(_ request: UpstreamRequest) async throws(ParleyError) -> any UpstreamAnswer

    /// Waits without holding a thread; returns early, throwing `cancelled`, when the task is cancelled.
    func sleep(_ time: TimeAmount) async throws(ParleyError)
}

/// An upstream's answer from its head on. Used from one task, on the event loop of the call.
public protocol UpstreamAnswer: AnyObject {
    /// The HTTP status.
    var status: Int { get }
    /// The headers.
    var headers: HeaderBlock { get }

    /// Everything that arrived since the last call, waiting where nothing did; nil when the body is complete.
    ///
    /// - Throws: `upstreamUnavailable` when the body was cut, `timeout` when nothing came by `deadline`, `cancelled`.
    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer?

    /// Closes the connection unless the body is complete.
    func cancel()
}

/// A request to an upstream, ready to be framed.
public struct UpstreamRequest: Sendable {
    /// Where to.
    public var endpoint: Endpoint
    /// The request line and the headers, each line ended by CR LF, without `content-length` and without the empty line.
    public var head: ByteBuffer
    /// The body; nil for methods without one.
    public var body: ByteBuffer?
    /// Whether sending it twice does no harm, so that a stale connection may be replaced at any time.
    public var isIdempotent: Bool
    /// When the connection must stand.
    public var connectTimeout: TimeAmount
    /// When the head must have arrived.
    public var headDeadline: NIODeadline

    /// A request.
    public init(
        endpoint: Endpoint, head: ByteBuffer, body: ByteBuffer?, isIdempotent: Bool, connectTimeout: TimeAmount,
        headDeadline: NIODeadline
    ) {
        self.endpoint = endpoint
        self.head = head
        self.body = body
        self.isIdempotent = isIdempotent
        self.connectTimeout = connectTimeout
        self.headDeadline = headDeadline
    }
}

/// Where upstream connections go: one per provider and base URL, so that connections are shared only by those who
/// have the same certificate rules, proxy and limits.
public final class Endpoint: Sendable {
    /// The host name or address, without brackets.
    public let host: String
    /// The port.
    public let port: Int
    /// Whether the connection is encrypted.
    public let isSecure: Bool
    /// A PEM file of certificate authorities to trust instead of the system's.
    public let certificateAuthority: String?
    /// An HTTP proxy to go through by `CONNECT`.
    public let proxy: ProxyAddress?
    /// The most connections at once over all event loops; nil is no limit.
    public let connectionLimit: Int?

    /// An endpoint; the certificate authority is a file path.
    public init(
        host: String, port: Int, isSecure: Bool, certificateAuthority: String? = nil, proxy: ProxyAddress? = nil,
        connectionLimit: Int? = nil
    ) {
        self.host = host
        self.port = port
        self.isSecure = isSecure
        self.certificateAuthority = certificateAuthority
        self.proxy = proxy
        self.connectionLimit = connectionLimit
    }
}

/// An outgoing HTTP proxy.
public struct ProxyAddress: Sendable, Hashable {
    /// The proxy's host.
    public var host: String
    /// The proxy's port.
    public var port: Int
    /// The value of `proxy-authorization`, where the proxy's URL had a user.
    public var authorization: String?

    /// A proxy.
    public init(host: String, port: Int, authorization: String? = nil) {
        self.host = host
        self.port = port
        self.authorization = authorization
    }
}

/// Header lines as they came, looked up without building a table.
public struct HeaderBlock: Sendable {
    /// `Name: value` lines, each ended by LF or CR LF, without the status line.
    public var bytes: ByteBuffer

    /// The given lines.
    public init(_ bytes: ByteBuffer = ByteBuffer()) {
        self.bytes = bytes
    }

    /// The value of the first header called `name` (give it in lower case), trimmed; nil when there is none.
    public func first(_ name: String) -> String? {
        var found: String?
        forEach { line, nameLength, value in
            guard found == nil, Self.equals(line, nameLength, name) else { return }
            found = String(decoding: UnsafeRawBufferPointer(rebasing: line[value]), as: UTF8.self)
        }
        return found
    }

    /// Every header as name (lower case) and value whose lower-case name passes `isIncluded`.
    public func fields(where isIncluded: (String) -> Bool) -> [HeaderField] {
        var fields: [HeaderField] = []
        forEach { line, nameLength, value in
            let name = String(decoding: UnsafeRawBufferPointer(rebasing: line[..<nameLength]), as: UTF8.self)
                .lowercased()
            guard isIncluded(name) else { return }
            let text = String(decoding: UnsafeRawBufferPointer(rebasing: line[value]), as: UTF8.self)
            fields.append(HeaderField(name, text))
        }
        return fields
    }

    /// Calls `body` with each line, the length of its name and the range of its trimmed value.
    private func forEach(_ body: (_ line: UnsafeRawBufferPointer, _ nameLength: Int, _ value: Range<Int>) -> Void) {
        bytes.withUnsafeReadableBytes { all in
            var start = 0
            while start < all.count {
                let rest = UnsafeRawBufferPointer(rebasing: all[start...])
                let length = rest.firstIndex(of: 0x0A) ?? rest.count
                let line = UnsafeRawBufferPointer(rebasing: rest[..<length])
                start += length + 1
                guard let colon = line.firstIndex(of: 0x3A), colon > 0 else { continue }
                var low = colon + 1
                var high = line.count
                while low < high, Self.isSpace(line[low]) { low += 1 }
                while high > low, Self.isSpace(line[high - 1]) { high -= 1 }
                body(line, colon, low..<high)
            }
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    private static func equals(_ line: UnsafeRawBufferPointer, _ length: Int, _ name: String) -> Bool {
        guard length == name.utf8.count else { return false }
        var index = 0
        for expected in name.utf8 {
            let byte = line[index]
            let lower = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
            if lower != expected { return false }
            index += 1
        }
        return true
    }
}
