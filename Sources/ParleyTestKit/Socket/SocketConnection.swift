// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore
import NIOHTTP1
import NIOSSL
import NIOWebSocket

/// One connection of a scripted WebSocket server: reads the handshake, then runs its script.
///
/// `@unchecked Sendable`: used only on the event loop of its channel.
final class SocketConnection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let log: SocketLog
    private var head = ByteBuffer()
    private var index = -1
    private var steps: ArraySlice<SocketScript.Step> = []
    private var context: ChannelHandlerContext?
    /// What a step waits for.
    private var awaited: Awaited?
    private var messages: [String] = []
    private var pongs = 0
    private var closesInTurn = true
    private var hasClosed = false

    private enum Awaited { case message, pong, time }

    private init(log: SocketLog) {
        self.log = log
    }

    static func add(
        to pipeline: ChannelPipeline.SynchronousOperations, log: SocketLog, tls: NIOSSLContext?
    ) throws {
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        try pipeline.addHandler(SocketConnection(log: log))
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard index < 0 else {
            log.update(index) { $0.bytes += bytes.readableBytes }
            context.fireChannelRead(data)
            return
        }
        head.writeBuffer(&bytes)
        let text = String(buffer: head)
        guard text.hasSuffix("\r\n\r\n") else { return }
        let lines = text.split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ")
        var request = HTTPRequestHead(
            version: .http1_1, method: .RAW(value: String(words.first ?? "")),
            uri: words.count > 1 ? String(words[1]) : "")
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = String(line[line.index(after: colon)...].drop { $0 == " " })
            request.headers.add(name: String(line[..<colon]), value: value)
            fields[line[..<colon].lowercased()] = value
        }
        let (index, script) = log.begin(SocketVisit(target: request.uri, headers: fields))
        self.index = index
        steps = script.steps[...]
        shake(script.handshake, request, context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        steps = []
        log.update(index) { $0.isClosed = true }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    // MARK: The handshake

    private func shake(
        _ handshake: SocketScript.Handshake, _ request: HTTPRequestHead, _ context: ChannelHandlerContext
    ) {
        switch handshake {
        case .ignore: break
        case .refuse(let status, let headers, let body):
            let lines = headers + ["content-length: \(body.utf8.count)", "connection: close"]
            write("HTTP/1.1 \(status) Refused\r\n" + lines.map { "\($0)\r\n" }.joined() + "\r\n" + body, context)
            context.close(promise: nil)
        case .lie(let headers):
            write("HTTP/1.1 101 Switching\r\n" + headers.map { "\($0)\r\n" }.joined() + "\r\n", context)
            begin(context)
        case .accept:
            // NIO's own server makes the headers, `Sec-WebSocket-Accept` with them.
            let upgrader = NIOWebSocketServerUpgrader(
                shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
                upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() })
            upgrader.buildUpgradeResponse(
                channel: context.channel, upgradeRequest: request,
                initialResponseHeaders: ["connection": "upgrade", "upgrade": "websocket"]
            ).assumeIsolated().whenComplete { result in
                switch result {
                case .success(let headers):
                    let lines = headers.map { "\($0.name): \($0.value)\r\n" }.joined()
                    self.write("HTTP/1.1 101 Switching Protocols\r\n\(lines)\r\n", context)
                    self.begin(context)
                case .failure:
                    self.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", context)
                    context.close(promise: nil)
                }
            }
        }
    }

    private func begin(_ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            try pipeline.addHandler(ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: 64 << 20)))
            try pipeline.addHandler(FrameReader(self))
        } catch {
            context.close(promise: nil)
        }
        run()
    }

    // MARK: The script

    fileprivate func receive(_ frame: WebSocketFrame) {
        let data = frame.unmaskedData
        let isMasked = frame.maskKey != nil
        if !isMasked { log.update(index) { $0.isMasked = false } }
        switch frame.opcode {
        case .text:
            let text = String(buffer: data)
            log.update(index) { $0.messages.append(text) }
            messages.append(text)
        case .pong:
            log.update(index) { $0.pongs.append(String(buffer: data)) }
            pongs += 1
        case .connectionClose:
            let code = data.getInteger(at: data.readerIndex, as: UInt16.self).map { Int($0) } ?? 0
            log.update(index) { $0.closeCode = code }
            guard closesInTurn else { return }
            if !hasClosed { send(SocketScript.Step.close(code == 0 ? nil : code).wire ?? []) }
            context?.close(promise: nil)
        default: break
        }
        run()
    }

    private func run() {
        if awaited == .time { return }
        while let step = steps.first {
            switch step {
            case .receive, .answer:
                guard !messages.isEmpty else { return }
                let message = messages.removeFirst()
                steps.removeFirst()
                if case .answer(let make) = step { steps = (make(message) + steps)[...] }
                continue
            case .ping where awaited == .pong:
                guard pongs > 0 else { return }
                pongs -= 1
                awaited = nil
                steps.removeFirst()
                continue
            case .ping:
                awaited = .pong
                send(step.wire ?? [])
                return
            default: break
            }
            steps.removeFirst()
            guard perform(step) else { return }
        }
    }

    /// Does what waits for nothing the client says.
    ///
    /// - Returns: false where the script goes on later.
    private func perform(_ step: SocketScript.Step) -> Bool {
        switch step {
        case .send, .pieces, .frame, .bytes: send(step.wire ?? [])
        case .trickle:
            for byte in step.wire ?? [] { send([byte]) }
        case .close:
            hasClosed = true
            send(step.wire ?? [])
        case .cut:
            context?.close(promise: nil)
            return false
        case .pause(let time):
            awaited = .time
            let parts = time.components
            let nanoseconds = parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
            context?.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(nanoseconds)) {
                self.awaited = nil
                self.run()
            }
            return false
        case .stopReading: context?.channel.setOption(.autoRead, value: false).whenFailure { _ in }
        case .readOn: context?.channel.setOption(.autoRead, value: true).whenFailure { _ in }
        case .ignoreClose: closesInTurn = false
        case .receive, .answer, .ping: break
        }
        return true
    }

    private func send(_ bytes: [UInt8]) {
        guard let context else { return }
        let index = index
        let log = log
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes))).whenSuccess {
            log.update(index) { $0.written += bytes.count }
        }
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
}

/// Hands a client's frames to its connection.
private final class FrameReader: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame

    private unowned let connection: SocketConnection

    init(_ connection: SocketConnection) {
        self.connection = connection
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.receive(unwrapInboundIn(data))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
