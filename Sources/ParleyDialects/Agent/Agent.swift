// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// The Agent Client Protocol, version 1, as agents speak it; Parley plays the editor and its clients do not speak it.
///
/// What is written is `AgentRequest`: the turns as content blocks, of which whoever holds the session with the agent
/// makes a prompt. What is read are the agent's JSON-RPC messages as they came, one per line: its `session/update`s and
/// the result of `session/prompt`.
///
/// Source: agentclientprotocol.com and the official Python SDK (schema 1.19).
public struct Agent: OutboundDialect {
    /// Whether plans and the agent's own tools are told as reasoning.
    private let showsTools: Bool

    /// The protocol.
    ///
    /// - Parameter showsTools: whether plans and the agent's own tools are told as reasoning.
    public init(showsTools: Bool = false) {
        self.showsTools = showsTools
    }

    /// `acp`.
    public var id: DialectID { .acp }

    /// One message per line.
    public var framing: StreamFraming { .lines }

    /// What a prompt to an agent has no words for.
    public var losses: [Loss] { AgentRequestEncoder.losses }

    /// Writes the turns as content blocks.
    ///
    /// - Throws: `invalid` where something that matters cannot be carried.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = AgentRequestEncoder()
        let turns = try encoder.encode(request)
        for name in encoder.dropped.names where !dropped.contains(name) { dropped.append(name) }
        return AgentRequest(model: request.model, turns: turns).body
    }

    /// A decoder for the messages of one turn.
    public func makeStreamDecoder() -> any StreamDecoder { AgentStreamDecoder(showsTools: showsTools) }

    /// Reads all messages of one turn.
    ///
    /// - Throws: the agent's error; `upstreamUnavailable` where a message is unreadable or the end is missing.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        var decoder = AgentStreamDecoder(showsTools: showsTools)
        var events: [Event] = []
        try decoder.push(body, into: &events)
        try decoder.finish(into: &events)
        var collector = ChatCollector()
        for event in events { collector.add(event) }
        return collector.response()
    }

    /// Reads a JSON-RPC error; the status counts only where there is none.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        guard let value = try? JSON.parse(body), let error = value["error"]?.object else {
            return OpenAIChat().decodeFailure(status: status, headers: headers, body: body)
        }
        return AgentFailure.error(error)
    }
}
