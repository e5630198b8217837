// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import FoundationEssentials

/// A request that an upstream saw, and what became of it.
public struct LoggedRequest: Sendable, Hashable {
    /// How far the answer to a request has come.
    public enum State: String, Sendable, Hashable, Codable {
        /// The answer has not been finished.
        case open
        /// The answer was written to its end.
        case complete
        /// The client closed the connection before the end of the answer.
        case clientClosed = "client-closed"
        /// The upstream dropped the connection before the end of the answer.
        case cut
    }

    /// Counts requests from 1, in the order of their arrival.
    public var id: Int
    /// Counts connections from 1.
    public var connection: Int
    /// The method, as sent.
    public var method: String
    /// The request target, as sent: path and query.
    public var path: String
    /// Headers under their lower-case names; repeated ones joined by a comma.
    public var headers: [String: String]
    /// The body's bytes.
    public var body: [UInt8]
    /// The body's top-level `model`, if it is a JSON object with one.
    public var model: String?
    /// How far the answer has come.
    public var state: State
    /// Bytes of the answer, framing included, that the system took from us.
    public var bytesWritten: Int
    /// Milliseconds from our last byte (or, without any, from the request's arrival) to the peer's close; `nil` as
    /// long as the peer has not closed, if we did, or if the connection went on to another request.
    public var millisecondsToClose: Int?

    /// The body as text; bytes that are not UTF-8 are replaced.
    public var bodyText: String { String(decoding: body, as: UTF8.self) }
}

extension LoggedRequest: Codable {
    private enum CodingKeys: String, CodingKey {
        case id, connection, method, path, headers, body, model, state
        case bodyBase64 = "body_base64"
        case bytesWritten = "bytes_written"
        case millisecondsToClose = "ms_to_close"
    }

    /// Decodes an element of `GET /__log`.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        id = try members.decode(Int.self, forKey: .id)
        connection = try members.decode(Int.self, forKey: .connection)
        method = try members.decode(String.self, forKey: .method)
        path = try members.decode(String.self, forKey: .path)
        headers = try members.decode([String: String].self, forKey: .headers)
        if let data = try members.decodeIfPresent(Data.self, forKey: .bodyBase64) {
            body = [UInt8](data)
        } else {
            body = Array(try members.decode(String.self, forKey: .body).utf8)
        }
        model = try members.decodeIfPresent(String.self, forKey: .model)
        state = try members.decode(State.self, forKey: .state)
        bytesWritten = try members.decode(Int.self, forKey: .bytesWritten)
        millisecondsToClose = try members.decodeIfPresent(Int.self, forKey: .millisecondsToClose)
    }

    /// Encodes an element of `GET /__log`; a body that is not UTF-8 goes into `body_base64`.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(id, forKey: .id)
        try members.encode(connection, forKey: .connection)
        try members.encode(method, forKey: .method)
        try members.encode(path, forKey: .path)
        try members.encode(headers, forKey: .headers)
        if let text = String(validating: body, as: UTF8.self) {
            try members.encode(text, forKey: .body)
        } else {
            try members.encode("", forKey: .body)
            try members.encode(Data(body), forKey: .bodyBase64)
        }
        try members.encode(model, forKey: .model)
        try members.encode(state, forKey: .state)
        try members.encode(bytesWritten, forKey: .bytesWritten)
        try members.encode(millisecondsToClose, forKey: .millisecondsToClose)
    }
}
