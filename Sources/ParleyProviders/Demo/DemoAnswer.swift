// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// What the demo says to a request: the whole answer, and the same as events.
struct DemoAnswer {
    private(set) var response: ChatResponse
    private(set) var events: [Event]

    /// Thinks about `request`; `nextReply` counts the replies given so far.
    init(to request: ChatRequest, callID: String, replies: [String], nextReply: () -> Int) {
        var identity = AnswerIdentity()
        identity.model = request.model
        response = ChatResponse(identity: identity, choices: [])
        events = [.start(identity)]
        var usage = Usage(input: DemoTokens.count(request), output: 0)
        let calls = DemoTools.calls(for: request, callID: callID)
        for index in 0..<min(max(request.n ?? 1, 1), 128) {
            var writer = ChoiceWriter(index: index, request: request)
            if let effort = request.reasoningEffort, effort != "none" { writer.think() }
            if calls.isEmpty {
                let reply = replies.isEmpty ? nil : replies[nextReply() % replies.count]
                writer.say(DemoText.text(for: request, reply: reply))
            } else {
                writer.call(calls, suffix: index == 0 ? "" : "_\(index)")
            }
            let (choice, written) = writer.finished()
            response.choices.append(choice)
            events += written
            usage.output = (usage.output ?? 0) + writer.tokens
            if writer.reasoningTokens > 0 { usage.reasoning = (usage.reasoning ?? 0) + writer.reasoningTokens }
        }
        events.append(.usage(usage))
        response.usage = usage
    }
}

/// Writes one choice both ways at once.
private struct ChoiceWriter {
    let index: Int
    let request: ChatRequest
    var tokens = 0
    var reasoningTokens = 0
    private var message = Message(.assistant, [])
    private var events: [Event] = []
    private var logprobs: [JSONValue] = []
    private var finish = FinishReason.stop

    init(index: Int, request: ChatRequest) {
        self.index = index
        self.request = request
    }

    private var tokensLeft: Int { max(0, (request.maxTokens ?? .max) - tokens) }

    mutating func think() {
        let all = DemoTokens.split(DemoText.thought(request))
        let pieces = all.prefix(tokensLeft)
        guard !pieces.isEmpty else { return }
        tokens += pieces.count
        reasoningTokens = pieces.count
        events += pieces.map { .reasoning(choice: index, Reasoning($0)) }
        message.reasoning = [Reasoning(pieces.joined())]
    }

    mutating func say(_ text: String) {
        var text = text
        for stop in request.stop where !stop.isEmpty {
            if let found = text.firstRange(of: stop) { text = String(text[..<found.lowerBound]) }
        }
        let all = DemoTokens.split(text)
        let pieces = all.prefix(tokensLeft)
        tokens += pieces.count
        if pieces.count < all.count { finish = .length }
        for piece in pieces {
            events.append(.text(choice: index, piece))
            guard request.logprobs == true else { continue }
            let entry = DemoTokens.logprob(of: piece, alternatives: request.topLogprobs ?? 0)
            logprobs.append(entry)
            events.append(.logprobs(choice: index, ["content": [entry], "refusal": nil]))
        }
        message.content = [.text(pieces.joined())]
        message.contentIsText = true
    }

    mutating func call(_ calls: [ToolCall], suffix: String) {
        finish = .toolCalls
        for (position, call) in calls.enumerated() {
            var call = call
            call.id += suffix
            message.toolCalls.append(call)
            var opening = call
            opening.arguments = ""
            events.append(.toolCall(choice: index, index: position, opening))
            let pieces = DemoTokens.split(call.arguments)
            tokens += pieces.count + 1
            events += pieces.map { .arguments(choice: index, index: position, $0) }
        }
    }

    func finished() -> (ChatResponse.Choice, [Event]) {
        var choice = ChatResponse.Choice(index: index, message: message, finish: finish)
        if request.logprobs == true { choice.logprobs = ["content": .array(logprobs), "refusal": nil] }
        return (choice, events + [.finish(choice: index, finish)])
    }
}

/// The demo's words.
enum DemoText {
    static func text(for request: ChatRequest, reply: String?) -> String {
        switch request.responseFormat {
        case .jsonSchema(_, _, let schema, _):
            return JSON.text(SchemaInstance.make(schema ?? true))
        case .jsonObject:
            let object: JSONValue = ["reply": .string(reply ?? plain(request)), "model": "demo"]
            return JSON.text(object)
        default:
            return reply ?? plain(request)
        }
    }

    static func thought(_ request: ChatRequest) -> String {
        "The user wrote \(quoted(lastUserText(request))). A demo cannot look anything up, so a friendly echo will do."
    }

    private static func plain(_ request: ChatRequest) -> String {
        if let last = request.messages.last, last.role == .tool || last.role == .function {
            return "The tool answered \(quoted(last.text)). That is all this demo model needed to know."
        }
        let said = lastUserText(request)
        let echo = said.isEmpty ? "You sent no text." : "You wrote \(quoted(said))."
        return """
            Hello from Parley's built-in demo model. \(echo) I live inside the gateway and need no key, so you can try \
            streaming, tools and structured output with me; name a provider in parley.yaml or set OPENAI_API_KEY to \
            reach a real model.
            """
    }

    static func lastUserText(_ request: ChatRequest) -> String {
        request.messages.last { $0.role == .user }?.text ?? ""
    }

    /// The text in quotation marks, shortened where it is long.
    private static func quoted(_ text: String) -> String {
        let short = text.prefix(120)
        return "\"\(short)\(short.endIndex == text.endIndex ? "" : "…")\""
    }
}

/// The demo's tokens: words with the space before them, long ones in pieces.
enum DemoTokens {
    private static let longest = 12

    static func split(_ text: String) -> [String] {
        var pieces: [String] = []
        var piece = ""
        var length = 0
        var hasWord = false
        for character in text {
            if (character.isWhitespace && hasWord) || length >= longest {
                pieces.append(piece)
                (piece, length, hasWord) = ("", 0, false)
            }
            piece.append(character)
            length += 1
            if !character.isWhitespace { hasWord = true }
        }
        if !piece.isEmpty { pieces.append(piece) }
        return pieces
    }

    /// The prompt's tokens: every text, and three for the frame of each message.
    static func count(_ request: ChatRequest) -> Int {
        request.messages.reduce(0) { sum, message in
            let calls = message.toolCalls.reduce(0) { $0 + split($1.arguments).count + 1 }
            return sum + split(message.text).count + calls + 3
        }
    }

    static func logprob(of token: String, alternatives: Int) -> JSONValue {
        let bytes = JSONValue.array(token.utf8.map { .int(Int($0)) })
        let entry: JSONObject = ["token": .string(token), "logprob": .number("-0.01"), "bytes": bytes]
        var full = entry
        full["top_logprobs"] = alternatives > 0 ? [.object(entry)] : []
        return .object(full)
    }
}
