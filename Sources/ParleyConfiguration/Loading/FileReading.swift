// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// Why a file could not be read; the message names neither its content nor the path.
public struct FileFault: Error, Equatable {
    /// The reason, as in `No such file or directory`.
    public var message: String

    /// A reason.
    public init(_ message: String) {
        self.message = message
    }
}

/// Reading small files.
enum FileReading {
    /// The largest configuration file, in bytes.
    static let configurationLimit = 4 << 20
    /// The largest file that `${file:path}` takes, in bytes.
    static let includeLimit = 1 << 20

    /// The file's bytes; anything but a regular file of at most `limit` bytes is refused.
    static func bytes(of path: String, limit: Int) throws(FileFault) -> [UInt8] {
        guard !path.isEmpty, !path.utf8.contains(0) else { throw FileFault("not a path") }
        // Without O_NONBLOCK opening a named pipe would wait for its writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileFault(reason(errno)) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileFault(reason(errno)) }
        if status.st_mode & S_IFMT == S_IFDIR { throw FileFault("Is a directory") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileFault("not a regular file") }
        return try rest(of: descriptor, limit: limit)
    }

    /// What is left to read of an open file; more than `limit` bytes are refused.
    static func rest(of descriptor: CInt, limit: Int) throws(FileFault) -> [UInt8] {
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileFault(reason(errno)) }
            if count == 0 { return content }
            content += chunk.prefix(count)
            guard content.count <= limit else { throw FileFault("larger than \(limit >> 20)MB") }
        }
    }

    /// Whether something is there that is not a folder.
    static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
    }

    /// The folder that a file's path names, for joining: `a/b.yaml` gives `a/`, `b.yaml` gives nothing.
    static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    private static func reason(_ code: Int32) -> String {
        switch code {
        case ENOENT: "No such file or directory"
        case EACCES: "Permission denied"
        case ENOTDIR: "Not a directory"
        case ELOOP: "Too many levels of symbolic links"
        default: "error \(code)"
        }
    }
}
