// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
public import ParleyCore
public import ParleyDialects

/// The dialects there are, by id.
public enum Dialects {
    private static let openAIChat = OpenAIChat()

    /// The dialect called `id`.
    ///
    /// - Throws: `notImplemented` where it is not built.
    public static func dialect(_ id: DialectID) throws(ParleyError) -> any Dialect {
        guard id == .openAIChat else {
            throw ParleyError(.notImplemented, "The dialect \(id.name) is not built yet.")
        }
        return openAIChat
    }
}

extension AnswerContext {
    /// What an answer to `call` is called where the upstream does not say.
    public init(_ call: Call) {
        self.init(
            id: "chatcmpl-\(call.id)", model: call.model, created: time(nil), includeUsage: call.includeUsage)
    }
}
