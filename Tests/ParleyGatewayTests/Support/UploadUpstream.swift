// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// An upstream that reads only while it is told to, counts what arrives, and answers with the bytes it is given, when
/// it is told to: for requests that are still on their way.
final class UploadUpstream: Sendable {
    fileprivate struct State {
        var opening: [UInt8] = []
        var ending: [UInt8] = []
        var received = 0
        var connections = 0
        var closed = 0
        var channel: (any Channel)?
    }

    private static let kept = 128 << 10

    fileprivate let state = Mutex(State())
    private let listener = Mutex<(any Channel)?>(nil)
    let port: Int

    private init(_ isReading: Bool) async throws {
        let holder = Mutex<UploadUpstream?>(nil)
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.autoRead, value: isReading)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let upstream = holder.withLock({ $0 }) else { return }
                    try channel.pipeline.syncOperations.addHandler(UploadHandler(upstream))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = listener.localAddress?.port ?? 0
        self.listener.withLock { $0 = listener }
        holder.withLock { $0 = self }
    }

    /// Starts an upstream, runs the body, and stops it.
    static func run(isReading: Bool = true, _ body: (UploadUpstream) async throws -> Void) async throws {
        let upstream = try await UploadUpstream(isReading)
        do {
            try await body(upstream)
        } catch {
            await upstream.stop()
            throw error
        }
        await upstream.stop()
    }

    private func stop() async {
        try? await listener.withLock { $0 }?.close()
        try? await state.withLock { $0.channel }?.close()
    }

    /// The base that a provider is given.
    var baseURL: String { "http://127.0.0.1:\(port)/v1" }
    /// Bytes that arrived, heads included.
    var received: Int { state.withLock { $0.received } }
    /// Connections there were.
    var connections: Int { state.withLock { $0.connections } }
    /// Connections that are gone.
    var closed: Int { state.withLock { $0.closed } }
    /// The first 128 KB that arrived.
    var opening: String { String(decoding: state.withLock { $0.opening }, as: UTF8.self) }
    /// The last 128 KB that arrived.
    var ending: String { String(decoding: state.withLock { $0.ending }, as: UTF8.self) }

    fileprivate func take(_ bytes: ByteBuffer) {
        state.withLock { state in
            state.received += bytes.readableBytes
            let room = Self.kept - state.opening.count
            if room > 0 { state.opening += bytes.readableBytesView.prefix(room) }
            state.ending += bytes.readableBytesView
            if state.ending.count > 2 * Self.kept { state.ending.removeFirst(state.ending.count - Self.kept) }
        }
    }

    /// Goes on or stops reading.
    func setReading(_ isReading: Bool) async throws {
        try await state.withLock { $0.channel }?.setOption(.autoRead, value: isReading).get()
    }

    /// Sends bytes as they are.
    func send(_ text: String) async throws {
        try await state.withLock { $0.channel }?.writeAndFlush(ByteBuffer(string: text))
    }

    /// Closes the connection.
    func close() async throws {
        try await state.withLock { $0.channel }?.close()
    }

    /// Closes the connection with a reset.
    func reset() async throws {
        let channel = state.withLock { $0.channel }
        if let socket = channel as? any SocketOptionProvider {
            try await socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        }
        try await channel?.close()
    }

    /// A whole answer.
    static func answer(_ body: String, status: String = "200 OK", headers: [String] = []) -> String {
        let head = ["HTTP/1.1 \(status)", "content-type: application/json", "content-length: \(body.utf8.count)"]
        return (head + headers).joined(separator: "\r\n") + "\r\n\r\n" + body
    }
}

private final class UploadHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let upstream: UploadUpstream

    init(_ upstream: UploadUpstream) {
        self.upstream = upstream
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        upstream.state.withLock { state in
            state.connections += 1
            state.channel = channel
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { upstream.take(unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) { upstream.state.withLock { $0.closed += 1 } }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Forms that tests upload.
enum Forms {
    static let boundary = "parley-test-boundary"
    static let type = "content-type: multipart/form-data; boundary=\(boundary)"

    /// One field.
    static func field(_ name: String, _ value: String) -> String {
        "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
    }

    /// The beginning of a file's part.
    static let file =
        "--\(boundary)\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
        + "Content-Type: audio/wav\r\n\r\n"
    static let end = "\r\n--\(boundary)--\r\n"

    /// A form with a file of `size` bytes, the given parts before and behind it.
    static func form(before: String = "", size: Int, behind: String = "") -> String {
        let tail = behind.isEmpty ? end : "\r\n" + behind + "--\(boundary)--\r\n"
        return before + file + String(repeating: "0123456789abcdef", count: size / 16) + tail
    }

    /// The head of an upload.
    static func head(
        _ path: String = "/v1/audio/transcriptions", length: Int?, headers: [String] = [], version: String = "1.1"
    ) -> String {
        let framing = length.map { "content-length: \($0)" } ?? "transfer-encoding: chunked"
        return RawClient.head("POST", path, [type, framing] + headers, version: version)
    }
}
