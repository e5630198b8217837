// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
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

    /// Opens a WebSocket: `request` is a `GET` whose head is complete but for the headers of the handshake itself.
    ///
    /// The socket counts as one request of the endpoint's limit until it is closed. Cancelling the task closes the
    /// connection, in every phase.
    /// - Throws: `upstreamUnavailable`, also where the answer is no proper handshake; `timeout` or `cancelled`.
    func connect(_ request: UpstreamRequest) async throws(ParleyError) -> WebSocketOpening

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

    /// All that is left of the body, where it has arrived up to its end; nil where `next` must be asked. By default it must.
    func takeWhole() -> ByteBuffer?

    /// Closes the connection unless the body is complete.
    func cancel()

    /// What is still to come does not matter: nobody calls `next` any more.
    ///
    /// The rest of the framing may follow the last word of a stream a moment later; a connection that gets it can be
    /// used again. By default the same as `cancel`.
    func finish()

    /// From now on, bytes that arrive while a task waits in `next` are offered to `receiver` first. By default none are.
    func forward(to receiver: any ArrivalReceiver)
}

extension UpstreamAnswer {
    /// `next` must be asked.
    public func takeWhole() -> ByteBuffer? { nil }

    /// Closes the connection unless the body is complete.
    public func finish() { cancel() }

    /// Nothing is offered.
    public func forward(to receiver: any ArrivalReceiver) {}
}

/// Takes bytes of an answer as they arrive, without waking the task that waits for them. Used on the event loop of the
/// call.
public protocol ArrivalReceiver: AnyObject {
    /// Takes bytes that are not the body's last, and leaves nil; where it takes none at the moment they stay for the task.
    ///
    /// - Returns: until when the task goes on waiting; nil where it must look: `next` then gives it what was left, or empty
    ///   bytes.
    func receive(_ bytes: inout ByteBuffer?) -> NIODeadline?
}

/// A request to an upstream, ready to be framed. An object, since it goes from step to step.
public final class UpstreamRequest: Sendable {
    /// Where to.
    public let endpoint: Endpoint
    /// The request line and the headers, each line ended by CR LF, without `content-length` and without the empty line.
    public let head: ByteBuffer
    /// The body; nil for methods without one.
    public let body: ByteBuffer?
    /// A body that is sent while it arrives, in place of `body`.
    public let upload: UpstreamUpload?
    /// Whether sending it twice does no harm, so that a stale connection may be replaced at any time.
    public let isIdempotent: Bool
    /// Whether it asks for a WebSocket. Set by the connector.
    public let isUpgrade: Bool
    /// When the connection must stand.
    public let connectTimeout: TimeAmount
    /// When the head must have arrived.
    public let headDeadline: NIODeadline

    /// A request.
    public init(
        endpoint: Endpoint, head: ByteBuffer, body: ByteBuffer?, upload: UpstreamUpload? = nil, isIdempotent: Bool,
        isUpgrade: Bool = false, connectTimeout: TimeAmount, headDeadline: NIODeadline
    ) {
        self.endpoint = endpoint
        self.head = head
        self.body = body
        self.upload = upload
        self.isIdempotent = isIdempotent
        self.isUpgrade = isUpgrade
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
    /// A Unix-domain socket to connect to instead; host and port then say nothing.
    public let socketPath: String?

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
        socketPath = nil
    }

    /// A Unix-domain socket of this machine.
    public init(socketPath: String) {
        host = "localhost"
        port = 0
        isSecure = false
        certificateAuthority = nil
        proxy = nil
        connectionLimit = nil
        self.socketPath = socketPath
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
        var name = name
        return name.withUTF8 { name in
            bytes.withUnsafeReadableBytes { all in
                var lines = HeaderLines(all)
                while let line = lines.next() {
                    if line.name.equals(UnsafeRawBufferPointer(name)) { return line.text }
                }
                return nil
            }
        }
    }

    /// Every header, as name (lower case) and value, whose name passes `isIncluded`; the others cost nothing.
    public func fields(where isIncluded: (HeaderName) -> Bool) -> [HeaderField] {
        bytes.withUnsafeReadableBytes { all in
            var fields: [HeaderField] = []
            var lines = HeaderLines(all)
            while let line = lines.next() {
                if isIncluded(line.name) { fields.append(HeaderField(line.name.text, line.text)) }
            }
            return fields
        }
    }
}

/// A header's name where it stands, in whatever case it came. Valid only while the lines are lent.
public struct HeaderName {
    fileprivate let bytes: UnsafeRawBufferPointer

    /// The first letter, in lower case; most names are told apart by it.
    @inline(__always)
    public var initial: UInt8 { (bytes.first ?? 0) | 0x20 }

    /// Whether this is `name`, which must be given in lower case.
    @inline(__always)
    public func equals(_ name: StaticString) -> Bool {
        bytes.count == name.utf8CodeUnitCount && hasPrefix(name)
    }

    /// Whether this begins with `prefix`, which must be given in lower case.
    public func hasPrefix(_ prefix: StaticString) -> Bool {
        begins(with: UnsafeRawBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
    }

    fileprivate func equals(_ name: UnsafeRawBufferPointer) -> Bool {
        bytes.count == name.count && begins(with: name)
    }

    private func begins(with prefix: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= prefix.count else { return false }
        for index in 0..<prefix.count {
            let byte = bytes[index]
            let lower = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
            if lower != prefix[index] { return false }
        }
        return true
    }

    fileprivate var text: String {
        let text = String(decoding: bytes, as: UTF8.self)
        // Most come in lower case.
        return bytes.contains { $0 < 0x61 && $0 >= 0x41 || $0 >= 0x80 } ? text.lowercased() : text
    }
}

/// Header lines one after the other.
private struct HeaderLines {
    struct Line {
        let name: HeaderName
        /// The trimmed value.
        let value: UnsafeRawBufferPointer

        var text: String { String(decoding: value, as: UTF8.self) }
    }

    private let all: UnsafeRawBufferPointer
    private var at = 0

    init(_ all: UnsafeRawBufferPointer) {
        self.all = all
    }

    /// The next line that has a name.
    mutating func next() -> Line? {
        while at < all.count {
            let start = at
            at = place(of: 0x0A, in: start..<all.count).map { $0 + 1 } ?? all.count
            guard let colon = place(of: 0x3A, in: start..<at), colon > start else { continue }
            var low = colon + 1
            var high = at
            if all[high - 1] == 0x0A { high -= 1 }
            while low < high, Self.isSpace(all[low]) { low += 1 }
            while high > low, Self.isSpace(all[high - 1]) { high -= 1 }
            return Line(
                name: HeaderName(bytes: UnsafeRawBufferPointer(rebasing: all[start..<colon])),
                value: UnsafeRawBufferPointer(rebasing: all[low..<high]))
        }
        return nil
    }

    private func place(of byte: CInt, in range: Range<Int>) -> Int? {
        guard let base = all.baseAddress else { return nil }
        return memchr(base + range.lowerBound, byte, range.count).map { base.distance(to: UnsafeRawPointer($0)) }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
}
