// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser
import Glibc
import ParleyConfiguration

/// `parley check`: says whether a configuration file is right, without starting anything.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check a configuration file without starting.",
        discussion: "Exit status: 0 when the file can be used, 1 when it has errors, 2 when there is no file.")

    @Argument(help: "The file; without it, the one that serve would find.")
    var file: String?

    @Flag(help: "Treat settings that are not built yet as errors, not warnings.")
    var strict = false

    func run() throws {
        let environment = Startup.environment()
        guard
            let path = ConfigurationFile.find(
                explicit: file, environment: environment, workingDirectory: Startup.workingDirectory())
        else {
            Output.error.line("There is no parley.yaml here or in $XDG_CONFIG_HOME/parley; parley serve needs none.")
            throw ExitCode(2)
        }
        let result = ConfigurationFile.load(
            path: path, environment: environment, context: Startup.context(strict: strict))
        var diagnostics = result.diagnostics
        if let settings = result.settings {
            diagnostics += Assembler().assemble(settings, loaded: 0).diagnostics
        }
        for diagnostic in diagnostics { Output.standard.line(diagnostic.description) }
        let errors = diagnostics.count { $0.severity == .error }
        let warnings = diagnostics.count - errors
        let summary = "\(errors) error\(errors == 1 ? "" : "s"), \(warnings) warning\(warnings == 1 ? "" : "s")"
        Output.standard.line(diagnostics.isEmpty ? "\(path): good" : "\(path): \(summary)")
        if errors > 0 { throw ExitCode(1) }
    }
}
