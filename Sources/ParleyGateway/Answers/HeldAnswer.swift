// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// A neutral answer written as one whole body in the client's dialect.
final class HeldAnswer: AnswerBody {
    let contentType = "application/json"
    private(set) var observed = Observation()
    private let source: (any EventSource)?
    private let response: ChatResponse?
    private let dialect: any Dialect
    private let context: AnswerContext

    /// A response that is there already.
    init(_ response: ChatResponse, dialect: any Dialect, context: AnswerContext) {
        self.response = response
        self.source = nil
        self.dialect = dialect
        self.context = context
    }

    /// A stream of events, collected.
    init(collecting source: any EventSource, dialect: any Dialect, context: AnswerContext) {
        self.response = nil
        self.source = source
        self.dialect = dialect
        self.context = context
    }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        var collected = response
        if let source {
            var collector = ChatCollector()
            var isOpen = true
            while isOpen {
                var events: [Event] = []
                isOpen = try await source.next(into: &events, by: deadline)
                for event in events { collector.add(event) }
            }
            collected = collector.response()
        }
        guard let collected else { return false }
        observed.usage = collected.usage
        observed.finish = collected.choices.first?.finish?.rawValue
        observed.isMeaningful = true
        observed.isComplete = true
        var body = dialect.encodeWhole(collected, context)
        out.writeBuffer(&body)
        return false
    }

    func cancel() {
        source?.cancel()
    }
}
