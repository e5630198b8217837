// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyConfiguration
import ParleyGateway

/// A gateway inside a client command, for when none is running: it serves that command alone and ends with it.
enum EmbeddedServer {
    /// Starts a gateway on a port of its own, with a key that nobody else knows.
    ///
    /// - Parameter config: the configuration file; nil looks for one as `serve` does.
    /// - Throws: `Failure` or `ListenError`, as `serve` would.
    static func start(config: String?) async throws -> ServerBackend {
        let secret = KeySecret.generate()
        var startup = try Startup.load(config: config, listen: ["127.0.0.1:0"], ownKey: secret)
        startup.settings.server.tls = nil
        let gateway = try await Gateway.start(
            startup.settings.server, snapshot: startup.snapshot, sink: nil, loops: 1)
        if await !startup.findLocal(through: gateway).isEmpty { gateway.adopt(startup.snapshot) }
        let address = try ServerAddress("http://\(gateway.addresses[0])")
        return ServerBackend(client: HTTPClient(address: address), key: secret.text)
    }
}
