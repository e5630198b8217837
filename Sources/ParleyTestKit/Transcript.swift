// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
public import FoundationEssentials

/// An exchange with an upstream, kept as files: `<root>/<provider>/<case>/{request.json, response.headers.json,
/// response.body, case.json}`.
///
/// Hand-written ones lie in the project's `Transcripts` folder and say what a decoder must make of them (`expect`).
/// Recorded ones may be kept elsewhere, in the same format.
public struct Transcript: Sendable, Hashable, CustomStringConvertible {
    /// The request that was sent.
    public struct Request: Sendable, Hashable {
        /// The method.
        public var method: String
        /// The host, without a scheme.
        public var host: String
        /// Path and query.
        public var path: String
        /// The headers, credentials removed.
        public var headers: [String: String]
        /// The body as JSON text, its members sorted; `nil` if it was not kept or is not JSON.
        public var body: [UInt8]?
        /// False if only the response was kept.
        public var isRecorded: Bool
    }

    /// The response that came back.
    public struct Response: Sendable, Hashable {
        /// The status code; 0 where the exchange is not HTTP.
        public var status: Int
        /// The headers, names in lower case.
        public var headers: [String: String]
        /// The bytes the upstream sent, any content coding removed.
        public var body: [UInt8]
    }

    /// The provider's folder.
    public var provider: String
    /// The case's folder.
    public var name: String
    /// The request.
    public var request: Request
    /// The response.
    public var response: Response
    /// What the case shows, in a few words.
    public var shows: [String]
    /// What the body is: `json`, `sse`, `ndjson`, `jsonarray`, `eventstream`, `binary` or `text`.
    public var bodyKind: String
    /// Where the bytes come from; `written` for those written by hand.
    public var evidence: String
    /// Remarks for the reader.
    public var notes: [String]
    /// What a decoder must make of it; recordings have none.
    public var expect: Expectation?

    /// The folders' names, provider first.
    public var description: String { "\(provider)/\(name)" }

    /// A script that answers like this transcript.
    ///
    /// - Parameter split: In which pieces the body is sent; `nil` sends it at once.
    public func script(match: Script.Match = .init(), times: Int? = nil, split: Script.Split? = nil) -> Script {
        var headers = response.headers
        for name in ["content-length", "transfer-encoding", "content-encoding", "connection"] { headers[name] = nil }
        let framing: Script.Framing = bodyKind == "json" ? .length : .chunked
        var steps: [Script.Step] = [.head(.init(response.status, headers: headers, framing: framing))]
        if let split { steps.append(.split(split)) }
        return Script(match: match, times: times, steps: steps + [.writeBytes(response.body)])
    }
}

extension Transcript {
    /// What a decoder must make of a transcript; only the members that apply are set.
    public struct Expectation: Sendable, Hashable, Codable {
        /// A tool call.
        public struct ToolCall: Sendable, Hashable, Codable {
            /// The function's name.
            public var name: String
            /// The arguments, JSON text; to be compared as JSON values.
            public var arguments: String
        }

        /// Token counts.
        public struct Usage: Sendable, Hashable, Codable {
            /// Tokens of the prompt, cached ones among them.
            public var prompt: Int?
            /// Tokens of the completion, reasoning among them.
            public var completion: Int?
            /// The sum of both.
            public var total: Int?
            /// Tokens of the prompt that came from a cache.
            public var cached: Int?
            /// Tokens spent on reasoning.
            public var reasoning: Int?
        }

        /// An error as Parley presents it.
        public struct Failure: Sendable, Hashable, Codable {
            /// The HTTP status; that of an error within a stream is the one it would have had before the first byte.
            public var status: Int?
            /// The error's `type`.
            public var type: String?
            /// The error's `code`.
            public var code: String?
        }

        /// The text of the first choice.
        public var text: String?
        /// The reasoning of the first choice.
        public var reasoning: String?
        /// The refusal of the first choice.
        public var refusal: String?
        /// The finish reason of the first choice, as Parley presents it.
        public var finish: String?
        /// The tool calls of the first choice, in order.
        public var toolCalls: [ToolCall]?
        /// The texts of all choices, in the order of their index.
        public var texts: [String]?
        /// The token counts.
        public var usage: Usage?
        /// The error.
        public var error: Failure?

        private enum CodingKeys: String, CodingKey {
            case text, reasoning, refusal, finish, texts, usage, error
            case toolCalls = "tool_calls"
        }
    }
}

extension Transcript {
    /// The transcripts below a folder, in the order of their names.
    ///
    /// - Parameters:
    ///   - root: The folder of the providers' folders.
    ///   - provider: Only this provider's, if given.
    /// - Throws: The file system's error if the folder or a file cannot be read, `DecodingError` if a file is wrong.
    public static func all(in root: URL, provider: String? = nil) throws -> [Transcript] {
        var found: [Transcript] = []
        let providers = try provider.map { [$0] } ?? folders(in: root)
        for provider in providers {
            let folder = root.appending(path: provider)
            for name in try folders(in: folder) {
                let place = folder.appending(path: name)
                guard FileManager.default.fileExists(atPath: place.appending(path: "case.json").path) else { continue }
                found.append(try Transcript(provider: provider, name: name, in: place))
            }
        }
        return found
    }

    /// The recordings in the folder that the environment variable `PARLEY_RECORDINGS` names; none if it is not set.
    public static func recordings(provider: String? = nil) throws -> [Transcript] {
        guard let path = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"], !path.isEmpty else { return [] }
        let root = URL(filePath: path)
        if let provider, !FileManager.default.fileExists(atPath: root.appending(path: provider).path) { return [] }
        return try all(in: root, provider: provider)
    }

    private static func folders(in folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { name in
                var isFolder = false
                let exists = FileManager.default.fileExists(
                    atPath: folder.appending(path: name).path, isDirectory: &isFolder)
                return exists && isFolder && !name.hasPrefix(".")
            }
            .sorted()
    }

    private init(provider: String, name: String, in folder: URL) throws {
        func decoded<Value: Decodable>(_ type: Value.Type, _ file: String) throws -> Value {
            try JSONDecoder().decode(type, from: try Data(contentsOf: folder.appending(path: file)))
        }
        let request = try decoded(Files.Request.self, "request.json")
        let head = try decoded(Files.Head.self, "response.headers.json")
        let about = try decoded(Files.Case.self, "case.json")
        let body = try Data(contentsOf: folder.appending(path: "response.body"))
        self.provider = provider
        self.name = name
        self.request = Request(
            method: request.method, host: request.host ?? "", path: request.path, headers: request.headers,
            body: try request.body?.text(), isRecorded: request.recorded)
        response = Response(status: head.status, headers: head.headers, body: [UInt8](body))
        shows = about.shows
        bodyKind = about.bodyKind
        evidence = about.evidence
        notes = about.notes ?? []
        expect = about.expect
    }
}

extension Transcript {
    /// The files' JSON.
    private enum Files {
        struct Request: Decodable {
            var method: String
            var host: String?
            var path: String
            var headers: [String: String]
            var body: Value?
            var recorded: Bool
        }

        struct Head: Decodable {
            var status: Int
            var headers: [String: String]
        }

        struct Case: Decodable {
            var shows: [String]
            var bodyKind: String
            var evidence: String
            var notes: [String]?
            var expect: Expectation?

            enum CodingKeys: String, CodingKey {
                case shows, evidence, notes, expect
                case bodyKind = "body_kind"
            }
        }

        /// Any JSON value, to carry a request's body through.
        indirect enum Value: Codable {
            case null
            case bool(Bool)
            case integer(Int64)
            case number(Double)
            case string(String)
            case array([Value])
            case object([String: Value])

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if container.decodeNil() {
                    self = .null
                } else if let value = try? container.decode(Bool.self) {
                    self = .bool(value)
                } else if let value = try? container.decode(Int64.self) {
                    self = .integer(value)
                } else if let value = try? container.decode(Double.self) {
                    self = .number(value)
                } else if let value = try? container.decode(String.self) {
                    self = .string(value)
                } else if let value = try? container.decode([Value].self) {
                    self = .array(value)
                } else {
                    self = .object(try container.decode([String: Value].self))
                }
            }

            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                switch self {
                case .null: try container.encodeNil()
                case .bool(let value): try container.encode(value)
                case .integer(let value): try container.encode(value)
                case .number(let value): try container.encode(value)
                case .string(let value): try container.encode(value)
                case .array(let value): try container.encode(value)
                case .object(let value): try container.encode(value)
                }
            }

            /// The value as JSON text.
            func text() throws -> [UInt8] {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
                return [UInt8](try encoder.encode(self))
            }
        }
    }
}
