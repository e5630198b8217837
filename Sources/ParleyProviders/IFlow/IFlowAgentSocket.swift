// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// A connection to iFlow's command: one WebSocket for all calls, whose sessions are told apart by their ids.
///
/// A WebSocket belongs to one event loop: that of the call which needed the connection first. The connection's task and
/// its two children, one of which reads and one of which writes, run there; calls of other loops reach it through the
/// link. Where nothing listens the command is started, and it ends with its connection.
struct IFlowAgentSocket: AgentTransport {
    /// How long the command may take until it listens.
    private static let startLimit = TimeAmount.seconds(30)
    /// How long it may take from the connection to `//ready`.
    private static let readyLimit = TimeAmount.seconds(30)
    /// How long it may leave a message unread.
    private static let sendLimit = TimeAmount.seconds(60)
    private static let pause = TimeAmount.milliseconds(250)

    let access: ServiceAccess
    /// What starts it; nil where it must be there.
    let command: AgentCommand?

    var isOnLoop: Bool { true }

    func run(_ link: AgentLink, through connector: any Connector) async -> ParleyError {
        var child: AgentChild?
        let reason = await talk(link, connector, &child)
        link.close(reason)
        await child?.stop()
        return reason
    }

    private func talk(_ link: AgentLink, _ connector: any Connector, _ child: inout AgentChild?) async -> ParleyError {
        do throws(ParleyError) {
            let socket = try await self.socket(connector, &child, link)
            defer { socket.socket.close() }
            try await ready(socket.socket)
            await converse(socket, link)
            return ParleyError(.upstreamUnavailable, "iFlow's command closed the connection", status: 503)
        } catch {
            return error
        }
    }

    // MARK: Connecting

    /// The connection, after the command was started where nothing listens.
    private func socket(
        _ connector: any Connector, _ child: inout AgentChild?, _ link: AgentLink
    ) async throws(ParleyError) -> LoopSocket {
        do throws(ParleyError) {
            return try await connect(connector)
        } catch {
            guard error.kind == .upstreamUnavailable, error.status != Self.refused else { throw error }
            guard let command else { throw Self.absent }
            child = AgentChild(command)
        }
        let deadline = NIODeadline.now() + Self.startLimit
        while let child, !child.hasEnded, !link.isClosed {
            try await connector.sleep(Self.pause)
            do throws(ParleyError) {
                return try await connect(connector)
            } catch {
                guard error.kind == .upstreamUnavailable, NIODeadline.now() < deadline else { throw error }
            }
        }
        throw ParleyError(
            .upstreamUnavailable, "iFlow's command ended before it listened; is it installed?", status: 503)
    }

    private static let absent = ParleyError(
        .upstreamUnavailable, "iFlow's command does not listen at `url`; start it, or set `command`", status: 503)
    /// Marks an answer that is not the wished-for WebSocket: something listens.
    private static let refused = 502

    private func connect(_ connector: any Connector) async throws(ParleyError) -> LoopSocket {
        let target = access.target("GET", "")
        let request = UpstreamRequest(
            endpoint: target.endpoint, head: access.head(target, contentType: nil, accept: "*/*"), body: nil,
            isIdempotent: true, connectTimeout: target.timeouts.connect ?? .seconds(5),
            headDeadline: .now() + (target.timeouts.first ?? .seconds(60)))
        switch try await connector.connect(request) {
        case .open(let socket): return LoopSocket(socket: socket)
        case .refused(let answer):
            answer.cancel()
            throw ParleyError(
                .upstreamUnavailable, "what listens at `url` is not iFlow's command (status \(answer.status))",
                status: Self.refused)
        }
    }

    /// Waits for the word that it can be talked to.
    private func ready(_ socket: any WebSocket) async throws(ParleyError) {
        let deadline = NIODeadline.now() + Self.readyLimit
        while let message = try await socket.next(by: deadline) {
            if message.isControl, String(buffer: message).dropFirst(2).prefix(5) == "ready" { return }
        }
        throw ParleyError(
            .upstreamUnavailable, "iFlow's command closed the connection before it was ready", status: 503)
    }

    // MARK: Talking

    /// Carries messages until one side has had enough.
    private func converse(_ socket: LoopSocket, _ link: AgentLink) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await Self.listen(socket.socket, link) }
            group.addTask { await Self.speak(socket.socket, link) }
            await group.next()
            link.close(ParleyError(.upstreamUnavailable, "iFlow's command closed the connection", status: 503))
            group.cancelAll()
        }
    }

    private static func listen(_ socket: any WebSocket, _ link: AgentLink) async {
        while let message = try? await socket.next(by: .distantFuture) {
            // Lines for whoever looks for a fault, between the messages.
            if message.isControl { continue }
            if let slow = link.receive(message) { await slow.keepUp() }
        }
    }

    private static func speak(_ socket: any WebSocket, _ link: AgentLink) async {
        while let messages = try? await link.outbox.next(by: .distantFuture) {
            for message in messages {
                do throws(ParleyError) {
                    try await socket.send(message, by: .now() + sendLimit)
                } catch {
                    return
                }
            }
        }
    }
}

/// A WebSocket that two tasks of one event loop share: one reads, one writes.
///
/// `@unchecked Sendable`: both are children of a task that runs on the socket's own loop, and so do they.
private struct LoopSocket: @unchecked Sendable {
    let socket: any WebSocket
}

extension ByteBuffer {
    /// Whether it is one of iFlow's control lines, which are no JSON.
    fileprivate var isControl: Bool { readableBytesView.starts(with: [0x2F, 0x2F]) }
}
