// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// The directory of what Parley keeps for itself, readable by its user only.
public struct StateDirectory: Sendable, Equatable {
    /// The directory's absolute path.
    public let path: String

    /// The given directory.
    public init(_ path: String) {
        self.path = path
    }

    /// `$XDG_STATE_HOME/parley`, else `~/.local/state/parley`.
    ///
    /// - Parameter variable: the value of an environment variable, nil where it is not set.
    /// - Throws: ``KeyFileError`` when neither variable holds an absolute path.
    public static func standard(
        _ variable: (String) -> String? = Self.environment
    ) throws(KeyFileError) -> StateDirectory {
        // The XDG specification says that a relative path counts as not set.
        if let state = variable("XDG_STATE_HOME"), state.hasPrefix("/") { return StateDirectory(state + "/parley") }
        if let home = variable("HOME"), home.hasPrefix("/") { return StateDirectory(home + "/.local/state/parley") }
        throw KeyFileError(
            "parley", "There is no place for generated keys: set XDG_STATE_HOME or HOME to an absolute path.")
    }

    /// The value of a variable in the process's environment; nil where it is not set.
    public static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    /// The path of a file in it.
    public func file(_ name: String) -> String { path + "/" + name }

    /// Makes the directory, with those above it, and takes other users' rights to it away.
    ///
    /// - Throws: ``KeyFileError`` when it cannot be made, is no directory, or belongs to somebody else.
    public func prepare() throws(KeyFileError) {
        try Self.make(path, depth: 0)
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw KeyFileError(
                path, "This directory cannot be opened", errno: errno,
                advice: "Make it usable for this user, or set XDG_STATE_HOME to another one.")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw KeyFileError(path, "This directory cannot be read", errno: errno, advice: "Check its file system.")
        }
        guard status.st_uid == geteuid() || geteuid() == 0 else {
            throw KeyFileError(
                path,
                "This directory belongs to another user, who could replace the keys in it. "
                    + "Change its owner, or set XDG_STATE_HOME to another one.")
        }
        guard status.st_mode & 0o077 != 0 else { return }
        guard fchmod(descriptor, 0o700) == 0 else {
            throw KeyFileError(
                path, "Other users may enter this directory, and that cannot be changed", errno: errno,
                advice: "Run: chmod 700 on it.")
        }
    }

    /// Makes a directory and, first, those above it that are missing.
    private static func make(_ path: String, depth: Int) throws(KeyFileError) {
        if mkdir(path, 0o700) == 0 { return }
        var code = errno
        if code == ENOENT, depth < 64, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try make(String(path[..<slash]), depth: depth + 1)
            if mkdir(path, 0o700) == 0 { return }
            code = errno
        }
        guard code == EEXIST else {
            throw KeyFileError(
                path, "This directory cannot be made", errno: code,
                advice: "Make it by hand, or set XDG_STATE_HOME to a directory that this user may write to.")
        }
    }
}
