// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyCore
import ParleyDialects
import ParleyWire

@testable import ParleyGateway
@testable import ParleyProviders

/// What became of a client's bytes.
private struct RequestParts: Equatable {
    private var framing = RequestFraming(headLimit: 4 << 10)
    private var seen: [String] = []
    private var failure: FramingError?
    private var body = ByteBuffer()

    mutating func read(_ bytes: ByteBuffer) {
        do throws(FramingError) {
            try framing.read(bytes) { part in
                switch part {
                case .head(let head): seen.append("\(head.method) \(head.target)")
                case .body(let bytes): body.writeImmutableBuffer(bytes)
                case .end: seen.append("end")
                }
            }
        } catch {
            failure = error
        }
    }

    static func == (left: RequestParts, right: RequestParts) -> Bool {
        // Of a body that cannot be read to its end, more or less may have been handed out before.
        guard left.failure == nil, right.failure == nil else { return left.failure != nil && right.failure != nil }
        return (left.seen, left.body) == (right.seen, right.body)
    }
}

/// One thing that reads bytes a peer wrote. It must not crash, hang, or hold more and more memory.
struct FuzzTarget: Sendable {
    /// The one that runs; set once, before libFuzzer begins.
    nonisolated(unsafe) static var current: FuzzTarget?

    let name: String
    let run: @Sendable (UnsafeRawBufferPointer) -> Void

    /// Every target.
    static let all: [FuzzTarget] = wire + ledger + Dialects.all.flatMap(of) + EmbeddingDialects.all.map(of)

    private static let wire: [FuzzTarget] = [
        FuzzTarget(name: "json") { bytes in
            guard let value = try? JSON.parse(ByteBuffer(bytes: bytes)) else { return }
            var out = ByteBuffer()
            out.writeJSON(value)
            if (try? JSON.parse(out)) != value { crash("what was written is not what was read") }
        },
        FuzzTarget(name: "request-path") { bytes in
            let (first, rest) = split(bytes)
            let target = String(decoding: first, as: UTF8.self)
            guard let route = Route.find(target, billing: true), let dialect = try? Dialects.dialect(route.dialect),
                let intake = try? dialect.intake(ByteBuffer(bytes: rest))
            else { return }
            _ = try? dialect.decodeRequest(intake.body)
        },
        FuzzTarget(name: "agent-peer") { bytes in
            var peer = AgentPeer(AgentFlavour(hasOldRequests: true), permissions: .all)
            _ = peer.adopt("s")
            _ = peer.prompt("s", [])
            var lines = JSONLines()
            pieces(bytes) { piece in
                lines.push(ByteBuffer(bytes: piece))
                while let line = try? lines.next() { _ = peer.receive(line) }
            }
        },
        FuzzTarget(name: "request-framing") { bytes in
            var (whole, pieced) = (RequestParts(), RequestParts())
            // The first byte is the size of the pieces.
            whole.read(ByteBuffer(bytes: bytes.dropFirst()))
            pieces(bytes) { pieced.read(ByteBuffer(bytes: $0)) }
            if whole != pieced { crash("a request in pieces is another one") }
        },
        FuzzTarget(name: "response-framing") { bytes in
            var framing = ResponseFraming()
            pieces(bytes) { piece in
                var arrival = Arrival()
                try? framing.read(ByteBuffer(bytes: piece), into: &arrival)
            }
        },
    ]

    /// Everything that one dialect reads.
    private static func of(_ dialect: any Dialect) -> [FuzzTarget] {
        let name = dialect.id.name
        let clients = Dialects.all.filter(\.isSpokenByClients)
        var targets = [
            FuzzTarget(name: "\(name)-stream") { bytes in stream(bytes, dialect, clients) },
            FuzzTarget(name: "\(name)-whole") { bytes in
                guard let response = try? dialect.decodeWhole(ByteBuffer(bytes: bytes)) else { return }
                for client in clients { _ = client.encodeWhole(response, context) }
            },
            FuzzTarget(name: "\(name)-failure") { bytes in
                let (first, rest) = split(bytes)
                let status = 400 + Int(first.first ?? 0) % 130
                let error = dialect.decodeFailure(
                    status: status, headers: HeaderBlock(ByteBuffer(bytes: first)), body: ByteBuffer(bytes: rest))
                for client in clients { _ = client.encodeFailure(error) }
            },
        ]
        if dialect.isSpokenByClients {
            targets.append(FuzzTarget(name: "\(name)-request") { bytes in request(bytes, dialect) })
        }
        if let relaying = dialect as? any RelayingDialect {
            targets.append(FuzzTarget(name: "\(name)-relay") { bytes in relay(bytes, relaying) })
        }
        return targets
    }

    /// Reads a client's request and writes it for every upstream.
    private static func request(_ bytes: UnsafeRawBufferPointer, _ dialect: any Dialect) {
        guard let intake = try? dialect.intake(ByteBuffer(bytes: bytes)),
            let request = try? dialect.decodeRequest(intake.body)
        else { return }
        for target in Dialects.all {
            var dropped: [String] = []
            _ = try? target.encodeRequest(request, dropped: &dropped)
        }
    }

    /// Passes a stream on, ends it by an error where there is one, and looks at the same bytes as a whole and a request.
    private static func relay(_ bytes: UnsafeRawBufferPointer, _ relaying: any RelayingDialect) {
        let relay = relaying.makeStreamRelay(stripUsage: bytes.count % 2 == 0)
        var out = ByteBuffer()
        do throws(ParleyError) {
            try each(bytes) { piece throws(ParleyError) in try relay.push(ByteBuffer(bytes: piece), into: &out) }
            try relay.finish(into: &out)
        } catch {
            relay.fail(error, into: &out)
        }
        _ = try? relaying.inspectWhole(ByteBuffer(bytes: bytes))
        var dropped: [String] = []
        _ = try? relaying.splice(
            ByteBuffer(bytes: bytes), reading: nil, model: "m", stream: true, overrides: [], dropped: &dropped)
    }

    private static func of(_ dialect: any EmbeddingDialect) -> FuzzTarget {
        FuzzTarget(name: "\(dialect.id.name)-embedding") { bytes in
            let body = ByteBuffer(bytes: bytes)
            if let request = try? dialect.decodeRequest(body) {
                for target in EmbeddingDialects.all {
                    var dropped: [String] = []
                    _ = try? target.encodeRequest(request, model: "m", dropped: &dropped)
                }
            }
            guard let response = try? dialect.decodeResponse(body) else { return }
            for client in EmbeddingDialects.all {
                _ = client.encodeResponse(response, for: EmbeddingRequest([.text("a")]), context)
            }
        }
    }

    private static let context = AnswerContext(id: "fuzz", model: "m", created: 1, includeUsage: true)

    /// Reads a stream in pieces and writes what came of it for every client.
    private static func stream(_ bytes: UnsafeRawBufferPointer, _ dialect: any Dialect, _ clients: [any Dialect]) {
        var decoder = dialect.makeStreamDecoder()
        var events: [Event] = []
        var failure: ParleyError?
        do throws(ParleyError) {
            try each(bytes) { piece throws(ParleyError) in try decoder.push(ByteBuffer(bytes: piece), into: &events) }
            try decoder.finish(into: &events)
        } catch {
            failure = error
        }
        for client in clients {
            var encoder = client.makeStreamEncoder(context)
            var out = ByteBuffer()
            for event in events { encoder.push(event, into: &out) }
            if let failure { encoder.fail(failure, into: &out) } else { encoder.finish(into: &out) }
            // What one encoder writes, its own decoder must be able to read, unless it was ended by an error.
            guard failure == nil else { continue }
            var again = client.makeStreamDecoder()
            var read: [Event] = []
            do throws(ParleyError) {
                try again.push(out, into: &read)
                try again.finish(into: &read)
            } catch {
                // An answer can be read and say nothing that another dialect calls complete.
                continue
            }
        }
    }

    /// The first byte decides how the rest is cut.
    private static func each(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(ParleyError) -> Void
    ) throws(ParleyError) {
        guard let first = bytes.first else { return }
        let size = max(1, Int(first))
        var start = 1
        while start < bytes.count {
            let end = min(bytes.count, start + size)
            try body(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            start = end
        }
    }

    private static func pieces(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
        try? each(bytes) { piece throws(ParleyError) in body(piece) }
    }

    /// Up to the first line feed, and behind it.
    private static func split(_ bytes: UnsafeRawBufferPointer) -> (UnsafeRawBufferPointer, UnsafeRawBufferPointer) {
        let at = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        return (
            UnsafeRawBufferPointer(rebasing: bytes[..<at]),
            UnsafeRawBufferPointer(rebasing: bytes[min(bytes.count, at + 1)...])
        )
    }

    static func crash(_ reason: String) -> Never { fatalError(reason) }
}
