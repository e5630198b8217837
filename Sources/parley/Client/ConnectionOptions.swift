// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser
import Glibc

/// Which server a client command talks to, and with which key.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The server: http://host:port, https://host or unix:/path. Default: PARLEY_URL, else \(ServerAddress.usual).",
            valueName: "url"))
    var url: String?

    @Option(
        help: ArgumentHelp(
            "The key to send. Default: PARLEY_API_KEY (of `explain` PARLEY_ADMIN_KEY), else the key a server on this "
                + "machine generated.",
            valueName: "key"))
    var key: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Use this configuration file, without a running server.", valueName: "file"))
    var config: String?

    /// The server that was named, else the one that runs on this machine, else one inside this command.
    func reach() async throws -> ServerBackend {
        guard config == nil else { return try await EmbeddedServer.start(config: config) }
        let backend = try backend()
        if url != nil || environment("PARLEY_URL") != nil { return backend }
        if await backend.isThere() { return backend }
        return try await EmbeddedServer.start(config: nil)
    }

    /// The server with the key for it.
    func backend() throws(ClientError) -> ServerBackend {
        let address = try ServerAddress(url ?? environment("PARLEY_URL") ?? ServerAddress.usual)
        let generated = address.isLocal ? Self.generatedKey() : nil
        let key = key ?? environment("PARLEY_API_KEY") ?? generated
        if let key, key.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
            throw ClientError("the key holds a character that no key has; was it copied in full?")
        }
        return ServerBackend(client: HTTPClient(address: address), key: key)
    }

    /// The server with the admin key for it: the one that is named, else that of the environment, else the generated one.
    func adminBackend() throws(ClientError) -> ServerBackend {
        let address = try ServerAddress(url ?? environment("PARLEY_URL") ?? ServerAddress.usual)
        let generated = address.isLocal ? Self.generatedKey("admin.key") : nil
        let key = key ?? environment("PARLEY_ADMIN_KEY") ?? generated
        if let key, key.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
            throw ClientError("the key holds a character that no key has; was it copied in full?")
        }
        return ServerBackend(client: HTTPClient(address: address), key: key)
    }

    /// A key that `parley serve` made for its own user, if there is one.
    private static func generatedKey(_ name: String = "client.key") -> String? {
        let home = environment("HOME").map { $0 + "/.local/state" }
        guard let state = environment("XDG_STATE_HOME") ?? home else { return nil }
        let file = open(state + "/parley/" + name, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let text = String(decoding: bytes.prefix(count), as: UTF8.self)
        return text.split(whereSeparator: \.isWhitespace).first.map(String.init)
    }
}

/// A variable of the environment; nil when it is not set or empty.
func environment(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
}
