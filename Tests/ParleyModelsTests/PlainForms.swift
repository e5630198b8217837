// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Synchronization

/// Neutral forms without a dialect: a request is the one that the call carries, or its body as a user's text.
final class PlainForms: NeutralForms {
    func request(of call: Call) -> ChatRequest {
        call.request ?? ChatRequest(model: call.model, messages: [Message(.user, text: String(buffer: call.body))])
    }

    func makeCollector() -> any AnswerCollector { TextCollector() }

    func text(of value: JSONValue) -> String { value.string ?? "" }

    func events(of response: ChatResponse) -> [Event] {
        [
            .start(response.identity), .text(choice: 0, response.choices.first?.message.text ?? ""),
            .finish(choice: 0, .stop),
        ]
    }

    private struct TextCollector: AnswerCollector {
        private var text = ""
        private var finish: FinishReason?

        mutating func add(_ event: Event) {
            switch event {
            case .text(_, let more): text += more
            case .finish(_, let reason): finish = reason
            default: break
            }
        }

        func response() -> ChatResponse {
            .saying(text, finish)
        }
    }
}

extension ChatResponse {
    /// An answer of one text.
    static func saying(_ text: String, _ finish: FinishReason? = .stop) -> ChatResponse {
        ChatResponse(
            identity: AnswerIdentity(id: "upstream"),
            choices: [.init(index: 0, message: Message(.assistant, text: text), finish: finish)])
    }
}

/// A model that answers as a closure says, and counts.
final class CountingModel: Model {
    let name: String
    private let body: @Sendable (Int, Call) async throws -> ChatResponse
    private let seen = Mutex<[Call]>([])

    init(_ name: String = "m", _ body: @escaping @Sendable (Int, Call) async throws -> ChatResponse) {
        self.name = name
        self.body = body
    }

    var calls: [Call] { seen.withLock { $0 } }

    func answer(_ call: Call) async throws(ParleyError) -> Reply {
        let number = seen.withLock { seen in
            seen.append(call)
            return seen.count
        }
        do {
            let answer = try await body(number, call)
            guard call.stream else { return Reply(.whole(answer)) }
            return Reply(
                .events(
                    ReadyEvents(
                        [.text(choice: 0, answer.choices[0].message.text)] + [answer.finishEvent].compactMap { $0 })))
        } catch {
            throw error as? ParleyError ?? ParleyError(.internalError, "\(error)")
        }
    }
}

extension ChatResponse {
    fileprivate var finishEvent: Event? { choices.first?.finish.map { .finish(choice: 0, $0) } }
}

/// A call that says `text`, of the key `caller`.
func asking(_ text: String, caller: String = "laptop", stream: Bool = false) -> Call {
    var call = makeCall()
    call.body = ByteBuffer(string: text)
    call.caller = caller
    call.stream = stream
    call.forms = PlainForms()
    return call
}

/// The text of a reply, read to its end.
func text(_ reply: Reply) async throws -> String {
    switch reply.content {
    case .whole(let answer): return answer.choices.first?.message.text ?? ""
    case .client: return "bytes"
    case .events(let source):
        var said = ""
        var isOpen = true
        while isOpen {
            var events: [Event] = []
            isOpen = try await source.next(into: &events, by: .distantFuture)
            for case .text(_, let piece) in events { said += piece }
        }
        return said
    }
}
