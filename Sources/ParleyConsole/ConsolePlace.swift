// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyAccess
import ParleyConfiguration
import ParleyCore

/// Where the control plane listens: on an address of its own, or on a socket that only the data plane of this process uses.
struct ConsolePlace: Sendable {
    /// What SwiftNIO takes as a socket's path; some systems have no more room in `sun_path`.
    private static let longestPath = 103
    private static let prefix = "console-"
    private static let suffix = ".sock"

    let address: ListenAddress
    /// Whether only the data plane comes here, so that what it says about a request is true.
    let isRelayed: Bool
    /// A folder made for the socket.
    private let folder: String?

    /// The place that the setting names.
    ///
    /// - Throws: where there is no place for a socket.
    init(_ listen: ConsoleSettings.Listen, in directory: StateDirectory) throws(ConsoleError) {
        if case .address(let own) = listen {
            (address, isRelayed, folder) = (own, false, nil)
            return
        }
        isRelayed = true
        do {
            try directory.prepare()
        } catch {
            throw ConsoleError(description: error.description)
        }
        Self.sweep(directory)
        // One per process: several may share the state directory.
        let name = "\(Self.prefix)\(getpid())\(Self.suffix)"
        let path = directory.file(name)
        if path.utf8.count <= Self.longestPath {
            (address, folder) = (.unix(path: path), nil)
            return
        }
        var template = Array("/tmp/parley-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template).map({ String(cString: $0) }) else {
            throw ConsoleError(
                description: "console.listen: \(directory.path) is too long a name for a socket in it, and no folder "
                    + "can be made in /tmp. Set XDG_STATE_HOME to a shorter one, or console.listen to an address.")
        }
        (address, folder) = (.unix(path: "\(made)/\(name)"), made)
    }

    /// Takes other users' rights to the socket away; nobody else could enter its folder anyway.
    func protect() {
        if isRelayed, case .unix(let path) = address { chmod(path, 0o600) }
    }

    /// Removes the socket.
    func remove() {
        if case .unix(let path) = address { unlink(path) }
        if let folder { rmdir(folder) }
    }

    /// Removes the sockets of processes that were killed: nobody listens there any more.
    private static func sweep(_ directory: StateDirectory) {
        for name in Folder.names(in: directory.path) {
            guard name.hasPrefix(prefix), name.hasSuffix(suffix),
                let process = pid_t(name.dropFirst(prefix.count).dropLast(suffix.count)), process > 0
            else { continue }
            // Another user's process counts as alive.
            if kill(process, 0) != 0, errno == ESRCH { unlink(directory.file(name)) }
        }
    }

    /// Why an address could not be listened on.
    static func reason(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(type(of: error))" }
        return String(cString: strerror(error.errnoCode))
    }
}
