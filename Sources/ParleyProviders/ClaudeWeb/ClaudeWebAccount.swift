// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// An account at Claude's web site: its cookie, its organisation, and the requests that one makes with them.
///
/// Source: the open project openai-style-api and other public clients of the site.
final class ClaudeWebAccount: Sendable {
    /// The two ways to ask, the newer one first.
    enum Form {
        case completion
        case append
    }

    /// How long what several calls wait for may take.
    private static let patience = TimeAmount.seconds(30)
    /// How long a conversation may take to be deleted.
    private static let deletion = TimeAmount.seconds(10)

    private let cookie: String
    private let access: ServiceAccess
    private let dialect: ClaudeWeb
    private let organization = SharedValue<String>()
    private let conversation: SharedValue<String>

    /// - Parameter conversation: the one to go on with, where the configuration names it.
    init(cookie: String, access: ServiceAccess, dialect: ClaudeWeb, conversation: String?) {
        self.cookie = cookie
        self.access = access
        self.dialect = dialect
        self.conversation = SharedValue(conversation)
    }

    // MARK: - Steps

    /// The account's organisation, looked up once.
    ///
    /// - Throws: the site's refusal.
    func organization(through connector: any Connector) async throws(ParleyError) -> String {
        try await organization.value(through: connector) { () async throws(ParleyError) -> String in
            let target = self.access.target("GET", "/api/organizations")
            let answer = try await connector.ask(
                target, self.head(target, accept: "*/*"), nil, StepLimits(lasting: Self.patience))
            try self.check(answer)
            guard let id = answer.json?.array?.first?["uuid"]?.string, !id.isEmpty else {
                throw ParleyError(.upstreamUnavailable, "Claude's web site named no organisation of the account.")
            }
            return id
        }
    }

    /// The conversation that all calls share, made when it is first needed.
    ///
    /// - Throws: the site's refusal.
    func shared(in organization: String, through connector: any Connector) async throws(ParleyError) -> String {
        try await conversation.value(through: connector) { () async throws(ParleyError) -> String in
            try await self.create(in: organization, through: connector, StepLimits(lasting: Self.patience))
        }
    }

    /// The shared conversation is not there any more; a newer one stays.
    func forget(_ gone: String) { conversation.drop(gone) }

    /// Makes a conversation.
    ///
    /// - Throws: the site's refusal.
    func create(
        in organization: String, through connector: any Connector, _ limits: StepLimits
    ) async throws(ParleyError) -> String {
        let target = access.target("POST", Self.conversations(organization))
        let own = Self.uniqueID()
        let answer = try await connector.ask(
            target, head(target, accept: "*/*"), ByteBuffer(json: ["uuid": .string(own), "name": ""]), limits)
        do throws(ParleyError) {
            try check(answer)
        } catch {
            // The account may have moved: the next call looks again.
            self.organization.drop(organization)
            throw error
        }
        return answer.json?["uuid"]?.string ?? own
    }

    /// Asks in a conversation.
    ///
    /// - Parameter body: the request as the dialect wrote it.
    func ask(
        _ form: Form, _ body: JSONObject, in conversation: String, of organization: String, _ request: OpenerRequest
    ) async throws(ParleyError) -> any UpstreamAnswer {
        let target: Target
        let written: ByteBuffer
        switch form {
        case .completion:
            let place = "\(Self.conversations(organization))/\(PercentEncoding.segment(conversation))/completion"
            target = access.target("POST", place)
            written = ByteBuffer(json: .object(body))
        case .append:
            target = access.target("POST", "/api/append_message")
            let prompt = body["prompt"] ?? ""
            let completion: JSONValue = [
                "prompt": prompt, "timezone": body["timezone"] ?? "UTC", "model": body["model"] ?? "claude-2",
            ]
            written = ByteBuffer(
                json: [
                    "completion": completion, "organization_uuid": .string(organization),
                    "conversation_uuid": .string(conversation), "text": prompt, "attachments": [],
                ])
        }
        let head = head(target, accept: "text/event-stream, text/event-stream")
        return try await request.connector.open(target, head, written, StepLimits(request))
    }

    /// Deletes a conversation; whether it works does not matter to anybody who waits.
    func delete(_ conversation: String, of organization: String, through connector: any Connector) async {
        let place = "\(Self.conversations(organization))/\(PercentEncoding.segment(conversation))"
        let target = access.target("DELETE", place)
        _ = try? await connector.ask(
            target, head(target, accept: "*/*"), ByteBuffer(json: .string(conversation)),
            StepLimits(lasting: Self.deletion))
    }

    // MARK: - Requests

    private static func conversations(_ organization: String) -> String {
        "/api/organizations/\(PercentEncoding.segment(organization))/chat_conversations"
    }

    /// What the site looks at. Nothing here pretends to be a browser.
    private func head(_ target: Target, accept: String) -> ByteBuffer {
        var fields = [HeaderField("cookie", cookie), HeaderField("referer", "https://claude.ai/chats")]
        if target.method != "GET" { fields.append(HeaderField("origin", "https://claude.ai")) }
        return access.head(
            target, fields, contentType: target.method == "GET" ? nil : "application/json", accept: accept)
    }

    private func check(_ answer: ReadAnswer) throws(ParleyError) {
        guard answer.isAccepted else {
            throw dialect.decodeFailure(status: answer.status, headers: answer.headers, body: answer.body)
        }
        guard !answer.isPage else {
            throw ParleyError(
                .upstreamUnavailable,
                "Claude's web site sent a web page in place of an answer\(dialect.pageAdvice).")
        }
    }

    /// A random id as the site makes them (RFC 9562, version 4).
    static func uniqueID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append(UInt8(ascii: "-")) }
            text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
