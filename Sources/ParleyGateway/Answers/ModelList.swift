// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyModels
import ParleyProviders

extension Exchange {
    /// Lists exactly the models that this key may use and that resolve, as OpenAI lists its own.
    func answerModels(_ key: KeyRecord) async throws(ParleyError) {
        await snapshot.lists.refreshIfNeeded(through: shard)
        let names: [String]
        if let forced = key.forcedModel {
            names = [forced]
        } else {
            names = snapshot.lists.directory.names(allowedBy: key.models)
        }
        answer(["object": "list", "data": .array(names.map { entry($0) })])
    }

    /// Describes one model; any name that a chat could use has a description, listed or not.
    func answerModel(_ name: String, _ key: KeyRecord) async throws(ParleyError) {
        _ = try await resolve(name, key)
        answer(entry(name))
    }

    private func entry(_ name: String) -> JSONValue {
        let listed = snapshot.lists.description(of: name)
        return [
            "id": .string(name), "object": "model", "created": .int(listed?.created ?? snapshot.loaded),
            "owned_by": .string(listed?.ownedBy ?? snapshot.lists.owner(of: name)),
        ]
    }
}
