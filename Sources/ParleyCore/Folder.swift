// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// Folders of the file system.
public enum Folder {
    /// The names of what is in a folder, in no order; none where it cannot be read.
    public static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Runs `body` while no other thread or process does so for the same folder.
    ///
    /// Whoever waits for more than five seconds goes on all the same, and so does everybody where the file system has no
    /// locks: `body` must be correct then, too, if only by failing.
    public static func alone<Value, Failure: Error>(
        in path: String, _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return try body() }
        defer { close(descriptor) }
        var tries = 0
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK, tries < 500 {
            usleep(10_000)
            tries += 1
        }
        return try body()
    }
}
