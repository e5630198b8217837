// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// One attempt at passing a request on as it came, but for the model's name.
struct PassedAttempt {
    /// The most of an error's body that is read.
    private static let errorLimit = 256 << 10

    let provider: any Provider
    /// The model at the service; empty where the request names none.
    let model: String
    let request: PassedRequest

    func reply(to call: Call) async throws(ParleyError) -> Reply {
        guard let passing = provider as? any PassesRequests else { throw Self.notOffered(request) }
        guard call.isRepeatable else {
            throw ParleyError(.internalError, "An upload cannot be sent a second time.")
        }
        let target = passing.target(for: request, model: model.isEmpty ? nil : model)
        let limits = AttemptLimits(call.timeouts, target.timeouts, deadline: call.deadline, now: .now())
        let credential = provider.credentials.pick(at: .now())
        let body = call.upload == nil ? try held(call.body) : nil
        var head = try await provider.authorize(target, body: body, with: credential, through: call.connector)
        for field in call.headers where HeaderField.isName(field.name) && HeaderField.isSafe(field.value) {
            head.writeString("\(field.name): \(field.value)\r\n")
        }
        // A picture or a long recording is answered in one piece, late: the head may take as long as everything.
        if let upload = call.upload { rename(upload) }
        let outgoing = UpstreamRequest(
            endpoint: target.endpoint, head: head, body: body,
            upload: call.upload.map { UpstreamUpload($0, idle: limits.idle, head: limits.total - .now()) },
            isIdempotent: request.method == "GET", connectTimeout: limits.connect, headDeadline: limits.total)
        let answer = try await call.connector.open(outgoing)
        // What an upload took is not counted: that is up to the client.
        let rest = AttemptLimits(call.timeouts, target.timeouts, deadline: .distantFuture, now: .now())
        let reader = AnswerReader(answer, limits: call.upload == nil ? limits : rest)
        guard reader.isAccepted else { throw await refusal(reader, credential) }
        return Reply(.client(PassedBody(reader)), headers: reader.headers.passedOn + reader.headers.ofContent)
    }

    /// What a model says that cannot be asked for such things.
    static func notOffered(_ request: PassedRequest) -> ParleyError {
        ParleyError(
            .notFound, "This model's provider has no \(request.path).", code: "unsupported_operation")
    }

    // MARK: The model's name

    /// The body with the model's name as the service knows it; nil for methods without one.
    private func held(_ body: ByteBuffer) throws(ParleyError) -> ByteBuffer? {
        guard request.method == "POST" else { return nil }
        guard !model.isEmpty, request.kind != .files, request.kind != .batches else { return body }
        if var form = request.contentType.flatMap({ MultipartForm(contentType: $0) }) {
            try form.read(body)
            return renamed(form, body)
        }
        guard request.contentType?.lowercased().contains("json") == true, let scan = try? JSONScan(body) else {
            return body
        }
        if let member = scan.member(named: "model"), scan.string(member) == model,
            scan.members.count(where: { scan.name($0) == "model" }) == 1
        {
            return body
        }
        return scan.applying([.set("model", json: JSON.text(.string(model)))])
    }

    private func rename(_ upload: any RequestUpload) {
        guard !model.isEmpty, request.kind != .files, request.kind != .batches,
            let type = request.contentType, var form = MultipartForm(contentType: type)
        else { return }
        upload.edit { opening in
            guard (try? form.read(opening)) != nil else { return opening }
            return renamed(form, opening)
        }
    }

    private func renamed(_ form: MultipartForm, _ opening: ByteBuffer) -> ByteBuffer {
        let isNamed = !form.models.isEmpty && form.models.allSatisfy { $0.value == model }
        return isNamed ? opening : form.naming(model, in: opening)
    }

    // MARK: Refusals

    /// What a status other than 2xx means. The body may be cut or late: then the status says it alone.
    private func refusal(_ reader: AnswerReader, _ credential: Credential) async -> ParleyError {
        defer { reader.cancel() }
        var body = ByteBuffer()
        do throws(ParleyError) {
            body = try await reader.collect(limit: Self.errorLimit).body
        } catch {
            if error.kind == .cancelled { return error }
        }
        if (300..<400).contains(reader.status) {
            return ParleyError(
                .upstreamUnavailable, "the service answered with a redirect (\(reader.status)); check base_url")
        }
        var failure = Dialects.openAIChat.decodeFailure(status: reader.status, headers: reader.headers, body: body)
        // Pictures and sounds have codes of their own, which programs look at.
        let isTheClients = [.invalid, .contentFiltered, .tooLarge].contains(failure.kind)
        if isTheClients, let code = (try? JSON.parse(body))?["error"]?["code"]?.string { failure.code = code }
        return provider.credentials.note(failure, of: credential, at: .now())
    }
}

extension HeaderBlock {
    /// What says how the body is to be read, beside its type and length.
    fileprivate var ofContent: [HeaderField] {
        fields { name in
            name.equals("content-disposition") || name.equals("content-encoding") || name.equals("content-language")
        }
    }
}
