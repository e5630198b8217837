// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser
import Glibc
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyStore

/// `parley import`: turns the configuration of another project into a `parley.yaml`.
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Turn another project's configuration into a parley.yaml.",
        discussion: """
            Reads \(ImportKind.allCases.map(\.rawValue).joined(separator: ", ")). Secrets become ${NAME}; the list of \
            variables to set and what could not be carried over stand at the top of the result and on standard error.
            """)

    @Argument(help: "The file; - reads standard input.")
    var file: String

    @Option(help: ArgumentHelp("What the file is; without it, what is in it tells.", valueName: "kind"))
    var from: String?

    @Option(help: "Where the result goes, in place of standard output; never over a file that is there.")
    var output: String?

    @Option(name: .customLong("env"), help: "A new file for the variables with their values; only you can read it.")
    var environmentFile: String?

    @Option(help: "The database for tokens of a sign-in; parley.db in the state folder by default.")
    var store: String?

    @Flag(help: "Print the values of secrets too, as comments.")
    var showSecrets = false

    func run() async throws {
        let imported = try read()
        let text = imported.yaml(showsSecrets: showSecrets)
        if let environmentFile { try NewFile.write(imported.environmentFile, to: environmentFile, mode: 0o600) }
        if let output { try NewFile.write(text, to: output, mode: 0o644) }
        try await keep(imported.credentials)
        if output == nil { Output.standard.write(text) }
        report(imported, text)
    }

    private func read() throws -> ImportedConfiguration {
        let kind = try from.map { name in
            guard let kind = ImportKind(name: name) else {
                let known = ImportKind.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--from \(name): expected one of \(known)")
            }
            return kind
        }
        let name = file == "-" ? "standard input" : file
        do {
            let bytes = try file == "-" ? Importer.standardInput() : Importer.bytes(of: file)
            return try Importer.read(bytes, file: name, kind: kind)
        } catch let fault as FileFault {
            throw Failure("\(name): error: cannot be read: \(fault.message)")
        }
    }

    /// Puts tokens where `parley serve` looks for them.
    private func keep(_ credentials: [ImportedCredentials]) async throws {
        guard !credentials.isEmpty else { return }
        do {
            let path: String
            if let store {
                path = store
            } else {
                let directory = try StateDirectory.standard()
                try directory.prepare()
                path = directory.file("parley.db")
            }
            let database = try SQLiteStore(path: path)
            for one in credentials {
                let kept = try await database.load(one.provider)
                guard kept == nil || kept == one.values else {
                    throw Failure(
                        "\(path) has tokens of \(one.provider) already, which are kept; name another --store")
                }
                try await database.save(one.values, for: one.provider)
                Output.error.line("The tokens of \(one.provider) are in \(path) now.")
            }
        } catch let error as KeyFileError {
            throw Failure(error.description)
        }
    }

    private func report(_ imported: ImportedConfiguration, _ text: String) {
        Output.error.line("\(imported.file): read as \(imported.kind.summary) (--from \(imported.kind.rawValue))")
        for note in imported.notes { Output.error.line(Output.error.safe(note.description)) }
        let missing = imported.variables.filter { !$0.hasDefault }
        if !missing.isEmpty {
            Output.error.line("Set these variables before you start it:")
            for variable in missing {
                let origin = variable.value == nil && !variable.isFromEnvironment ? "; the source does not say it" : ""
                Output.error.line("  \(variable.name)  (\(Output.error.safe(variable.setting))\(origin))")
            }
            if let environmentFile { Output.error.line("Those whose values are known are in \(environmentFile).") }
        }
        // A file that its own reader refuses would be a fault of ours or a value that nothing can be made of.
        let diagnostics = imported.check(text, as: output ?? "parley.yaml", context: Startup.context(strict: false))
        for diagnostic in diagnostics where diagnostic.severity == .error { Output.error.line(diagnostic.description) }
        let warnings = diagnostics.count { $0.severity == .warning }
        if warnings > 0 { Output.error.line("parley check will have \(warnings) warning\(warnings == 1 ? "" : "s").") }
        if diagnostics.contains(where: { $0.severity == .error }) {
            Output.error.line("The result has errors that must be corrected first.")
        }
    }
}

/// Files that must not be there yet.
enum NewFile {
    /// Makes a file with this text.
    ///
    /// - Throws: `Failure` where there is one already, or it cannot be made.
    static func write(_ text: String, to path: String, mode: mode_t) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else {
            let reason = errno == EEXIST ? "is there already and is not overwritten" : String(cString: strerror(errno))
            throw Failure("\(path): \(reason)")
        }
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let reason = String(cString: strerror(errno))
                unlink(path)
                throw Failure("\(path): cannot be written: \(reason)")
            }
            rest = rest.dropFirst(count)
        }
    }
}
