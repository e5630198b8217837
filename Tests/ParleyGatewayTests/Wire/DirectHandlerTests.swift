// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOPosix
import Testing

@testable import ParleyGateway

@Suite("The short way to a socket")
struct DirectHandlerTests {
    /// Writes as soon as the connection stands, and closes it once everything has left.
    private final class Writer: DirectHandler, ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let isPlain: Bool
        private let write: (DirectHandler, ChannelHandlerContext) -> Void

        init(isPlain: Bool, _ write: @escaping (DirectHandler, ChannelHandlerContext) -> Void) {
            self.isPlain = isPlain
            self.write = write
        }

        func channelActive(context: ChannelHandlerContext) {
            attach(to: context, isPlain: isPlain)
            write(self, context)
            whenSent { context.close(promise: nil) }
        }
    }

    /// What a client gets of a server that writes so; the client begins to read once `write` is over.
    private func received(
        isPlain: Bool = true, _ write: @escaping @Sendable (DirectHandler, ChannelHandlerContext) -> Void
    ) async throws -> ByteBuffer {
        let group = MultiThreadedEventLoopGroup.singleton
        let written = group.any().makePromise(of: Void.self)
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let writer = Writer(isPlain: isPlain) { handler, context in
                        write(handler, context)
                        written.succeed()
                    }
                    try channel.pipeline.syncOperations.addHandler(writer)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(server.localAddress?.port)
        let client = try await ClientBootstrap(group: group).channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, Never>(wrappingChannelSynchronously: channel)
                }
            }
        try await written.futureResult.get()
        // The server may have closed the connection already, which says what it got by itself.
        try? await client.channel.setOption(.autoRead, value: true).get()
        let all = try await client.executeThenClose { inbound in
            try await inbound.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
        }
        try await server.close()
        return all
    }

    /// Pieces that differ from their neighbours.
    private struct Pieces {
        private(set) var all = ByteBuffer()
        private var count: UInt8 = 0

        mutating func next(_ length: Int) -> ByteBuffer {
            count &+= 1
            let piece = ByteBuffer(repeating: count, count: length)
            all.writeImmutableBuffer(piece)
            return piece
        }
    }

    @Test("Everything arrives in order, also what the socket did not take at once", arguments: [true, false])
    func order(isPlain: Bool) async throws {
        @Sendable func pieces(_ write: (ByteBuffer, ByteBuffer?) -> Void) -> ByteBuffer {
            var pieces = Pieces()
            // 16 MB, more than the buffers of two sockets hold; small pieces follow large ones.
            for turn in 0..<64 {
                let first = pieces.next(turn % 3 == 0 ? 250_000 : 7)
                write(first, turn % 2 == 0 ? nil : pieces.next(250_000))
                write(pieces.next(1), nil)
            }
            return pieces.all
        }
        let got = try await received(isPlain: isPlain) { handler, _ in
            _ = pieces { first, second in
                if let second { handler.transmit(first, second) } else { handler.transmit(first) }
            }
        }
        #expect(got == pieces { _, _ in })
    }

    @Test("What follows what was written to the channel itself waits for it")
    func following() async throws {
        @Sendable func pieces(_ write: (ByteBuffer, _ isPast: Bool) -> Void) -> ByteBuffer {
            var pieces = Pieces()
            write(pieces.next(10), false)
            // More than the socket takes.
            write(pieces.next(8_000_000), true)
            write(pieces.next(10), false)
            return pieces.all
        }
        let got = try await received { handler, context in
            _ = pieces { piece, isPast in
                guard isPast else { return handler.transmit(piece) }
                context.writeAndFlush(NIOAny(piece), promise: nil)
                handler.followChannel()
            }
        }
        #expect(got == pieces { _, _ in })
    }

    @Test("Nothing is written once the connection is closed, and nobody waits for it")
    func closed() async throws {
        let got = try await received { handler, context in
            handler.transmit(ByteBuffer(string: "before"))
            context.close(promise: nil)
            handler.transmit(ByteBuffer(string: "behind"))
            handler.transmit(ByteBuffer(string: "behind"), ByteBuffer(string: "that"))
        }
        #expect(String(buffer: got) == "before")
    }
}
