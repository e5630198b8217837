// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// Opens answers of agents: finds or makes the conversation's session and prompts it.
final class AgentOpener: AnswerOpener {
    private let pool: AgentPool

    init(_ pool: AgentPool) {
        self.pool = pool
    }

    func open(_ request: OpenerRequest) async throws(ParleyError) -> any UpstreamAnswer {
        let conversation = try AgentRequest(request.body)
        guard conversation.turns.contains(where: { $0.role != "system" && !$0.blocks.isEmpty }) else {
            throw ParleyError(
                .invalid, "An agent needs something to answer: no message says anything.", parameter: "messages")
        }
        let digests = AgentDigest.chain(conversation, caller: request.caller)
        let deadline = min(request.first, request.total)
        let lease = try await pool.lease(digests, through: request.connector, by: deadline)
        let abilities = try await lease.host.abilities(by: deadline)
        lease.note(abilities)
        try check(conversation, from: lease.seen, abilities)
        let session = try await self.session(lease, conversation.model, abilities, by: deadline)
        let turn = try lease.host.link.prompt(session, conversation.prompt(from: lease.seen))
        return AgentAnswer(turn, lease, said: digests.last)
    }

    /// The conversation's session, made where there is none.
    private func session(
        _ lease: AgentLease, _ model: String, _ abilities: AgentAbilities, by deadline: NIODeadline
    ) async throws(ParleyError) -> String {
        if let session = lease.session { return session }
        let handshake = AgentHandshake(link: lease.host.link, terms: lease.host.terms)
        let session = try await handshake.session(model, abilities, by: deadline)
        lease.begin(session)
        return session
    }

    /// - Throws: `invalid` where the agent cannot read what the client has sent.
    private func check(
        _ conversation: AgentRequest, from start: Int, _ abilities: AgentAbilities
    ) throws(ParleyError) {
        for need in AgentRequest.Need.allCases
        where conversation.needs(from: start).contains(need) && !abilities.reads.contains(need) {
            throw ParleyError(
                .invalid, "This agent does not take \(need == .image ? "images" : "audio").",
                code: "unsupported_value", parameter: "messages")
        }
    }
}

/// An agent's turn as an answer: its messages, one per line.
final class AgentAnswer: UpstreamAnswer {
    /// The longest answer whose session can be gone on with.
    private static let longest = 8 << 20

    let status = 200
    let headers = HeaderBlock(ByteBuffer(string: "content-type: application/x-ndjson\r\n"))
    private let turn: AgentTurn
    private let lease: AgentLease
    /// The conversation so far, with the client's last turn.
    private let said: AgentDigest?
    /// Reads along what the agent says: its session has seen that, too.
    private var reader: any StreamDecoder = Agent().makeStreamDecoder()
    private var answer = ""
    private var isOver = false

    init(_ turn: AgentTurn, _ lease: AgentLease, said: AgentDigest?) {
        self.turn = turn
        self.lease = lease
        self.said = said
    }

    deinit {
        cancel()
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        guard let bytes = try await turn.next(by: deadline) else {
            cancel()
            return nil
        }
        if !isOver { readAlong(bytes) }
        return bytes
    }

    func cancel() {
        guard !isOver else { return }
        isOver = true
        turn.cancel()
        lease.end(seen: nil)
    }

    private func readAlong(_ bytes: ByteBuffer) {
        var events: [Event] = []
        do throws(ParleyError) {
            try reader.push(bytes, into: &events)
        } catch {
            isOver = true
            lease.end(seen: nil)
            return
        }
        for case .text(_, let text) in events where answer.utf8.count <= Self.longest { answer += text }
        guard reader.isComplete else { return }
        isOver = true
        let turn = AgentRequest.Turn("assistant", [["type": "text", "text": .string(answer)]])
        let isKept = answer.utf8.count <= Self.longest
        lease.end(seen: isKept ? said.map { AgentDigest($0, turn) } : nil)
    }
}
