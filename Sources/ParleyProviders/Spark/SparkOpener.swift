// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// Asks Spark: connects, sends the one frame of the request, gives the frames of the answer on as lines.
final class SparkOpener: AnswerOpener {
    private let access: ServiceAccess
    private let credentials: [SparkCredential]

    init(_ access: ServiceAccess, _ credentials: [SparkCredential]) {
        self.access = access
        self.credentials = credentials
    }

    func open(_ request: OpenerRequest) async throws(ParleyError) -> any UpstreamAnswer {
        guard credentials.indices.contains(request.credential.index) else {
            throw ParleyError(.internalError, "There is no such credential.")
        }
        let credential = credentials[request.credential.index]
        let frame = try Self.frame(request.body, of: credential)
        switch try await request.connector.connect(handshake(request, credential)) {
        case .refused(let answer): return answer
        case .open(let socket):
            do throws(ParleyError) {
                try await socket.send(frame, by: request.first)
                return SparkAnswer(socket)
            } catch {
                socket.close()
                throw error
            }
        }
    }

    private func handshake(_ request: OpenerRequest, _ credential: SparkCredential) -> UpstreamRequest {
        let query = credential.query(host: access.base.authority, path: request.target.path, at: time(nil))
        let target = request.target.adding(query: query)
        return UpstreamRequest(
            endpoint: target.endpoint, head: access.head(target, contentType: nil), body: nil, isIdempotent: true,
            connectTimeout: request.connectTimeout, headDeadline: request.first)
    }

    /// The request with the application's id.
    private static func frame(
        _ body: ByteBuffer, of credential: SparkCredential
    ) throws(ParleyError) -> ByteBuffer {
        guard case .object(var object)? = try? JSON.parse(body) else {
            throw ParleyError(.internalError, "The request could not be written.")
        }
        var header: JSONObject = ["app_id": .string(credential.appID)]
        for member in object["header"]?.object?.members ?? [] { header[member.key] = member.value }
        object["header"] = .object(header)
        var frame = ByteBuffer()
        frame.writeJSON(.object(object))
        return frame
    }
}

/// The frames of one answer as lines of JSON, up to the last one.
private final class SparkAnswer: UpstreamAnswer {
    let status = 200
    let headers = HeaderBlock(ByteBuffer(string: "content-type: application/x-ndjson\r\n"))
    private let socket: any WebSocket
    private var isOver = false

    init(_ socket: any WebSocket) {
        self.socket = socket
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        guard !isOver else { return nil }
        do throws(ParleyError) {
            guard var frame = try await socket.next(by: deadline) else {
                isOver = true
                return nil
            }
            if Self.isLast(frame) { cancel() }
            Self.becomeLine(&frame)
            return frame
        } catch {
            if error.kind != .timeout { cancel() }
            throw error
        }
    }

    /// One connection is for one answer, which the service may or may not end by itself.
    func cancel() {
        guard !isOver else { return }
        isOver = true
        socket.close()
    }

    private static func isLast(_ frame: ByteBuffer) -> Bool {
        guard let value = try? JSON.parse(frame) else { return false }
        let code = value["header"]?["code"]?.int ?? 0
        return code != 0 || value["header"]?["status"]?.int == 2 || value["payload"]?["choices"]?["status"]?.int == 2
    }

    /// A line feed between two members would end the line too early; inside of a text there is none.
    private static func becomeLine(_ frame: inout ByteBuffer) {
        let feed = UInt8(ascii: "\n")
        if frame.readableBytesView.contains(feed) {
            frame = ByteBuffer(bytes: frame.readableBytesView.map { $0 == feed ? UInt8(ascii: " ") : $0 })
        }
        frame.writeInteger(feed)
    }
}
