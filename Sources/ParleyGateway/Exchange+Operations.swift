// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyDialects
import ParleyProviders

/// What a model can be asked for beside an answer.
extension Exchange {
    /// The length of a request in tokens.
    func countTokens(_ asked: Route.Generation, _ key: KeyRecord) async throws(ParleyError) {
        try await client.awaitBody(of: request)
        let intake = try dialect.intake(request.takeBody())
        if let model = asked.model { intake.model = model }
        intake.stream = false
        try await ask(.countTokens, intake, key)
    }

    /// Vectors for texts.
    func embed(_ asked: Route.Embedding, _ key: KeyRecord) async throws(ParleyError) {
        try await client.awaitBody(of: request)
        let intake = try EmbeddingDialects.dialect(dialectID).intake(request.takeBody())
        if let model = asked.model { intake.model = model }
        intake.stream = false
        try await ask(.embed, intake, key)
    }

    /// Puts a question with a short answer to the model that is named.
    func ask(_ operation: Call.Operation, _ intake: Intake, _ key: KeyRecord) async throws(ParleyError) {
        let name = try modelName(intake.model, key)
        record.model = name
        self.operation = operation == .countTokens ? .countTokens : .embed
        let model = try await resolve(name, key)
        let deadline = NIODeadline.now() + (snapshot.timeouts.total ?? .minutes(10))
        var call = call(intake, name, key, deadline)
        call.operation = operation
        if operation == .countTokens, dialectID == .openAIResponses { _ = try await recall(&call, key) }
        relayLater(try await model.answer(call), to: call)
    }
}
