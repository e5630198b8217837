// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyDialects
import ParleyModels
import ParleyWire

/// Requests that are passed on as they come, and their answers.
extension Exchange {
    /// How much of a form is read before a model must have been named.
    private static let openingLimit = 64 << 10

    /// A request that is passed on, start to end.
    func pass(_ path: PassedPath, _ key: KeyRecord) async throws(ParleyError) {
        let body: any PassedAnswer
        let head: AnswerHead
        let reply: Reply
        do throws(ParleyError) {
            (body, head, reply) = try await passedAnswer(path, key)
        } catch {
            // What the client itself did wrong meanwhile is the better reason.
            throw request.failure ?? error
        }
        record.firstEvent = elapsed()
        defer {
            body.cancel()
            client.attach(nil)
            observe(body.observed)
        }
        do throws(ParleyError) {
            try await relay(body, head, by: .now() + (snapshot.timeouts.total ?? .minutes(10)))
        } catch {
            reply.end(body.observed, error)
            throw error
        }
        reply.end(body.observed, nil)
    }

    private func passedAnswer(
        _ path: PassedPath, _ key: KeyRecord
    ) async throws(ParleyError) -> (any PassedAnswer, AnswerHead, Reply) {
        var passed = PassedRequest(
            path.kind, method: request.head.method.rawValue, path: path.path,
            query: try PassedPath.query(of: request.head.target))
        if request.head.method == .POST { passed.contentType = request.head.contentType }
        let isGuarded = key.isBound
        let opening = try await readOpening(of: passed, isGuarded: isGuarded)
        let choice = try await choose(for: passed, named: opening.model, isOpen: opening.isOpen, key)
        record.model = choice.name
        operation = .pass
        let total = snapshot.timeouts.total ?? .minutes(10)
        var call = Call(
            id: id, dialect: dialectID, operation: .pass(passed), model: choice.name ?? "", stream: false,
            includeUsage: false, body: opening.body, deadline: .now() + total, connector: shard, trace: trace)
        call.headers = request.head.passed
        if request.isUpload, !request.isComplete {
            let upload = ClientUpload(request, of: client, form: opening.form, isGuarded: isGuarded)
            client.attach(upload)
            call.upload = upload
            // How long an upload takes is up to the client, as long as it goes on.
            call.deadline = .distantFuture
        } else if request.isUpload {
            call.body = request.takeBody()
        }
        let reply = try await choice.model.answer(call)
        guard case .client(let body) = reply.content, let answer = body as? any PassedAnswer else {
            reply.giveUp()
            throw ParleyError(.internalError, "The answer is none that can be passed on.")
        }
        return (answer, passedHead(answer, reply, choice), reply)
    }

    // MARK: The model in the body

    /// What was read of a body to find the model in it.
    private struct Opening {
        /// The whole body where it is held; an upload stays with its request.
        var body = ByteBuffer()
        var model: String?
        var form: MultipartForm?
        /// Whether a model may still be named in what follows.
        var isOpen = false
    }

    /// Reads as much of a body as is needed to know the model.
    ///
    /// - Parameter isGuarded: whether the key may use some models only, so that none may go unseen.
    private func readOpening(
        of passed: PassedRequest, isGuarded: Bool
    ) async throws(ParleyError) -> Opening {
        var opening = Opening()
        let isStored = passed.kind == .files || passed.kind == .batches
        guard request.isUpload else {
            try await client.awaitBody(of: request)
            opening.body = request.takeBody()
            if !isStored, passed.method == "POST" { opening.model = try Self.model(in: opening.body, passed) }
            return opening
        }
        guard !isStored, let form = MultipartForm(contentType: passed.contentType ?? "") else {
            if !isStored, isGuarded { throw Self.unreadable }
            // Asks for the body where the client waits to be asked.
            try await client.awaitBody(of: request) { _ throws(ParleyError) in true }
            return opening
        }
        opening.form = try await read(form)
        opening.model = opening.form?.models.first?.value
        let isOver = request.isComplete || opening.form?.isDone == true
        opening.isOpen = opening.model == nil && !isOver
        return opening
    }

    private static let unreadable = ParleyError(
        .invalid, "This key may use some models only: send JSON or multipart/form-data, where the model can be seen.",
        code: "unsupported_media_type", status: 415)

    /// Reads a form until a model is named in it, as far as its beginning goes.
    private func read(_ form: MultipartForm) async throws(ParleyError) -> MultipartForm {
        var form = form
        try await client.awaitBody(of: request) { body throws(ParleyError) in
            let fresh = body.getSlice(at: body.readerIndex + form.count, length: body.readableBytes - form.count)
            if let fresh { try form.read(fresh) }
            return !form.models.isEmpty || form.isDone || form.count >= Self.openingLimit
        }
        return form
    }

    private static func model(in body: ByteBuffer, _ passed: PassedRequest) throws(ParleyError) -> String? {
        guard body.readableBytes > 0, PassedPath.isJSON(passed.contentType ?? "application/json") else { return nil }
        let scan: JSONScan
        do {
            scan = try JSONScan(body)
        } catch {
            throw ParleyError(
                .invalid, "The body is not a JSON object: \(error.message) (at byte \(error.offset)).",
                code: "invalid_json")
        }
        guard let member = scan.member(named: "model"), !scan.isNull(member) else { return nil }
        guard let name = scan.string(member) else {
            throw ParleyError(.invalid, "model must be a string.", code: "invalid_type", parameter: "model")
        }
        return name
    }

    // MARK: The answer

    private func passedHead(_ answer: any PassedAnswer, _ reply: Reply, _ choice: ModelChoice) -> AnswerHead {
        let head = AnswerHead(status: answer.status, requestID: id)
        head.headers = crossOriginHeaders()
        head.contentType =
            AnswerHead.isSafe(answer.contentType) ? answer.contentType : "application/octet-stream"
        record.stream = head.contentType.lowercased().hasPrefix("text/event-stream")
        head.isStream = record.stream
        describe(reply, choice.name ?? "", in: head)
        if choice.name == nil { head.model = nil }
        if !request.isComplete {
            // The rest of the upload is not waited for.
            client.response.keepsAlive = false
            client.response.lingers = true
        }
        return head
    }

    /// Sends an answer on as it comes, of its own length where that is known.
    func relay(
        _ body: any PassedAnswer, _ head: AnswerHead, by deadline: NIODeadline
    ) async throws(ParleyError) {
        guard let length = body.length, head.status != 204 else {
            return try await relayUnsized(body, head, by: deadline)
        }
        var isOpen = true
        while isOpen {
            var bytes = ByteBuffer()
            isOpen = try await body.next(into: &bytes, by: deadline)
            client.send(bytes, head: head, length: length)
            if isOpen { try await client.awaitWritable(by: deadline) }
        }
    }

    private func relayUnsized(
        _ body: any PassedAnswer, _ head: AnswerHead, by deadline: NIODeadline
    ) async throws(ParleyError) {
        guard head.status != 204 else { return client.send(head, body: ByteBuffer()) }
        var isOpen = true
        while isOpen {
            var piece = client.makePiece()
            isOpen = try await body.next(into: &piece.bytes, by: deadline)
            client.send(&piece, head: head, isLast: !isOpen)
            if isOpen { try await client.awaitWritable(by: deadline) }
        }
    }
}

extension ClientConnection {
    /// Sends a piece of a body whose length is known, with the head where it was not sent yet.
    fileprivate func send(_ bytes: ByteBuffer, head: AnswerHead, length: Int) {
        if !response.hasHead {
            response.framing = .length(length)
            response.hasHead = true
            response.status = head.status
            var out = ByteBuffer()
            head.write(
                into: &out, framing: response.framing, keepAlive: response.keepsAlive, isHTTP10: response.isHTTP10,
                clock: &shard.clock)
            write(out)
        }
        guard bytes.readableBytes > 0 else { return }
        response.bytesOut += bytes.readableBytes
        write(bytes)
    }
}
