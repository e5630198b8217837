// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import ParleyCore
import Testing

@testable import ParleyStore

@Suite struct SQLiteStoreTests {
    /// A store in a folder of its own, which goes with the test.
    private static func inFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
        var template = Array("/tmp/parley-store-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer {
            for name in ["parley.db", "parley.db-wal", "parley.db-shm"] { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
        return try await body("\(folder)/parley.db")
    }

    @Test func `credentials are there after the store was opened again`() async throws {
        try await Self.inFolder { path in
            let kept: JSONObject = ["refresh": "r\u{e9}\n\"1\"", "expires": .number("1700000000000")]
            try await SQLiteStore(path: path).save(kept, for: "iflow")
            let again = try SQLiteStore(path: path)
            #expect(try await again.load("iflow") == kept)
            #expect(try await again.load("other") == nil)
        }
    }

    @Test func `the last save wins and forgetting leaves nothing`() async throws {
        try await Self.inFolder { path in
            let store = try SQLiteStore(path: path)
            try await store.save(["token": "1"], for: "a")
            try await store.save(["token": "2"], for: "a")
            try await store.save(["token": "3"], for: "b")
            #expect(try await store.load("a") == ["token": "2"])
            try await store.forget("a")
            #expect(try await store.load("a") == nil)
            #expect(try await store.load("b") == ["token": "3"])
        }
    }

    @Test func `only its owner may read the file`() async throws {
        try await Self.inFolder { path in
            let old = umask(0)
            defer { umask(old) }
            let store = try SQLiteStore(path: path)
            try await store.save(["token": "1"], for: "a")
            for file in [path, path + "-wal"] {
                var info = stat()
                #expect(stat(file, &info) == 0)
                #expect(info.st_mode & 0o777 == 0o600)
            }
        }
    }

    @Test func `a file that is no database is refused by name`() async throws {
        try await Self.inFolder { path in
            let file = try #require(fopen(path, "w"))
            fputs(String(repeating: "this is not a database\n", count: 100), file)
            fclose(file)
            #expect {
                _ = try SQLiteStore(path: path)
            } throws: { error in
                (error as? ParleyError)?.message.contains(path) == true
            }
        }
    }
}
