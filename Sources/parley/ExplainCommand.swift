// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyModels
import ParleyWire

/// `parley explain MODEL`: what a model is made of and how its upstreams fare.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Show what a model is made of, and how its upstreams fare.",
        discussion: """
            A running server is asked with the admin key (--key, PARLEY_ADMIN_KEY, or the one it generated). Without \
            one, or with --config, the configuration file says what the model is made of.
            """)

    @Argument(help: "The model's name.")
    var model: String

    @OptionGroup
    var connection: ConnectionOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        let tree = try await tree()
        let output = Output.standard
        if json {
            output.write(JSON.text(tree.json) + "\n")
        } else {
            output.write(output.safe(tree.lines.joined(separator: "\n") + "\n"))
        }
    }

    private func tree() async throws -> ModelTree {
        if connection.config == nil {
            let backend = try connection.adminBackend()
            let isNamed = connection.url != nil || environment("PARLEY_URL") != nil
            let isThere = isNamed ? true : await backend.isThere()
            if isThere {
                guard let tree = ModelTree(try await backend.tree(of: model)) else {
                    throw ClientError("what answers at \(backend.place) is no Parley server: its answer cannot be read")
                }
                return tree
            }
        }
        let startup = try Startup.load(config: connection.config, listen: [], ownKey: KeySecret.generate())
        let directory = startup.snapshot.lists.directory
        guard let tree = directory.tree(of: model) else { throw unknown(directory) }
        return tree
    }

    private func unknown(_ directory: Directory) -> ClientError {
        guard case .unknown(let suggestions) = directory.resolve(model), !suggestions.isEmpty else {
            return ClientError("there is no model \(model)")
        }
        return ClientError("there is no model \(model); did you mean \(suggestions.joined(separator: ", "))?")
    }
}
