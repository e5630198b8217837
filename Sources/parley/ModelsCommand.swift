// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser

/// `parley models`: what a running server offers, and from where.
struct ModelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models", abstract: "List the models that can be reached, and where each comes from.")

    @OptionGroup
    var connection: ConnectionOptions

    @Flag(help: "Print the server's entries as a JSON array.")
    var json = false

    func run() async throws {
        let backend = try await connection.reach()
        let models = try await backend.models()
        if json {
            Output.standard.write("[\n" + models.map { "  " + $0.json }.joined(separator: ",\n") + "\n]\n")
        } else if models.isEmpty {
            throw ClientError("the server at \(backend.place) offers no model")
        } else {
            let output = Output.standard
            output.write(output.safe(table(["MODEL", "FROM"], models.map { [$0.id, $0.owner] })))
        }
    }
}
