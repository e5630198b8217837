// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// The client's side of the Agent Client Protocol as a plain state machine: a line in, what to do about it out.
///
/// It knows which of its requests are open, which sessions there are and whose turn each is in, and tells the updates of
/// sessions apart by their id. Of a session whose turn was cancelled nothing is passed on any more, and it is never
/// prompted again.
struct AgentPeer {
    /// What must be done about a line.
    enum Effect: Equatable {
        /// Send this message.
        case send(ByteBuffer)
        /// The request of this id has its answer.
        case answered(Int, Answer)
        /// A message that belongs to this turn.
        case line(turn: Int, ByteBuffer)
        /// The turn is over.
        case over(turn: Int)
    }

    /// An answer to a request.
    enum Answer: Equatable, Sendable {
        case result(JSONValue)
        case error(JSONObject)
    }

    private struct Session {
        /// The running turn, which has the id of its prompt.
        var turn: Int?
        /// The kinds of the tools that were announced in this turn, by their ids.
        var kinds: [String: String] = [:]
    }

    /// The most tools of one turn whose kinds are remembered.
    private static let mostTools = 1000

    let flavour: AgentFlavour
    private let permissions: AgentPermissions
    private var lastID = -1
    private var lastTool = 0
    private var calls: Set<Int> = []
    private var turns: [Int: String] = [:]
    private var sessions: [String: Session] = [:]
    /// Sessions whose turn was given up and whose prompt has no answer yet, by that prompt's id.
    private var abandoned: [Int: String] = [:]

    init(_ flavour: AgentFlavour, permissions: AgentPermissions) {
        self.flavour = flavour
        self.permissions = permissions
    }

    // MARK: - Out

    /// A request of ours, whose answer is waited for.
    mutating func call(_ method: String, _ params: JSONValue) -> (id: Int, line: ByteBuffer) {
        let made = request(method, params)
        calls.insert(made.id)
        return made
    }

    /// Nobody waits for the answer any more.
    mutating func forget(call id: Int) {
        calls.remove(id)
    }

    /// A new session of the agent.
    ///
    /// - Returns: false where there is one of that id already, so that their updates could not be told apart.
    mutating func adopt(_ session: String) -> Bool {
        guard sessions[session] == nil, !abandoned.values.contains(session) else { return false }
        sessions[session] = Session()
        return true
    }

    /// A session that nobody goes on with.
    mutating func forget(session: String) -> [Effect] {
        guard let turn = sessions[session]?.turn else {
            sessions[session] = nil
            return []
        }
        return cancel(turn)
    }

    /// Begins a turn.
    ///
    /// - Returns: nil where the session is not there or in a turn.
    mutating func prompt(_ session: String, _ blocks: [JSONValue]) -> (turn: Int, line: ByteBuffer)? {
        guard let known = sessions[session], known.turn == nil else { return nil }
        let (id, line) = request("session/prompt", ["sessionId": .string(session), "prompt": .array(blocks)])
        turns[id] = session
        sessions[session] = Session(turn: id)
        return (id, line)
    }

    /// Gives a turn up, and its session.
    mutating func cancel(_ turn: Int) -> [Effect] {
        guard let session = turns.removeValue(forKey: turn) else { return [] }
        sessions[session] = nil
        abandoned[turn] = session
        let params: JSONValue = ["sessionId": .string(session)]
        if flavour.cancelsByRequest { return [.send(request("session/cancel", params).line)] }
        return [.send(Self.line(["jsonrpc": "2.0", "method": "session/cancel", "params": params]))]
    }

    private mutating func request(_ method: String, _ params: JSONValue) -> (id: Int, line: ByteBuffer) {
        lastID += 1
        let line = Self.line(["jsonrpc": "2.0", "id": .int(lastID), "method": .string(method), "params": params])
        return (lastID, line)
    }

    private static func line(_ message: JSONValue) -> ByteBuffer {
        var line = ByteBuffer()
        line.writeJSON(message)
        return line
    }

    // MARK: - In

    /// Takes a line in. What is no message is passed over: agents print other things now and then.
    mutating func receive(_ line: ByteBuffer) -> [Effect] {
        guard let scan = try? JSONScan(line) else { return [] }
        let id = scan.member(named: "id").flatMap { scan.isNull($0) ? nil : $0 }
        guard let method = scan.member(named: "method").flatMap({ scan.string($0) }) else {
            guard let id, let number = Self.number(id, scan) else { return [] }
            return answer(to: number, scan, line)
        }
        guard let id, let given = scan.slice(id) else {
            return method == "session/update" ? update(scan, line) : []
        }
        return [.send(reply(to: method, id: given, scan))]
    }

    /// Our ids are numbers; some agents send them back as text.
    private static func number(_ id: JSONMember, _ scan: JSONScan) -> Int? {
        scan.string(id).flatMap { Int($0) } ?? scan.int("id")
    }

    private mutating func answer(to id: Int, _ scan: JSONScan, _ line: ByteBuffer) -> [Effect] {
        if let session = turns.removeValue(forKey: id) {
            sessions[session]?.turn = nil
            return [.line(turn: id, line), .over(turn: id)]
        }
        if abandoned.removeValue(forKey: id) != nil { return [] }
        guard calls.remove(id) != nil else { return [] }
        if let error = Self.value("error", scan)?.object { return [.answered(id, .error(error))] }
        return [.answered(id, .result(Self.value("result", scan) ?? .null))]
    }

    private mutating func update(_ scan: JSONScan, _ line: ByteBuffer) -> [Effect] {
        guard let params = scan.object("params"), let session = Self.session(params),
            let turn = sessions[session]?.turn
        else { return [] }
        noteTool(params, session)
        return [.line(turn: turn, line)]
    }

    /// Remembers what kind a tool is of: the question whether it may run does not always say it.
    private mutating func noteTool(_ params: JSONScan, _ session: String) {
        guard let update = params.object("update"), let kind = Self.text("kind", update),
            let id = Self.text("toolCallId", update)
        else { return }
        guard let count = sessions[session]?.kinds.count, count < Self.mostTools else { return }
        sessions[session]?.kinds[id] = kind
    }

    private static func session(_ params: JSONScan) -> String? { text("sessionId", params) }

    private static func text(_ name: String, _ scan: JSONScan) -> String? {
        scan.member(name).flatMap { scan.string($0) }
    }

    private static func value(_ name: String, _ scan: JSONScan) -> JSONValue? {
        scan.member(name).flatMap { try? scan.value($0) }
    }

    // MARK: - The agent's requests

    /// The answer to a request of the agent: there is always one, at once.
    private mutating func reply(to method: String, id: ByteBuffer, _ scan: JSONScan) -> ByteBuffer {
        switch method {
        case "session/request_permission":
            return Self.reply(id, "result", permission(Self.value("params", scan) ?? .null))
        case "pushToolCall" where flavour.hasOldRequests:
            lastTool += 1
            return Self.reply(id, "result", ["id": .string("tool_\(lastTool)")])
        case "updateToolCall" where flavour.hasOldRequests, "notifyTaskFinish" where flavour.hasOldRequests:
            return Self.reply(id, "result", .null)
        default:
            return Self.reply(id, "error", ["code": -32601, "message": "Method not found"])
        }
    }

    private func permission(_ params: JSONValue) -> JSONValue {
        let cancelled: JSONValue = ["outcome": ["outcome": "cancelled"]]
        guard let id = params["sessionId"]?.string, let session = sessions[id], session.turn != nil else {
            return cancelled
        }
        let tool = params["toolCall"]
        let kind = tool?["kind"]?.string ?? tool?["toolCallId"]?.string.flatMap { session.kinds[$0] }
        guard let option = permissions.choice(for: kind, among: params["options"]?.array ?? []) else {
            return cancelled
        }
        return ["outcome": ["outcome": "selected", "optionId": .string(option)]]
    }

    /// A message with the agent's own id, whatever it is, byte for byte.
    private static func reply(_ id: ByteBuffer, _ name: StaticString, _ value: JSONValue) -> ByteBuffer {
        var line = ByteBuffer()
        line.writeStaticString("{\"jsonrpc\":\"2.0\",\"id\":")
        line.writeImmutableBuffer(id)
        line.writeStaticString(",\"")
        line.writeStaticString(name)
        line.writeStaticString("\":")
        line.writeJSON(value)
        line.writeStaticString("}")
        return line
    }
}
