// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// A secret of Parley's own, made at the first start and read at every later one.
///
/// The file appears whole or not at all: it is written under another name, flushed, and given its real name in one step
/// that fails where somebody else was faster. So two starts at once agree on one key, and a process that is killed
/// at any point leaves either no key or a complete one.
public struct KeyFile: Sendable, Equatable {
    /// The key for clients where the configuration has none.
    public static let client = "client.key"
    /// The key for the admin API where the configuration has none.
    public static let admin = "admin.key"

    /// A key that was read or made.
    public struct Obtained: Sendable, Equatable {
        /// The secret.
        public var secret: KeySecret
        /// Whether it was made just now.
        public var isNew: Bool
        /// Whether other users could read the file until now, so that the secret may be known to them.
        public var wasExposed: Bool
    }

    /// The directory the file is in.
    public let directory: StateDirectory
    /// The file's name.
    public let name: String

    /// The file `name` in `directory`.
    public init(_ name: String, in directory: StateDirectory) {
        self.name = name
        self.directory = directory
    }

    /// The file's path.
    public var path: String { directory.file(name) }

    /// Reads the key, or makes one where there is none yet. Blocks on the file system.
    ///
    /// - Throws: ``KeyFileError`` when the file is there but holds no key, or cannot be read or written.
    public func obtain() throws(KeyFileError) -> Obtained {
        try directory.prepare()
        if let existing = try read() { return existing }
        let secret = KeySecret.generate()
        if try publish(secret) { return Obtained(secret: secret, isNew: true, wasExposed: false) }
        if let existing = try read() { return existing }
        throw KeyFileError(path, "This file appeared and vanished while it was made. Start again.")
    }

    /// The key in the file; nil when there is no file.
    private func read() throws(KeyFileError) -> Obtained? {
        // Without O_NONBLOCK a pipe in the file's place would hang the start.
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        if descriptor < 0 {
            let code = errno
            if code == ENOENT { return nil }
            if code == ELOOP { throw KeyFileError(path, "This is a symbolic link. Put a file in its place.") }
            throw KeyFileError(
                path, "The key cannot be read", errno: code,
                advice: "Make the file readable for this user, or remove it to get a new key.")
        }
        defer { close(descriptor) }
        let wasExposed = try secure(descriptor)
        var bytes = [UInt8](repeating: 0, count: 256)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else {
                throw KeyFileError(path, "The key cannot be read", errno: errno, advice: "Check its file system.")
            }
            if got == 0 { break }
            count += got
        }
        var text = bytes.prefix(count)
        while let last = text.last, last == 0x0A || last == 0x0D { text.removeLast() }
        guard !text.isEmpty else {
            throw KeyFileError(path, "This file should hold a key but is empty. Remove it to get a new key.")
        }
        guard let secret = KeySecret(String(decoding: text, as: UTF8.self)) else {
            throw KeyFileError(
                path,
                "This file does not hold a key as Parley writes it (\(KeySecret.prefix) and "
                    + "\(KeySecret.length) letters and digits). Restore it, or remove it to get a new key.")
        }
        return Obtained(secret: secret, isNew: false, wasExposed: wasExposed)
    }

    /// Refuses what is not a file of this user's, and takes other users' rights to it away.
    ///
    /// - Returns: whether others had rights.
    private func secure(_ descriptor: Int32) throws(KeyFileError) -> Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw KeyFileError(path, "The key cannot be read", errno: errno, advice: "Check its file system.")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw KeyFileError(path, "A key was expected here, but this is no ordinary file. Remove it.")
        }
        guard status.st_uid == geteuid() || geteuid() == 0 else {
            throw KeyFileError(path, "This file belongs to another user. Change its owner, or remove it.")
        }
        guard status.st_mode & 0o077 != 0 else { return false }
        guard fchmod(descriptor, 0o600) == 0 else {
            throw KeyFileError(
                path, "Other users may use this file, and that cannot be changed", errno: errno,
                advice: "Run: chmod 600 on it.")
        }
        return true
    }

    /// Writes the secret and names the file.
    ///
    /// - Returns: false when there is a file of that name already.
    private func publish(_ secret: KeySecret) throws(KeyFileError) -> Bool {
        let unnamed = directory.file(".\(name).\(getpid())-\(UInt64.random(in: .min ... .max))")
        let descriptor = open(unnamed, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(errno) }
        defer {
            close(descriptor)
            unlink(unnamed)
        }
        // The umask may have taken the owner's own rights.
        guard fchmod(descriptor, 0o600) == 0 else { throw failure(errno) }
        try write(secret, to: descriptor)
        guard fsync(descriptor) == 0 else { throw failure(errno) }
        guard try place(unnamed) else { return false }
        directory.flush()
        return true
    }

    /// Gives a complete file its name.
    ///
    /// - Returns: false when there is a file of that name already.
    private func place(_ unnamed: String) throws(KeyFileError) -> Bool {
        if link(unnamed, path) == 0 { return true }
        let code = errno
        if code == EEXIST { return false }
        guard [EPERM, ENOSYS, EOPNOTSUPP].contains(code) else { throw failure(code) }
        // A file system without hard links: look and rename, one process at a time.
        let lock = open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw failure(errno) }
        defer { close(lock) }
        guard flock(lock, LOCK_EX) == 0 else { throw failure(errno) }
        if access(path, F_OK) == 0 { return false }
        guard rename(unnamed, path) == 0 else { throw failure(errno) }
        return true
    }

    private func write(_ secret: KeySecret, to descriptor: Int32) throws(KeyFileError) {
        let bytes = Array((secret.text + "\n").utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(count < 0 ? errno : ENOSPC) }
            written += count
        }
    }

    private func failure(_ code: Int32) -> KeyFileError {
        KeyFileError(
            path, "The key cannot be written", errno: code,
            advice: "Make room and the directory writable, or set XDG_STATE_HOME to another one.")
    }
}

extension StateDirectory {
    /// Makes names in the directory last through a power cut, as far as the file system can.
    func flush() {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
