// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyGateway
import ParleyProviders

/// Finds model servers that run on this machine: Ollama, LM Studio, vLLM, llama.cpp.
enum LocalProbe {
    /// Nothing that runs on the same machine needs longer to say that it is there.
    private static let patience = TimeAmount.milliseconds(500)

    /// The servers whose model list answers.
    static func find(through gateway: Gateway, except ports: [Int]) async -> [ProviderSetup] {
        let servers = Catalogue.localServers(ownPort: nil).filter { !ports.contains($0.port) }
        let connector = gateway.connector
        let names = await gateway.run {
            await withTaskGroup(of: String?.self) { group in
                for server in servers {
                    group.addTask { await answers(server, connector) ? server.setup.name : nil }
                }
                var names: Set<String> = []
                for await case let name? in group { names.insert(name) }
                return names
            }
        }
        return servers.map(\.setup).filter { names.contains($0.name) }
    }

    private static func answers(_ server: Catalogue.LocalServer, _ connector: any Connector) async -> Bool {
        var setup = server.setup
        setup.timeouts = TimeoutOverrides(connect: patience, first: patience, idle: patience, total: patience)
        guard let source = try? Registry.make(setup), let models = try? await source.discover(connector) else {
            return false
        }
        return !models.isEmpty || server.setup.kind != "vllm"
    }
}
