// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOHTTP1
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyDialects
import ParleyWire

/// Responses that are kept, and requests that go on from them.
extension Exchange {
    /// Writes the turns that a request goes on from into it.
    ///
    /// A response that nobody has kept here may be one that the upstream has: such a request stays as it is, and the
    /// upstream's dialect says what becomes of it.
    /// - Returns: whether the answer is to be kept.
    /// - Throws: `invalid` where the request goes on from what is another key's, or asks for what nobody can follow.
    func recall(_ call: inout Call, _ key: KeyRecord) async throws(ParleyError) -> Bool {
        let reference = try ResponseHistory.reference(call.body)
        // Without a stream there would be no way to learn how such an answer ends.
        if !call.stream { try ResponseHistory.refuseBackground(reference) }
        if let id = reference.conversation, turn == nil { try await takeTurn(in: id, key) }
        guard reference.isContinuation, let chain = try await chain(reference, key) else { return reference.mustKeep }
        let expanded = try ResponseHistory.expanded(call.body, chain: chain, provider: provider(of: call.model, chain))
        call.original = call.body
        call.body = expanded
        call.reading = nil
        // A route keeps to the provider that can read what it has encrypted.
        if let origin = chain.last?.provider, RequestLook.mayBeBound(expanded) {
            var affinity = call.affinity ?? Affinity()
            affinity.origin = origin
            call.affinity = affinity
        }
        return reference.mustKeep
    }

    /// What a request goes on from; nil where only the upstream may know.
    private func chain(
        _ reference: ResponseHistory.Reference, _ key: KeyRecord
    ) async throws(ParleyError) -> [ResponseRecord]? {
        let store = shard.gateway.responses
        do throws(ParleyError) {
            return try await ResponseHistory.chain(reference, key: key.name, in: store)
        } catch {
            guard error.kind == .invalid, let previous = reference.previous else { throw error }
            let isOwn = try await store.record(previous, key: key.name) != nil
            // What an upstream keeps is kept under one of its keys, which all clients share.
            if !isOwn, try await store.isKept(previous) { throw error }
            return nil
        }
    }

    /// Whom the request goes to, as far as its name tells: encrypted reasoning goes back to its own provider only.
    private func provider(of name: String, _ chain: [ResponseRecord]) -> String? {
        let owner = snapshot.lists.owner(of: name)
        if name.hasPrefix(owner + "/") { return owner }
        guard let last = chain.last, last.model != name else { return nil }
        return ""
    }

    /// The answer's body that keeps what passes.
    func keeping(_ body: any AnswerBody, of call: Call, _ key: KeyRecord) -> any AnswerBody {
        let store = shard.gateway.responses
        let trace = trace
        let request = call.original ?? call.body
        let (id, model, name) = (call.id, call.model, key.name)
        return CapturedBody(body, isStream: call.stream) { response in
            let provider = trace.upstream.map { String($0.prefix { $0 != "/" }) }
            let made = try? ResponseRecord(
                request: request, response: response, key: name, model: model, provider: provider, isNative: false)
            guard var record = made else { return }
            // An id that is not of our making is the provider's, which keeps what it was not told to forget.
            let isStored = (try? ResponseHistory.reference(request))?.isStored ?? false
            record.isNative = isStored && record.id != "resp_\(id)"
            try? await store.save(record)
        }
    }

    /// Answers a request about a kept response.
    func answerStored(_ asked: Route.Stored, _ key: KeyRecord) async throws(ParleyError) {
        try await client.awaitBody(of: request)
        let store = shard.gateway.responses
        guard let record = try await store.record(asked.id, key: key.name) else {
            throw StoredResponses.unknown(asked.id)
        }
        let query = Route.query(of: request.head.target)
        switch (asked.part, request.head.method) {
        case (.response, .DELETE):
            guard try await store.remove(asked.id, key: key.name) else { throw StoredResponses.unknown(asked.id) }
            answer(StoredResponses.deleted(asked.id))
        case (.response, _): answer(try StoredResponses.retrieved(record, query: query))
        case (.cancel, _): throw StoredResponses.notCancellable()
        case (.inputItems, _): answer(try StoredResponses.inputItems(record, query: query))
        }
    }
}
