// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyConfiguration
import Testing

@Suite("The file")
struct ConfigurationFileTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    private func write(_ text: String, to path: String) throws {
        let url = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    @Test("The explicit file wins, then the working directory, then the XDG folder, then ~/.config")
    func order() throws {
        try withFolder { folder in
            let home = folder + "/home"
            let find = { (explicit: String?, environment: [String: String]) in
                ConfigurationFile.find(explicit: explicit, environment: environment, workingDirectory: folder)
            }
            #expect(find(nil, ["HOME": home]) == nil)
            #expect(find("gone.yaml", [:]) == "gone.yaml")
            try write("", to: home + "/.config/parley/parley.yaml")
            #expect(find(nil, ["HOME": home]) == home + "/.config/parley/parley.yaml")
            #expect(find(nil, ["HOME": home, "XDG_CONFIG_HOME": folder + "/xdg"]) == nil)
            try write("", to: folder + "/xdg/parley/parley.yaml")
            #expect(
                find(nil, ["HOME": home, "XDG_CONFIG_HOME": folder + "/xdg"]) == folder + "/xdg/parley/parley.yaml")
            try write("", to: folder + "/parley.yaml")
            #expect(find(nil, ["HOME": home]) == folder + "/parley.yaml")
        }
    }

    @Test("A file and the files it names are read from its folder")
    func reads() throws {
        try withFolder { folder in
            try write("keys: [{name: a, key: \"${file:key.txt}\"}]", to: folder + "/parley.yaml")
            try write("abcdef\n", to: folder + "/key.txt")
            let result = ConfigurationFile.load(path: folder + "/parley.yaml", environment: [:])
            #expect(result.diagnostics == [])
            #expect(result.settings?.keys.first?.credential == .plain(Secret("abcdef")))
        }
    }

    @Test("What cannot be read is a diagnostic")
    func unreadable() throws {
        try withFolder { folder in
            let gone = ConfigurationFile.load(path: folder + "/gone.yaml", environment: [:])
            #expect(gone.diagnostics.map(\.message) == ["cannot be read: No such file or directory"])
            let directory = ConfigurationFile.load(path: folder, environment: [:])
            #expect(directory.diagnostics.map(\.message) == ["cannot be read: Is a directory"])
            let device = ConfigurationFile.load(path: "/dev/zero", environment: [:])
            #expect(device.diagnostics.map(\.message) == ["cannot be read: not a regular file"])
            try Data([0x61, 0x3A, 0x0A, 0x20, 0xFF, 0x0A]).write(to: URL(fileURLWithPath: folder + "/bad.yaml"))
            let bad = ConfigurationFile.load(path: folder + "/bad.yaml", environment: [:])
            #expect(bad.diagnostics.map { "\($0.line):\($0.column): \($0.message)" } == ["2:2: is not UTF-8 text"])
        }
    }
}
