// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import NIOCore
import NIOHTTP1
import Synchronization

/// What the connections of one upstream share: scripts, log and counts.
final class UpstreamState: Sendable {
    /// Counts of connections and requests; control requests, and connections that carried one, are left out.
    struct Stats: Sendable, Hashable, Codable {
        var openConnections = 0
        var totalConnections = 0
        var requests = 0

        enum CodingKeys: String, CodingKey {
            case openConnections = "open_connections"
            case totalConnections = "total_connections"
            case requests
        }
    }

    /// A log entry; made into a `LoggedRequest` only when somebody asks.
    struct Entry: Sendable {
        let id: Int
        let connection: Int
        let head: HTTPRequestHead
        let body: ByteBuffer
        let model: String?
        var state = LoggedRequest.State.open
        var bytesWritten = 0
        var millisecondsToClose: Int?
    }

    private struct Guarded {
        var scripts: [Script] = []
        var entries: [Entry] = []
        /// Ids below this one were cleared from the log.
        var firstID = 1
        var connections = 0
        var stats = Stats()
    }

    private let guarded = Mutex(Guarded())

    /// Appends scripts.
    func add(_ scripts: [Script]) {
        guarded.withLock { $0.scripts += scripts }
    }

    /// Forgets scripts and log.
    func clear() {
        guarded.withLock {
            $0.scripts = []
            $0.firstID += $0.entries.count
            $0.entries = []
        }
    }

    /// The log, oldest first.
    func log() -> [LoggedRequest] {
        guarded.withLock { $0.entries }.map(LoggedRequest.init)
    }

    /// The counts.
    func stats() -> Stats {
        guarded.withLock { $0.stats }
    }

    /// Counts a new connection and returns its number, from 1.
    func connectionOpened() -> Int {
        guarded.withLock {
            $0.connections += 1
            $0.stats.totalConnections += 1
            $0.stats.openConnections += 1
            return $0.connections
        }
    }

    /// A connection has gone.
    func connectionClosed() {
        guarded.withLock { $0.stats.openConnections -= 1 }
    }

    /// A connection turned out to carry control requests: it is none of those we count.
    func connectionIsControl() {
        guarded.withLock {
            $0.stats.openConnections -= 1
            $0.stats.totalConnections -= 1
        }
    }

    /// Counts a request, finds its script and uses up one of its times.
    func steps(for head: HTTPRequestHead, model: String?) -> [Script.Step]? {
        guarded.withLock { guarded in
            guarded.stats.requests += 1
            guard let index = guarded.scripts.firstIndex(where: { $0.takes(head, model: model) }) else { return nil }
            if let times = guarded.scripts[index].times { guarded.scripts[index].times = times - 1 }
            return guarded.scripts[index].steps
        }
    }

    /// Notes a request in the log and returns its id.
    func note(connection: Int, head: HTTPRequestHead, body: ByteBuffer, model: String?) -> Int {
        guarded.withLock {
            let id = $0.firstID + $0.entries.count
            $0.entries.append(Entry(id: id, connection: connection, head: head, body: body, model: model))
            return id
        }
    }

    /// Changes a log entry, unless it was cleared meanwhile.
    func update(_ id: Int, _ change: (inout Entry) -> Void) {
        guarded.withLock {
            let index = id - $0.firstID
            guard $0.entries.indices.contains(index) else { return }
            change(&$0.entries[index])
        }
    }
}

extension Script {
    /// Whether this script still has times left and all of its conditions hold.
    fileprivate func takes(_ head: HTTPRequestHead, model: String?) -> Bool {
        if let times, times <= 0 { return false }
        if let wanted = match.model, wanted != model { return false }
        if let wanted = match.path, wanted != head.uri, wanted != String(head.uri.prefix { $0 != "?" }) { return false }
        return match.header.allSatisfy { head.headers[$0.key].contains($0.value) }
    }
}

extension LoggedRequest {
    fileprivate init(_ entry: UpstreamState.Entry) {
        id = entry.id
        connection = entry.connection
        method = entry.head.method.rawValue
        path = entry.head.uri
        headers = Dictionary(
            entry.head.headers.map { ($0.name.lowercased(), $0.value) }, uniquingKeysWith: { "\($0), \($1)" })
        body = Array(entry.body.readableBytesView)
        model = entry.model
        state = entry.state
        bytesWritten = entry.bytesWritten
        millisecondsToClose = entry.millisecondsToClose
    }
}
