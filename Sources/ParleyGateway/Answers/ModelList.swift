// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyDialects
import ParleyModels
import ParleyProviders

extension Exchange {
    /// Lists exactly the models that this key may use and that resolve, as the client's vendor lists its own.
    func answerModels(_ key: KeyRecord) async throws(ParleyError) {
        await snapshot.lists.refreshIfNeeded(through: shard)
        let names = names(for: key)
        switch dialectID {
        case .anthropic:
            let target = request.head.target
            let page = try AnthropicModelList.page(of: names, id: { $0 }, query: { Route.query($0, of: target) })
            answer(AnthropicModelList.encode(page.entries.map { ($0, created($0)) }, hasMore: page.hasMore))
        case .gemini: answer(GeminiModelList.encode(names))
        default: answer(["object": "list", "data": .array(names.map { entry($0) })])
        }
    }

    /// Fetches the providers' lists anew, then lists the models.
    func refreshModels(_ key: KeyRecord) async throws(ParleyError) {
        try await client.awaitBody(of: request)
        await snapshot.lists.refreshNow(through: shard)
        try await answerModels(key)
    }

    /// Describes one model; any name that a chat could use has a description, listed or not.
    func answerModel(_ name: String, _ key: KeyRecord) async throws(ParleyError) {
        // A whole forced name does not hide what the others are; one with a `*` says where the name is looked for.
        let isOpen = key.forcedModel?.contains("*") ?? false
        _ = try await resolve(isOpen ? key.forced(name) ?? name : name, key)
        switch dialectID {
        case .anthropic: answer(AnthropicModelList.model(name, created: created(name)))
        case .gemini: answer(GeminiModelList.model(name))
        default: answer(entry(name))
        }
    }

    private func created(_ name: String) -> Int {
        snapshot.lists.description(of: name)?.created ?? snapshot.loaded
    }

    private func entry(_ name: String) -> JSONValue {
        let listed = snapshot.lists.description(of: name)
        return [
            "id": .string(name), "object": "model", "created": .int(created(name)),
            "owned_by": .string(listed?.ownedBy ?? snapshot.lists.owner(of: name)),
        ]
    }
}
