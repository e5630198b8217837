// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire
import Synchronization

@testable import ParleyProviders

/// An agent without a process: it answers what lies in the link's outbox.
///
/// What a prompt says decides: `hang` never ends by itself, `die` ends the agent, `long N` says N lines, `error` fails,
/// anything else is said back in two pieces.
final class ScriptedAgent: AgentTransport {
    private struct State {
        var prompts: [(session: String, text: String)] = []
        var cancelled: [String] = []
        var closed: [String] = []
        var starts = 0
        var running = 0
        var hanging: [String: Int] = [:]
    }

    let isOnLoop = false
    private let state = Mutex(State())
    private let greets: Bool
    private let closesSessions: Bool

    init(greets: Bool = true, closesSessions: Bool = false) {
        self.greets = greets
        self.closesSessions = closesSessions
    }

    var prompts: [String] { state.withLock { $0.prompts.map(\.text) } }
    var sessions: [String] { state.withLock { $0.prompts.map(\.session) } }
    var cancelled: [String] { state.withLock { $0.cancelled } }
    var closed: [String] { state.withLock { $0.closed } }
    var starts: Int { state.withLock { $0.starts } }
    var running: Int { state.withLock { $0.running } }

    func run(_ link: AgentLink, through connector: any Connector) async -> ParleyError {
        let number = state.withLock { state in
            state.starts += 1
            state.running += 1
            return state.starts
        }
        defer { state.withLock { $0.running -= 1 } }
        var sessions = 0
        while greets, let messages = try? await link.outbox.next(by: .distantFuture) {
            for message in messages {
                guard let value = try? JSON.parse(message) else { continue }
                if value["method"] == "session/new" { sessions += 1 }
                guard await answer(value, link, session: "\(number)-\(sessions)") else { return Self.gone }
            }
        }
        return Self.gone
    }

    private static let gone = ParleyError(.upstreamUnavailable, "the agent's process ended", status: 503)

    private func answer(_ message: JSONValue, _ link: AgentLink, session: String) async -> Bool {
        let id = message["id"].map { JSON.text($0) } ?? ""
        func result(_ text: String) { _ = link.receive(AgentLines.line(#"{"id":\#(id),"result":\#(text)}"#)) }
        switch message["method"]?.string {
        case "initialize"?:
            let close = closesSessions ? #"{"sessionCapabilities":{"close":{}}}"# : "{}"
            result(#"{"protocolVersion":1,"agentCapabilities":\#(close)}"#)
        case "session/new"?: result(#"{"sessionId":"\#(session)"}"#)
        case "session/close"?:
            state.withLock { $0.closed.append(message["params"]?["sessionId"]?.string ?? "") }
            result("{}")
        case "session/cancel"?: cancel(message["params"]?["sessionId"]?.string ?? "", link)
        case "session/prompt"?: return await prompt(message, link, id: message["id"]?.int ?? 0)
        default: break
        }
        return true
    }

    private func cancel(_ session: String, _ link: AgentLink) {
        let id = state.withLock { state in
            state.cancelled.append(session)
            return state.hanging.removeValue(forKey: session)
        }
        _ = link.receive(AgentLines.update(session, "LATE"))
        if let id { _ = link.receive(AgentLines.result(id, #"{"stopReason":"cancelled"}"#)) }
    }

    private func prompt(_ message: JSONValue, _ link: AgentLink, id: Int) async -> Bool {
        let session = message["params"]?["sessionId"]?.string ?? ""
        let text = (message["params"]?["prompt"]?.array ?? []).reduce(into: "") { $0 += $1["text"]?.string ?? "" }
        state.withLock { $0.prompts.append((session, text)) }
        if text.hasSuffix("hang") {
            state.withLock { $0.hanging[session] = id }
            return true
        }
        if text.hasSuffix("die") { return false }
        if text.hasSuffix("error") {
            _ = link.receive(AgentLines.line(#"{"id":\#(id),"error":{"code":-32603,"message":"no luck"}}"#))
            return true
        }
        let count = text.hasPrefix("long ") ? Int(text.dropFirst(5)) ?? 0 : 0
        for number in 0..<count {
            if let slow = link.receive(AgentLines.update(session, "\(number) ")) { await slow.keepUp() }
        }
        _ = link.receive(AgentLines.update(session, "You said: "))
        _ = link.receive(AgentLines.update(session, text.split(separator: "\n").last.map(String.init) ?? ""))
        _ = link.receive(AgentLines.result(id, #"{"stopReason":"end_turn"}"#))
        return true
    }
}
