// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// Why a key could not be read or kept; the text names the file and says what to do, and never holds a secret.
public struct KeyFileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file or directory at fault.
    public var path: String
    /// What is wrong and what to do.
    public var message: String

    /// The path and the message.
    public var description: String { "\(path): \(message)" }

    init(_ path: String, _ message: String) {
        self.path = path
        self.message = message
    }

    /// A failed system call.
    init(_ path: String, _ action: String, errno code: Int32, advice: String) {
        self.init(path, "\(action): \(String(cString: strerror(code))). \(advice)")
    }
}
