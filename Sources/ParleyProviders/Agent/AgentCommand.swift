// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyCore
import Subprocess
import SystemPackage

/// How an agent is started. It comes from the configuration file only.
struct AgentCommand: Sendable, Equatable {
    /// What an agent gets of the gateway's environment; the keys of services are not among it.
    private static let inherited = [
        "PATH", "HOME", "LANG", "TERM", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME",
        "XDG_RUNTIME_DIR", "XDG_CONFIG_DIRS", "XDG_DATA_DIRS",
    ]
    /// Shorter values are no secrets, and would be found everywhere.
    private static let shortestSecret = 4

    /// The program's name, for logs.
    let name: String
    /// The program: a path, or a name that is looked for in `PATH`.
    let program: String
    let arguments: [String]
    /// Absolute.
    let workingDirectory: String
    private let variables: [String: String]
    /// Values that no log may show.
    let secrets: [String]

    /// Reads the settings `command`, `directory` and `environment`.
    ///
    /// - Throws: what is wrong with them.
    init(_ options: ProviderOptions) throws(ProviderError) {
        guard let words = try options.strings("command"), let first = words.first, !first.isEmpty else {
            throw ProviderError("must name the agent's program", setting: "command")
        }
        guard words.allSatisfy({ !$0.utf8.contains(0) }) else {
            throw ProviderError("must not hold a NUL", setting: "command")
        }
        let directory = try Self.directory(options.string("directory"))
        workingDirectory = directory
        program = first.contains("/") ? try Self.absolute(first, setting: "command") : first
        name = first.split(separator: "/").last.map(String.init) ?? first
        arguments = Array(words.dropFirst())
        var variables = Self.inheritedVariables()
        var secrets: [String] = []
        for member in options.values["environment"]?.object?.members ?? [] {
            guard let value = member.value.string, !member.key.isEmpty,
                !(member.key + value).utf8.contains(0), !member.key.contains("=")
            else { throw ProviderError("holds something that cannot be a variable", setting: "environment") }
            variables[member.key] = value
            if value.utf8.count >= Self.shortestSecret { secrets.append(value) }
        }
        self.variables = variables
        self.secrets = secrets
    }

    private static func inheritedVariables() -> [String: String] {
        var variables: [String: String] = [:]
        for name in inherited {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        return variables
    }

    /// The folder the agent works in, as an absolute path.
    static func directory(_ setting: String?) throws(ProviderError) -> String {
        let path = try absolute(setting ?? ".", setting: "directory")
        guard let real = realpath(path, nil) else {
            throw ProviderError("is not there; make the folder first", setting: "directory")
        }
        defer { free(real) }
        var info = stat()
        guard stat(real, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
            throw ProviderError("is no folder", setting: "directory")
        }
        return String(cString: real)
    }

    private static func absolute(_ path: String, setting: String) throws(ProviderError) -> String {
        guard !path.hasPrefix("/") else { return path }
        guard let current = getcwd(nil, 0) else {
            throw ProviderError("is relative, and there is no working directory", setting: setting)
        }
        defer { free(current) }
        return String(cString: current) + "/" + path
    }
}

extension AgentCommand {
    var executable: Executable { program.contains("/") ? .path(FilePath(program)) : .name(program) }

    var directory: FilePath { FilePath(workingDirectory) }

    var environment: Environment {
        .custom(Dictionary(uniqueKeysWithValues: variables.map { (Environment.Key(stringLiteral: $0.key), $0.value) }))
    }
}
