// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyDialects
import ParleyModels
import ParleyProviders

/// One request from its head to its log line. Start reading here: `run` and `generate` are the whole way of a request.
final class Exchange {
    let shard: Shard
    let client: ClientConnection
    let request: Request
    /// 1. Snapshot: the configuration is read once.
    let snapshot: Snapshot
    /// The request's id: the client's own, or one of ours.
    let id: String
    /// The dialect that answers and errors are written in.
    var dialect: any Dialect = Dialects.openAIChat {
        didSet { dialectID = dialect.id }
    }
    /// Which one that is; kept, since to ask a dialect is to copy it first.
    private(set) var dialectID = DialectID.openAIChat
    /// Whether the client wants a stream as one JSON array, and so an error as its only element.
    var isArray = false
    var record: AccessRecord
    let trace = CallTrace()
    private var answer: Answer?
    private var asked: Asked?
    /// The request's turn in a conversation, until it is settled.
    var turn: ConversationGate.Pass?
    /// What the call or its answer failed with.
    private var failure: ParleyError?
    /// What was asked of a model; nil where none was asked for.
    var operation: Operation?
    /// What was seen of the answer when it ended.
    var seen: Observation?

    /// What is known of the request while an answer is sought.
    private final class Asked {
        let route: Route
        let key: KeyRecord
        let head: AnswerHead
        var intake: Intake?
        /// The name of the model that is to answer.
        var model = ""
        /// Whether the answer is kept for later requests to go on from.
        var isKept = false

        init(_ route: Route, _ key: KeyRecord, requestID: String) {
            self.route = route
            self.key = key
            head = AnswerHead(requestID: requestID)
        }
    }

    /// What was found for the client, at the commit point.
    private struct Answer {
        var body: any AnswerBody
        var head: AnswerHead
        var isStream: Bool
        var deadline: NIODeadline
        /// Who is told how it ends.
        var watchers: [any ReplyWatcher]
    }

    init(shard: Shard, client: ClientConnection, request: Request) {
        self.shard = shard
        self.client = client
        self.request = request
        self.snapshot = shard.snapshot
        self.id = request.head.requestID.flatMap { RequestIDs.isAcceptable($0) ? $0 : nil } ?? shard.ids.next()
        self.record = AccessRecord(
            time: LogTimestamp.now(), id: id, method: request.head.method.rawValue, path: request.head.target,
            status: 0, outcome: .ok)
    }

    /// Answers the request, whatever it is, and settles it exactly once.
    func run() async {
        shard.gateway.began()
        client.response.keepsAlive = request.head.keepsAlive && !shard.gateway.isDraining
        client.response.isHTTP10 = request.head.isHTTP10
        do {
            // In two steps, so that what it took to find an answer is gone while the answer is relayed, maybe for long.
            try await perform()
            if answer?.isStream == true { request.forgetHead() }
            try await relay()
        } catch {
            fail(error)
        }
        settle()
        shard.gateway.ended()
    }

    /// Finds an answer. What it takes is kept in `asked`, not in the frames of the functions that wait: those are kept
    /// for as long as the connection lives.
    private func perform() async throws(ParleyError) {
        defer { asked = nil }
        try begin()
        guard let asked else {
            // Whom the control plane lets in is its own affair.
            if request.head.relayed != nil { try await relayToConsole() }
            return
        }
        if case .generate = asked.route { try await generate(asked) } else { try await other(asked) }
    }

    /// What the head says: what the path is for, and who asks. Answers at once where nothing else is needed.
    @inline(never)
    private func begin() throws(ParleyError) {
        if let failure = request.failure { throw failure }
        let head = request.head
        guard let route = Route.find(head.target, billing: snapshot.server.offersBilling) else {
            speak(Route.dialect(ofUnknown: head.target))
            throw unknownPath()
        }
        speak(route)
        var isPlain = false
        if case .generate = route { isPlain = head.method == .POST }
        if !isPlain {
            guard try needsKey(route, head) else { return }
        }
        // 2. Identify.
        let key = try identify()
        record.key = key.name
        asked = Asked(route, key, requestID: id)
    }

    /// Answers what anybody may ask.
    ///
    /// - Returns: whether the request is another one.
    /// - Throws: `methodNotAllowed`.
    private func needsKey(_ route: Route, _ head: RequestHead) throws(ParleyError) -> Bool {
        if route == .console { return false }
        if head.method == .OPTIONS {
            answerPreflight(route)
            return false
        }
        guard route.methods.contains(head.method) else {
            throw ParleyError(
                .methodNotAllowed,
                "\(head.method.rawValue) is not a method of this path; use \(route.methods[0].rawValue).",
                code: "method_not_allowed")
        }
        switch route {
        case .health, .healthLive, .healthReady:
            try answerHealth(route)
            return false
        default: return true
        }
    }

    /// Everything that is not an answer to a conversation.
    @inline(never)
    private func other(_ asked: Asked) async throws(ParleyError) {
        let key = asked.key
        switch asked.route {
        case .countTokens(let generation): try await countTokens(generation, key)
        case .embed(let embedding): try await embed(embedding, key)
        case .pass(let path): try await pass(path, key)
        case .stored(let stored): try await answerStored(stored, key)
        case .conversation(let id): try await answerConversation(id, key)
        case .newConversation: try await beginConversation()
        case .models: try await answerModels(key)
        case .refreshModels: try await refreshModels(key)
        case .model(let name, _): try await answerModel(name, key)
        case .billingSubscription: answerSubscription()
        case .billingUsage: answerBillingUsage()
        case .planned(let path):
            throw ParleyError(.notImplemented, "\(path) is not built yet.", code: "not_implemented")
        case .generate, .console, .health, .healthLive, .healthReady: break
        }
    }

    /// What is said to a path that is none.
    func unknownPath() -> ParleyError {
        let path = Route.path(of: request.head.target).prefix(200)
        return ParleyError(
            .notFound, "Unknown path: \(request.head.method.rawValue) \(path).", code: "unknown_url")
    }

    /// An answer to a conversation, in whichever dialect, start to end.
    private func generate(_ asked: Asked) async throws(ParleyError) {
        // 3. Head: find out what is asked for, without building a tree.
        try await client.awaitBody(of: request)
        try read(asked)
        // 4. Resolve: the name to a model.
        var model = try await resolve(asked.model, asked.key)
        if let id = try conversation(asked) {
            model = try await conversing(model, asked.model, id, asked.key)
        }
        // 5. Admit: limits and budgets will be asked here.
        var call = try prepare(asked)
        if dialectID == .openAIResponses { asked.isKept = try await recall(&call, asked.key) }
        // 6. Answer: returns at the first meaningful event.
        commit(try await model.target.answer(call), to: call, asked)
    }

    // Apart from `generate`, whose frame lies below everything that waits for an answer.
    @inline(never)
    private func conversation(_ asked: Asked) throws(ParleyError) -> String? {
        try conversationID(asked.intake?.conversation)
    }

    @inline(never)
    private func read(_ asked: Asked) throws(ParleyError) {
        guard case .generate(let generation) = asked.route else { return }
        // In place, since a copy is a dozen retains.
        asked.intake = try dialect.intake(request.takeBody())
        if let model = generation.model { asked.intake?.model = model }
        if let stream = generation.stream { asked.intake?.stream = stream }
        isArray = generation.asArray
        record.stream = asked.intake?.stream ?? false
        asked.model = try modelName(asked.intake?.model, asked.key)
        record.model = asked.model
        operation = .chat
    }

    /// The call, and the head that its answer will have.
    @inline(never)
    private func prepare(_ asked: Asked) throws(ParleyError) -> Call {
        guard let intake = asked.intake.take() else {
            throw ParleyError(.internalError, "The request was taken twice.")
        }
        let head = asked.head
        head.headers = crossOriginHeaders()
        if intake.stream {
            head.contentType = isArray ? "application/json" : "text/event-stream; charset=utf-8"
            head.isStream = true
            client.response.keepAlive = isArray ? "" : dialect.keepAlive
            client.response.streamHead = head
        }
        let deadline = NIODeadline.now() + (snapshot.timeouts.total ?? .minutes(10))
        var call = call(intake, asked.model, asked.key, deadline)
        if isArray { call.asArray = true }
        return call
    }

    /// The model has answered: from here on nothing starts over.
    @inline(never)
    private func commit(_ reply: Reply, to call: Call, _ asked: Asked) {
        let head = asked.head
        record.firstEvent = elapsed()
        describe(reply, asked.model, in: head)
        if call.stream { client.response.streamHead = head }
        let body = body(of: reply, call)
        answer = Answer(
            body: asked.isKept ? keeping(body, of: call, asked.key) : body, head: head, isStream: call.stream,
            deadline: call.deadline, watchers: reply.watchers)
    }

    /// An answer that comes as a whole and is not a conversation's: a count, vectors.
    func relayLater(_ reply: Reply, to call: Call) {
        record.firstEvent = elapsed()
        let head = AnswerHead(requestID: id)
        head.headers = crossOriginHeaders()
        describe(reply, call.model, in: head)
        answer = Answer(
            body: body(of: reply, call), head: head, isStream: false, deadline: call.deadline,
            watchers: reply.watchers)
    }

    /// 7. Relay: passes on what was found.
    private func relay() async throws(ParleyError) {
        if sendWhole() { return }
        guard let answer else { return }
        defer { observe() }
        if answer.isStream {
            try await relayStream(answer.body, by: answer.deadline)
        } else {
            try await relayWhole(answer.body, answer.head, by: answer.deadline)
        }
    }

    /// Sends an answer of which everything is there, as of most whole answers.
    private func sendWhole() -> Bool {
        guard answer?.isStream == false, let body = answer?.body, let head = answer?.head, let bytes = body.takeWhole()
        else { return false }
        head.contentType = body.contentType
        client.send(head, body: bytes)
        observe(body.observed)
        return true
    }

    /// The one relay loop: everything the upstream has ready goes out in one write, then the client must have room.
    private func relayStream(_ body: any AnswerBody, by deadline: NIODeadline) async throws(ParleyError) {
        body.forward(to: client)
        var isOpen = true
        while isOpen {
            var piece = client.makePiece()
            do {
                isOpen = try await body.next(into: &piece.bytes, by: deadline)
            } catch {
                let error = client.abortion ?? error
                guard error.kind != .cancelled else { throw error }
                body.fail(error, into: &piece.bytes)
                finish(with: &piece)
                note(error)
                return
            }
            guard isOpen else { return finish(with: &piece) }
            client.send(&piece, head: streamHead, isLast: false)
            guard !client.isWritable else { continue }
            do {
                try await client.awaitWritable(by: deadline)
            } catch {
                body.cancel()
                throw error
            }
        }
    }

    private var streamHead: AnswerHead { answer?.head ?? AnswerHead(requestID: id) }

    /// Sends the last piece of a stream; no comment may follow it.
    private func finish(with piece: inout OutgoingPiece) {
        client.response.streamHead = nil
        client.send(&piece, head: streamHead, isLast: true)
    }

    /// A whole answer leaves in one piece; only one too large to be held is passed on as it comes.
    private func relayWhole(
        _ body: any AnswerBody, _ head: AnswerHead, by deadline: NIODeadline
    ) async throws(ParleyError) {
        head.contentType = body.contentType
        var first = ByteBuffer()
        guard try await body.next(into: &first, by: deadline) else {
            client.send(head, body: first)
            return
        }
        var piece = client.makePiece()
        piece.bytes.writeBuffer(&first)
        var isOpen = true
        while isOpen {
            client.send(&piece, head: head, isLast: false)
            try await client.awaitWritable(by: deadline)
            piece = client.makePiece()
            isOpen = try await body.next(into: &piece.bytes, by: deadline)
        }
        client.send(&piece, head: head, isLast: true)
    }

    /// 8. Settle: exactly once, on success, failure, cancel or disconnect.
    private func settle() {
        record.status = client.response.status
        record.total = elapsed()
        record.bytesIn = request.bodyBytes
        record.bytesOut = client.response.bytesOut
        if record.outcome == .ok, client.isClosed, !client.response.hasHead { record.outcome = .cancelled }
        tellWatchers()
        // Out of the object, where every text that is looked at would be retained first.
        var line = takeRecord()
        account(&line)
        turn = nil
        shard.accessLog?.append(line)
    }

    /// The record, which nobody asks for any more.
    private func takeRecord() -> AccessRecord {
        var taken = AccessRecord(time: 0, id: "", method: "", path: "", status: 0, outcome: .ok)
        swap(&taken, &record)
        return taken
    }

    /// Tells the models that had a part in the answer how it ended.
    private func tellWatchers() {
        guard let answer, !answer.watchers.isEmpty else { return }
        let failure = record.outcome == .cancelled ? ParleyError(.cancelled, "The client left.") : failure
        for watcher in answer.watchers { watcher.ended(answer.body.observed, failure) }
    }

    func note(_ error: ParleyError) {
        failure = error
        record.error = error.kind.rawValue
        record.errorOffset = error.offset
        record.outcome = error.kind == .cancelled ? .cancelled : .failed
    }

    /// A function of its own: an observation is large, and the frame of a function that waits is held for long.
    @inline(never)
    private func observe() {
        if let seen = answer?.body.observed { observe(seen) }
    }

    func elapsed() -> Int64 {
        (NIODeadline.now() - request.arrived).nanoseconds / 1_000
    }
}
