// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyAccess
import Testing

@Suite struct KeyFileTests {
    /// Runs `body` with a directory that does not exist yet, two levels below a new one.
    private func withState(_ body: (StateDirectory, KeyFile) async throws -> Void) async throws {
        let root = FileManager.default.temporaryDirectory.path + "/parley-keys-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let directory = StateDirectory(root + "/state/parley")
        try await body(directory, KeyFile(KeyFile.client, in: directory))
    }

    private func mode(_ path: String) throws -> Int? {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return (attributes[.posixPermissions] as? NSNumber)?.intValue
    }

    private func contents(_ directory: StateDirectory) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
    }

    private func refusal(_ file: KeyFile) -> KeyFileError? {
        do throws(KeyFileError) {
            _ = try file.obtain()
            return nil
        } catch {
            return error
        }
    }

    @Test("The first start makes the key, later ones read it, and nobody else may")
    func reuse() async throws {
        try await withState { directory, file in
            let first = try file.obtain()
            #expect(first.isNew)
            let second = try file.obtain()
            #expect(second.secret == first.secret)
            #expect(!second.isNew)
            #expect(!second.wasExposed)
            #expect(try mode(directory.path) == 0o700)
            #expect(try mode(file.path) == 0o600)
            #expect(try contents(directory) == ["client.key"])
            #expect(try String(contentsOfFile: file.path, encoding: .utf8) == first.secret.text + "\n")
            #expect(try KeyFile(KeyFile.admin, in: directory).obtain().secret != first.secret)
        }
    }

    @Test("Many starts at once agree on one key")
    func race() async throws {
        for _ in 0..<10 {
            try await withState { directory, file in
                let all = try await withThrowingTaskGroup(of: KeyFile.Obtained.self) { group in
                    for _ in 0..<32 { group.addTask { try file.obtain() } }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(Set(all.map(\.secret.text)).count == 1)
                #expect(all.filter(\.isNew).count == 1)
                #expect(try contents(directory) == ["client.key"])
            }
        }
    }

    @Test("What a killed start left half written is not taken for the key")
    func killed() async throws {
        try await withState { directory, file in
            try directory.prepare()
            let left = directory.file(".client.key.1-1")
            try "sk-parley-ha".write(toFile: left, atomically: false, encoding: .utf8)
            let obtained = try file.obtain()
            #expect(obtained.isNew)
            #expect(try file.obtain().secret == obtained.secret)
        }
    }

    @Test("Rights of others are taken away, and it is told that they were there")
    func exposed() async throws {
        try await withState { directory, file in
            let secret = try file.obtain().secret
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file.path)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.path)
            let again = try file.obtain()
            #expect(again.secret == secret)
            #expect(again.wasExposed)
            #expect(try mode(file.path) == 0o600)
            #expect(try mode(directory.path) == 0o700)
            #expect(try !file.obtain().wasExposed)
        }
    }

    @Test(
        "A file that holds no key is an error that names it and says what to do",
        arguments: [
            ("", "is empty"), ("\n\n", "is empty"), ("hello\n", "does not hold a key"),
            ("sk-parley-short\n", "does not hold a key"),
            ("sk-parley-" + String(repeating: "a", count: 5000), "does not hold a key"),
            ("sk-parley-" + String(repeating: "a", count: 43) + "\nmore\n", "does not hold a key"),
        ])
    func garbled(text: String, reason: String) async throws {
        try await withState { directory, file in
            try directory.prepare()
            try text.write(toFile: file.path, atomically: false, encoding: .utf8)
            let description = try #require(refusal(file)).description
            #expect(description.hasPrefix(file.path + ": "))
            #expect(description.contains(reason))
            #expect(description.contains("emove it"))
            #expect(!description.contains("short"))
            #expect(try String(contentsOfFile: file.path, encoding: .utf8) == text)
        }
    }

    @Test("A key survives an editor's line end")
    func lineEnds() async throws {
        try await withState { directory, file in
            try directory.prepare()
            let text = "sk-parley-" + String(repeating: "Z", count: 43)
            for end in ["", "\r\n", "\n\n"] {
                try (text + end).write(toFile: file.path, atomically: false, encoding: .utf8)
                #expect(try file.obtain().secret.text == text)
            }
        }
    }

    @Test("A link, a directory or a pipe in the file's place is refused and does not hang")
    func notFiles() async throws {
        try await withState { directory, file in
            try directory.prepare()
            try FileManager.default.createSymbolicLink(atPath: file.path, withDestinationPath: "/dev/null")
            #expect(refusal(file)?.message.contains("symbolic link") == true)
            try FileManager.default.removeItem(atPath: file.path)
            try FileManager.default.createDirectory(atPath: file.path, withIntermediateDirectories: false)
            #expect(refusal(file)?.message.contains("no ordinary file") == true)
            try FileManager.default.removeItem(atPath: file.path)
            #expect(mkfifo(file.path, 0o600) == 0)
            #expect(refusal(file)?.message.contains("no ordinary file") == true)
        }
    }

    @Test("A directory that cannot be made is an error that names it")
    func noDirectory() async throws {
        try await withState { directory, file in
            let parent = String(directory.path.dropLast("/state/parley".count))
            try "in the way".write(toFile: parent + "/state", atomically: false, encoding: .utf8)
            let error = try #require(refusal(file))
            #expect(error.path == directory.path)
            #expect(error.message.contains("XDG_STATE_HOME"))
        }
    }

    @Test("State is kept where the XDG specification says")
    func places() throws {
        func path(_ environment: [String: String]) throws -> String {
            try StateDirectory.standard { environment[$0] }.path
        }
        #expect(try path(["XDG_STATE_HOME": "/s", "HOME": "/h"]) == "/s/parley")
        #expect(try path(["HOME": "/h"]) == "/h/.local/state/parley")
        #expect(try path(["XDG_STATE_HOME": "", "HOME": "/h"]) == "/h/.local/state/parley")
        #expect(try path(["XDG_STATE_HOME": "relative", "HOME": "/h"]) == "/h/.local/state/parley")
        #expect(throws: KeyFileError.self) { try path([:]) }
        #expect(throws: KeyFileError.self) { try path(["HOME": "relative"]) }
    }
}
