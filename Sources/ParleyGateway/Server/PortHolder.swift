// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyCore

/// Finds the program that listens on a port, as far as this user may see it.
enum PortHolder {
    /// E.g. `nginx (process 1234)`; nil when it cannot be told.
    static func find(_ port: Int) -> String? {
        let sockets = Set(inodes("/proc/net/tcp", port) + inodes("/proc/net/tcp6", port))
        guard !sockets.isEmpty else { return nil }
        for process in Folder.names(in: "/proc") where Int(process) != nil {
            for descriptor in Folder.names(in: "/proc/\(process)/fd") {
                guard let target = link("/proc/\(process)/fd/\(descriptor)"), sockets.contains(target) else { continue }
                let name = text("/proc/\(process)/comm")?.split(separator: "\n").first.map(String.init) ?? "a program"
                return "\(name) (process \(process))"
            }
        }
        return nil
    }

    /// The sockets that listen on the port, as `/proc/<pid>/fd` shows them.
    private static func inodes(_ table: String, _ port: Int) -> [String] {
        (text(table) ?? "").split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            // Local address, then remote, then the state; 0A is LISTEN.
            guard fields.count > 9, fields[3] == "0A", let colon = fields[1].lastIndex(of: ":"),
                Int(fields[1][fields[1].index(after: colon)...], radix: 16) == port
            else { return nil }
            return "socket:[\(fields[9])]"
        }
    }

    private static func link(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let length = readlink(path, base, 255)
            return length > 0 ? String(decoding: buffer.prefix(length), as: UTF8.self) : nil
        }
    }

    private static func text(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16 << 10) { buffer in
            while case let count = read(file, buffer.baseAddress, 16 << 10), count > 0 {
                bytes += buffer.prefix(count)
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
