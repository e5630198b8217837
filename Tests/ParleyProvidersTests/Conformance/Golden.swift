// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

/// Files that hold what must come out, beside what goes in. `PARLEY_WRITE_GOLDEN=1` writes them anew; the difference is
/// then reviewed like code.
enum Golden {
    /// The project's folder.
    static var root: URL {
        var folder = URL(filePath: #filePath)
        for _ in 0..<4 { folder = folder.deletingLastPathComponent() }
        return folder
    }

    private static var writes: Bool { ProcessInfo.processInfo.environment["PARLEY_WRITE_GOLDEN"] == "1" }

    /// The files of a folder with an ending, as their names without it, in order.
    static func names(in path: String, ending: String) -> [String] {
        let folder = root.appending(path: path)
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.count)) }.sorted()
    }

    static func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: root.appending(path: path)), as: UTF8.self)
    }

    /// Compares a text with its file.
    static func compare(_ text: String, with path: String) throws {
        let file = root.appending(path: path)
        if writes {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            return
        }
        guard FileManager.default.fileExists(atPath: file.path) else {
            Issue.record("\(path) is missing; PARLEY_WRITE_GOLDEN=1 writes it")
            return
        }
        let stored = try self.text(path)
        #expect(stored == text, "\(path) differs; PARLEY_WRITE_GOLDEN=1 writes it anew")
    }

    /// JSON laid out for reading: members in their order, numbers as they were written.
    static func pretty(_ value: JSONValue, indent: String = "") -> String {
        let inner = indent + "  "
        switch value {
        case .array(let list) where !list.isEmpty:
            return "[\n" + list.map { inner + pretty($0, indent: inner) }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let object) where !object.isEmpty:
            let lines = object.members.map { member in
                "\(inner)\(JSON.text(.string(member.key))): \(pretty(member.value, indent: inner))"
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        default: return JSON.text(value)
        }
    }
}
