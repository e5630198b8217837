// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Synchronization

@testable import ParleyProviders

/// A way to upstreams that are only scripts: what they answer is given, what they were asked is kept.
final class FakeConnector: Connector {
    var executor: any TaskExecutor { globalConcurrentExecutor }
    /// One answer: a status, headers and what the reads of its body give.
    struct Script: Sendable {
        var status = 200
        var headers: [(String, String)] = []
        var reads: [Read] = []
        /// Whether it is a WebSocket, whose messages are what the reads give.
        var isSocket = false
    }

    /// What one read of a body gives; after the last one the body is complete.
    enum Read: Sendable {
        case bytes(String)
        case raw([UInt8])
        case failure(ParleyError)
    }

    private struct State {
        var scripts: [Script]
        var requests: [UpstreamRequest] = []
        var sleeps: [TimeAmount] = []
        var deadlines: [NIODeadline] = []
        var cancelled = 0
        var sent: [String] = []
        var closed = 0
    }

    private let state: Mutex<State>

    convenience init(_ scripts: Script...) { self.init(scripts: scripts) }

    init(scripts: [Script]) { state = Mutex(State(scripts: scripts)) }

    var requests: [UpstreamRequest] { state.withLock { $0.requests } }
    var sleeps: [TimeAmount] { state.withLock { $0.sleeps } }
    /// The deadlines of all reads of bodies.
    var deadlines: [NIODeadline] { state.withLock { $0.deadlines } }
    /// How many answers were given up before their bodies were complete.
    var cancelled: Int { state.withLock { $0.cancelled } }
    /// What was sent on WebSockets.
    var sent: [String] { state.withLock { $0.sent } }
    /// How many WebSockets were closed by their users.
    var closed: Int { state.withLock { $0.closed } }
    var bodies: [String] { requests.map { $0.body.map { String(buffer: $0) } ?? "" } }
    var heads: [String] { requests.map { String(buffer: $0.head) } }

    func open(_ request: UpstreamRequest) async throws(ParleyError) -> any UpstreamAnswer {
        FakeAnswer(try take(request), self)
    }

    /// A script for a WebSocket opens one; any other is an answer that refuses it.
    func connect(_ request: UpstreamRequest) async throws(ParleyError) -> WebSocketOpening {
        let script = try take(request)
        return script.isSocket ? .open(FakeSocket(script, self)) : .refused(FakeAnswer(script, self))
    }

    private func take(_ request: UpstreamRequest) throws(ParleyError) -> Script {
        let script = state.withLock { state -> Script? in
            state.requests.append(request)
            return state.scripts.isEmpty ? nil : state.scripts.removeFirst()
        }
        guard let script else { throw ParleyError(.upstreamUnavailable, "connection refused") }
        return script
    }

    func sleep(_ time: TimeAmount) async throws(ParleyError) {
        state.withLock { $0.sleeps.append(time) }
    }

    fileprivate func noteRead(_ deadline: NIODeadline) { state.withLock { $0.deadlines.append(deadline) } }
    fileprivate func noteCancel() { state.withLock { $0.cancelled += 1 } }
    fileprivate func noteSent(_ text: String) { state.withLock { $0.sent.append(text) } }
    fileprivate func noteClose() { state.withLock { $0.closed += 1 } }
}

/// A WebSocket that is only a script: each read is a message, and after the last one the service closes it.
final class FakeSocket: WebSocket {
    private var reads: ArraySlice<FakeConnector.Read>
    private let connector: FakeConnector
    private var isClosed = false

    init(_ script: FakeConnector.Script, _ connector: FakeConnector) {
        reads = script.reads[...]
        self.connector = connector
    }

    func send(_ text: ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) {
        guard !isClosed else { throw ParleyError(.upstreamUnavailable, "The WebSocket is closed.") }
        connector.noteSent(String(buffer: text))
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        guard !isClosed else { return nil }
        connector.noteRead(deadline)
        switch reads.popFirst() {
        case .bytes(let text)?: return ByteBuffer(string: text)
        case .raw(let bytes)?: return ByteBuffer(bytes: bytes)
        case .failure(let error)?: throw error
        case nil: return nil
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        connector.noteClose()
    }
}

final class FakeAnswer: UpstreamAnswer {
    let status: Int
    let headers: HeaderBlock
    private var reads: ArraySlice<FakeConnector.Read>
    private let connector: FakeConnector
    private var isOver = false

    init(_ script: FakeConnector.Script, _ connector: FakeConnector) {
        status = script.status
        headers = HeaderBlock(ByteBuffer(string: script.headers.map { "\($0.0): \($0.1)\r\n" }.joined()))
        reads = script.reads[...]
        self.connector = connector
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        connector.noteRead(deadline)
        switch reads.popFirst() {
        case .bytes(let text)?: return ByteBuffer(string: text)
        case .raw(let bytes)?: return ByteBuffer(bytes: bytes)
        case .failure(let error)?: throw error
        case nil:
            isOver = true
            return nil
        }
    }

    func cancel() {
        guard !isOver, !reads.isEmpty else { return }
        isOver = true
        connector.noteCancel()
    }
}

extension FakeConnector.Script {
    /// A stream with one read per text.
    static func stream(_ reads: String..., headers: [(String, String)] = []) -> Self {
        Self(headers: [("Content-Type", "text/event-stream")] + headers, reads: reads.map { .bytes($0) })
    }

    /// A WebSocket with these messages.
    static func socket(_ messages: String...) -> Self {
        Self(reads: messages.map { .bytes($0) }, isSocket: true)
    }

    /// A whole JSON answer.
    static func json(_ body: String, status: Int = 200, headers: [(String, String)] = []) -> Self {
        Self(status: status, headers: [("Content-Type", "application/json")] + headers, reads: [.bytes(body)])
    }
}

// MARK: - Frames

/// A chunk of OpenAI's stream as one frame.
func frame(_ delta: String, finish: String? = nil) -> String {
    let reason = finish.map { "\"\($0)\"" } ?? "null"
    return """
        data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":\
        \(delta),"finish_reason":\(reason)}]}\n\n
        """
}

let roleFrame = frame(#"{"role":"assistant","content":""}"#)
let usageFrame = """
    data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,\
    "completion_tokens":2,"total_tokens":5}}\n\n
    """
let doneFrame = "data: [DONE]\n\n"
let wholeAnswer = """
    {"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",\
    "content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}
    """

// MARK: - Calls

func makeCall(
    _ connector: any Connector, body: String? = nil, stream: Bool = true, includeUsage: Bool = false,
    deadline: NIODeadline = .now() + .minutes(10)
) -> Call {
    let text = body ?? #"{"model":"a/m","stream":\#(stream),"messages":[{"role":"user","content":"Hi"}]}"#
    return Call(
        id: "req_1", dialect: .openAIChat, operation: .chat, model: "a/m", stream: stream, includeUsage: includeUsage,
        body: ByteBuffer(string: text), deadline: deadline, connector: connector, trace: CallTrace())
}

/// The model `m` of a provider of the given kind.
func makeModel(
    kind: String = "openai-compatible", keys: [String] = ["k1"], id: String = "m",
    _ change: (inout ProviderSetup) -> Void = { _ in }
) throws -> any Model {
    var setup = ProviderSetup(name: "a", kind: kind)
    setup.baseURL = "http://up.example:9000/v1"
    setup.apiKeys = keys
    change(&setup)
    guard let model = try Registry.make(setup).model(id) else { throw ProviderError("no model") }
    return model
}

/// Everything a reply gives to the client, as text.
func text(of reply: Reply) async throws -> String {
    guard case .client(let body) = reply.content else { return "" }
    var out = ByteBuffer()
    while try await body.next(into: &out, by: .distantFuture) {}
    return String(buffer: out)
}

/// The events of a reply.
func allEvents(of reply: Reply) async throws -> [Event] {
    guard case .events(let source) = reply.content else { return [] }
    var events: [Event] = []
    while try await source.next(into: &events, by: .distantFuture) {}
    return events
}

/// What answering throws; nil where it answers.
func thrown(by model: any Model, _ call: Call) async -> ParleyError? {
    do throws(ParleyError) {
        _ = try await model.answer(call)
        return nil
    } catch {
        return error
    }
}

/// What reading a body on throws; what came before it is appended to `out`.
func thrown(by body: any AnswerBody, into out: inout ByteBuffer) async -> ParleyError? {
    do throws(ParleyError) {
        while try await body.next(into: &out, by: .distantFuture) {}
        return nil
    } catch {
        return error
    }
}

/// What asking for the list of models throws.
func thrown(by source: any ModelSource, _ connector: any Connector) async -> ParleyError? {
    do throws(ParleyError) {
        _ = try await source.discover(connector)
        return nil
    } catch {
        return error
    }
}
