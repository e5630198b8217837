// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyCore
import ParleyDialects

/// How a request ends that cannot be answered.
extension Exchange {
    /// Tells the client what went wrong, in whichever way is still possible.
    func fail(_ cause: ParleyError) {
        let error = client.abortion ?? cause
        note(error)
        guard error.kind != .cancelled, !client.isClosed else {
            client.response.isAborted = true
            return
        }
        let stream = client.response.streamHead
        client.response.streamHead = nil
        if client.abortion != nil { client.response.keepsAlive = false }
        guard !client.response.hasHead else {
            guard let stream else {
                client.response.isAborted = true
                return
            }
            // Comments went out before there was an answer: the error has to follow them.
            var piece = client.makePiece()
            dialect.encodeStreamFailure(error, into: &piece.bytes)
            client.send(&piece, head: stream, isLast: true)
            return
        }
        if !request.isComplete || request.failure != nil {
            client.response.keepsAlive = false
            client.response.lingers = true
        }
        let head = AnswerHead(status: error.httpStatus, requestID: id)
        head.headers = crossOriginHeaders()
        if let seconds = error.retryAfter {
            head.headers.append(HeaderField("retry-after", String(Int(seconds.rounded(.up)))))
        }
        if error.kind == .methodNotAllowed, let route = Route.find(request.head.target, billing: true) {
            head.headers.append(HeaderField("allow", route.methods.map(\.rawValue).joined(separator: ", ")))
        }
        let attempts = trace.attemptCount
        if attempts > 0 { head.attempts = attempts }
        let isHead = request.head.method == .HEAD
        let failure = dialect.encodeFailure(error)
        client.send(head, body: isArray ? failure.inArray : failure, omitsBody: isHead)
    }
}

extension ByteBuffer {
    /// A JSON value as the only element of an array.
    fileprivate var inArray: ByteBuffer {
        var out = ByteBuffer()
        out.writeStaticString("[")
        out.writeImmutableBuffer(self)
        out.writeStaticString("]")
        return out
    }
}
