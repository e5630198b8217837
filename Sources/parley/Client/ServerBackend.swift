// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyCore
import ParleyWire

/// A running Parley server, asked in OpenAI's dialect over HTTP.
struct ServerBackend: ChatBackend {
    let client: HTTPClient
    let key: String?

    /// How much of an answer that is no stream is read.
    private static let wholeLimit = 64 << 20

    var place: String { client.address.description }

    /// Whether a Parley server answers there.
    func isThere() async -> Bool {
        var status = HTTPResponseStatus.notFound
        try? await client.exchange(.GET, "/health/live", headers: [:]) { piece in
            if case .head(let head) = piece { status = head.status }
        }
        return status == .ok
    }

    func models() async throws -> [ListedModel] {
        var status = HTTPResponseStatus.ok
        var body = ByteBuffer()
        try await client.exchange(.GET, "/v1/models", headers: headers) { piece in
            switch piece {
            case .head(let head): status = head.status
            case .body(let bytes): try Self.append(bytes, to: &body)
            }
        }
        guard status == .ok else { throw refusal(status, body) }
        guard let list = try? JSON.parse(body)["data"]?.array else {
            throw ClientError("what answers at \(place) is no Parley server: its list of models cannot be read")
        }
        return list.compactMap { entry in
            guard let id = entry["id"]?.string else { return nil }
            return ListedModel(id: id, owner: entry["owned_by"]?.string ?? "", json: JSON.text(entry))
        }.sorted { ($0.id, $0.owner) < ($1.id, $1.owner) }
    }

    /// What a model is made of and how its upstreams fare, as JSON. The key must be the admin key.
    func tree(of model: String) async throws -> JSONValue {
        var status = HTTPResponseStatus.ok
        var body = ByteBuffer()
        try await client.exchange(.GET, "/admin/explain/" + Self.escaped(model), headers: headers) { piece in
            switch piece {
            case .head(let head): status = head.status
            case .body(let bytes): try Self.append(bytes, to: &body)
            }
        }
        guard status == .ok else { throw refusal(status, body) }
        guard let tree = try? JSON.parse(body) else {
            throw ClientError("what answers at \(place) is no Parley server: its answer cannot be read")
        }
        return tree
    }

    /// A model's name as a part of a path; a slash may stay.
    private static func escaped(_ name: String) -> String {
        name.utf8.reduce(into: "") { path, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "/"), UInt8(ascii: ":"):
                path.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                path += "%" + (digits.utf8.count < 2 ? "0" : "") + digits
            }
        }
    }

    func answer(_ question: ChatQuestion, deliver: (ChatEvent) throws -> Void) async throws {
        var headers = headers
        headers.add(name: "content-type", value: "application/json")
        headers.add(name: "accept", value: "text/event-stream")
        var status = HTTPResponseStatus.ok
        var isStream = false
        var whole = ByteBuffer()
        var frames = ServerSentEvents()
        var reader = AnswerReader()
        try await client.exchange(.POST, "/v1/chat/completions", headers: headers, body: Self.body(question)) { piece in
            switch piece {
            case .head(let head):
                status = head.status
                let type = head.headers.first(name: "content-type") ?? ""
                isStream = head.status == .ok && type.lowercased().hasPrefix("text/event-stream")
            case .body(let bytes) where isStream:
                frames.push(bytes)
                do throws(ParleyError) {
                    while let frame = try frames.next() { reader.read(frame.data) }
                } catch {
                    throw ClientError(error.message)
                }
                try reader.deliver(deliver)
            case .body(let bytes):
                try Self.append(bytes, to: &whole)
            }
        }
        guard status == .ok else { throw refusal(status, whole) }
        if isStream {
            if let frame = frames.finish() { reader.read(frame.data) }
        } else {
            reader.readWhole(whole)
        }
        try reader.deliver(deliver)
        guard reader.isComplete else { throw ClientError("the answer ended before it was complete") }
    }

    private var headers: HTTPHeaders {
        var headers: HTTPHeaders = [:]
        if let key { headers.add(name: "authorization", value: "Bearer \(key)") }
        return headers
    }

    private static func body(_ question: ChatQuestion) -> ByteBuffer {
        var request: JSONObject = [:]
        if let model = question.model { request["model"] = .string(model) }
        request["messages"] = .array(
            question.turns.map { ["role": .string($0.speaker.rawValue), "content": .string($0.text)] })
        request["stream"] = true
        request["stream_options"] = ["include_usage": true]
        var bytes = ByteBuffer()
        bytes.writeJSON(.object(request))
        return bytes
    }

    private static func append(_ bytes: ByteBuffer, to whole: inout ByteBuffer) throws(ClientError) {
        guard whole.readableBytes + bytes.readableBytes <= wholeLimit else {
            throw ClientError("the answer is larger than \(wholeLimit >> 20) MB")
        }
        whole.writeImmutableBuffer(bytes)
    }

    /// An error answer in the server's own words, with what to do about it where we know.
    private func refusal(_ status: HTTPResponseStatus, _ body: ByteBuffer) -> ClientError {
        let parsed = try? JSON.parse(body)
        let message = parsed?["error"]?["message"]?.string ?? parsed?["error"]?.string
        let text = message ?? "\(place) answered \(status.code) \(status.reasonPhrase)"
        guard status == .unauthorized else { return ClientError(text) }
        let hint = key == nil ? "Name a key with --key or PARLEY_API_KEY." : "The key that was sent is not known there."
        return ClientError("\(text) \(hint)")
    }
}
