// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What a chat in the terminal talks to.
protocol ChatBackend: Sendable {
    /// Where the answers come from, for messages.
    var place: String { get }

    /// Every model that can be asked for.
    func models() async throws -> [ListedModel]

    /// Asks, and hands over the answer as it arrives. Cancelling the task gives the answer up at once.
    ///
    /// - Throws: `ClientError`, `CancellationError`, or what `deliver` throws.
    func answer(_ question: ChatQuestion, deliver: (ChatEvent) throws -> Void) async throws
}

/// A model and where it comes from.
struct ListedModel: Sendable, Equatable {
    let id: String
    let owner: String
    /// The whole entry as JSON.
    let json: String
}

/// One side's words.
struct ChatTurn: Sendable, Equatable {
    enum Speaker: String, Sendable {
        case system, user, assistant
    }

    let speaker: Speaker
    let text: String
}

/// A question with all that was said before it.
struct ChatQuestion: Sendable, Equatable {
    /// The model; nil leaves the choice to the server.
    var model: String?
    var turns: [ChatTurn]
}

/// A step of an answer.
enum ChatEvent: Sendable, Equatable {
    case reasoning(String)
    case text(String)
    case finish(String)
    case usage(ChatUsage)
    /// The model that answers, as it calls itself.
    case model(String)
}

/// Tokens of an answer.
struct ChatUsage: Sendable, Equatable {
    var input: Int?
    var output: Int?
    var cached: Int?
    var reasoning: Int?
}
