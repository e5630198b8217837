// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What an upstream does with one kind of request: which requests it takes, and the steps it answers with.
///
/// The JSON of a script is the same in Swift tests (through `Codable`) and in the control API (`POST /__script`).
public struct Script: Sendable, Hashable {
    /// Which requests this script answers; an empty match takes every request.
    public var match: Match
    /// How many requests it answers before it is spent; `nil` means for ever.
    public var times: Int?
    /// The steps, run in order on the request's connection.
    public var steps: [Step]

    /// Creates a script; without a match it answers every request, without `times` for ever.
    public init(match: Match = Match(), times: Int? = nil, steps: [Step]) {
        self.match = match
        self.times = times
        self.steps = steps
    }

    /// The conditions a request must meet; those left `nil` or empty always hold.
    public struct Match: Sendable, Hashable {
        /// The request body's top-level `model`.
        public var model: String?
        /// The request's path, compared with and without its query.
        public var path: String?
        /// Headers that must be there with exactly these values; names in any case.
        public var header: [String: String]

        /// Creates a match.
        public init(model: String? = nil, path: String? = nil, header: [String: String] = [:]) {
            self.model = model
            self.path = path
            self.header = header
        }
    }

    /// One step of an answer.
    ///
    /// A step that writes a body before any `head` sends a head of its own first: status 200, chunked.
    public enum Step: Sendable, Hashable {
        /// Writes the status line and the headers.
        case head(Head)
        /// Writes text; one HTTP chunk.
        case write(String)
        /// Writes bytes; one HTTP chunk.
        case writeBytes([UInt8])
        /// Writes a file's content, read when the step's script is chosen; one HTTP chunk.
        case writeFile(String)
        /// Writes server-sent events, one HTTP chunk each, in a single flush.
        case sse(Events)
        /// Writes the same text many times.
        case `repeat`(Repetition)
        /// From here on writes go out in pieces.
        case split(Split)
        /// Waits, in milliseconds.
        case sleep(milliseconds: Int)
        /// Does nothing until the peer closes the connection.
        case hang
        /// Drops the connection in the middle of whatever was being said. Under TLS there is no close_notify.
        case cut(Cut)
        /// Finishes the framing; the connection stays. Implied at the end of the steps.
        case end
        /// Finishes the framing, then closes the connection in good order; the head says `connection: close`.
        case close
        /// Writes text without any framing.
        case raw(String)
        /// Closes the connection at once without an answer; meant as the only step.
        case refuse
    }

    /// A response head.
    public struct Head: Sendable, Hashable {
        /// The status code; any number, known or not.
        public var status: Int
        /// The headers, written in the order of their names.
        public var headers: [String: String]
        /// How the body's end is told.
        public var framing: Framing

        /// Creates a head; by default 200, no headers, chunked.
        public init(_ status: Int = 200, headers: [String: String] = [:], framing: Framing = .chunked) {
            self.status = status
            self.headers = headers
            self.framing = framing
        }
    }

    /// How the end of a body is told to the client.
    public enum Framing: Sendable, Hashable {
        /// `transfer-encoding: chunked`.
        case chunked
        /// `content-length`, counted from all later steps that write.
        case length
        /// `content-length` as given, true or not.
        case declaredLength(Int)
        /// No framing: the body ends with the connection.
        case close
    }

    /// Server-sent events.
    public struct Events: Sendable, Hashable {
        /// The data of each event, one line each.
        public var data: [String]
        /// Whether `data: [DONE]` follows the last one.
        public var done: Bool
        /// Whether lines end in CR LF instead of LF.
        public var crlf: Bool

        /// Creates events; by default they end in `[DONE]` and their lines in LF.
        public init(_ data: [String], done: Bool = true, crlf: Bool = false) {
            self.data = data
            self.done = done
            self.crlf = crlf
        }
    }

    /// A text written many times.
    public struct Repetition: Sendable, Hashable {
        /// How many times, at most a thousand million.
        public var count: Int
        /// The text; `$i` in it becomes the repetition's number, from 0.
        public var write: String
        /// The wait between two repetitions in milliseconds; 0 writes all in one flush, one HTTP chunk each.
        public var everyMilliseconds: Int

        /// Creates a repetition, by default all at once.
        public init(_ count: Int, write: String, everyMilliseconds: Int = 0) {
            self.count = count
            self.write = write
            self.everyMilliseconds = everyMilliseconds
        }
    }

    /// The size of the pieces later writes are cut into; each goes out in a flush and an HTTP chunk of its own.
    public enum Split: Sendable, Hashable {
        /// Pieces of this many bytes.
        case size(Int)
        /// Pieces of 1 to `max` bytes, drawn from a generator with this seed.
        case random(seed: UInt64, max: Int)
    }

    /// How a connection is dropped.
    public enum Cut: String, Sendable, Hashable, Codable {
        /// The socket is closed.
        case fin
        /// The socket is closed with a reset.
        case rst
    }
}

extension Script {
    /// A whole JSON answer.
    public static func json(
        _ body: String, status: Int = 200, headers: [String: String] = [:], match: Match = Match(), times: Int? = nil
    ) -> Script {
        var all = ["content-type": "application/json"]
        all.merge(headers) { $1 }
        return Script(
            match: match, times: times, steps: [.head(Head(status, headers: all, framing: .length)), .write(body)])
    }

    /// A stream of server-sent events.
    public static func stream(
        _ data: [String], done: Bool = true, headers: [String: String] = [:], match: Match = Match(), times: Int? = nil
    ) -> Script {
        var all = ["content-type": "text/event-stream"]
        all.merge(headers) { $1 }
        return Script(
            match: match, times: times, steps: [.head(Head(200, headers: all)), .sse(Events(data, done: done))])
    }
}
