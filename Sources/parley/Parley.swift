// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser

/// The command.
@main
struct Parley: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parley",
        abstract: "One OpenAI-compatible API in front of every language model you can reach.",
        discussion: """
            Without a file, `parley serve` offers the providers whose usual environment variables are set \
            (OPENAI_API_KEY and others), or else a built-in model named demo.
            """,
        version: Version.text,
        subcommands: [
            ServeCommand.self, CheckCommand.self, ImportCommand.self, ModelsCommand.self, ExplainCommand.self,
            ChatCommand.self, UsageCommand.self,
        ],
        defaultSubcommand: nil)
}

/// The program's version.
enum Version {
    /// As `--version` prints it.
    static let text = "parley 0.1.0"
}
