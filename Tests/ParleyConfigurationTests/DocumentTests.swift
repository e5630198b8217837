// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import Testing

@testable import ParleyConfiguration

@Suite("The table and what is made from it")
struct DocumentTests {
    /// With this variable set the tests write the documents instead of comparing them.
    private var writes: Bool { ProcessInfo.processInfo.environment["PARLEY_WRITE_DOCS"] != nil }

    @Test("Every row has a place, a sentence and a unique path")
    func rows() {
        var seen: Set<String> = []
        for row in SettingsTable.rows {
            #expect(row.doc.hasSuffix("."), "\(row.path)")
            #expect(seen.insert(row.path + row.kinds.joined()).inserted, "\(row.path)")
            for kind in row.kinds { #expect(SettingsTable.kinds.contains { $0.name == kind }, "\(kind)") }
        }
        func count(_ node: SettingNode) -> Int {
            1 + node.members.map(count).reduce(0, +) + (node.element.map(count) ?? 0)
        }
        #expect(count(SettingsTable.tree) == SettingsTable.rows.count + 1)
    }

    @Test("Every setting is in the example")
    func example() throws {
        let text = try Samples.example()
        let words = Set(text.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init))
        for row in SettingsTable.rows where !row.path.hasSuffix("*") && !row.path.hasSuffix("[]") {
            #expect(words.contains(row.name), "\(row.path)")
        }
    }

    @Test("Written out, the table's defaults are the settings of an empty file")
    func defaults() throws {
        let fixed = SettingsTable.rows.filter {
            $0.fallback != nil && !$0.path.contains("*") && !$0.path.contains("[") && !$0.path.hasPrefix("log.file")
                && !$0.path.hasPrefix("telemetry.otlp")
        }
        for row in fixed {
            let text = yaml(row.path, row.fallback ?? "")
            let result = Samples.load(text)
            #expect(result.settings == Settings(), "\(text)")
        }
        #expect(fixed.count > 30)
    }

    @Test("Written out, the table's defaults of a route, a chain, a log file and a collector are theirs")
    func nestedDefaults() throws {
        let bases = [
            ("models.*", "route", "providers: {p: {kind: demo}}\nmodels: {m: {route: fallback, of: [p/x]"),
            ("models.*", "reason", "providers: {p: {kind: demo}}\nmodels: {m: {reason: steps, with: [p/x]"),
        ]
        let reason: Set<String> = [
            "show", "whole", "status", "max_steps", "tokens", "attempts", "wait", "temperature",
            "samples", "caps",
        ]
        for (prefix, form, base) in bases {
            let plain = try #require(Samples.load(base + "}}").settings)
            for row in SettingsTable.rows where row.path.hasPrefix(prefix + ".") && !row.path.contains("[") {
                let parts = row.path.dropFirst(prefix.count + 1).split(separator: ".").map(String.init)
                guard let fallback = row.fallback, let first = parts.first, first != "hedge",
                    reason.contains(first) == (form == "reason")
                else { continue }
                let open = parts.dropLast().map { "\($0): {" }.joined() + (parts.last ?? "") + ": " + fallback
                let text = base + ", " + open + String(repeating: "}", count: parts.count - 1) + "}}"
                #expect(Samples.load(text).settings == plain, "\(text)")
            }
        }
        for base in ["log: {file: {path: x", "telemetry: {otlp: {endpoint: \"http://h\""] {
            let plain = try #require(Samples.load(base + "}}").settings)
            let extra = base.hasPrefix("log") ? ", rotate: 100MB, keep: 7" : ", sample: 1.0"
            #expect(Samples.load(base + extra + "}}").settings == plain)
        }
    }

    private func yaml(_ path: String, _ value: String) -> String {
        let parts = path.split(separator: ".")
        return parts.dropLast().map { "\($0): {" }.joined() + "\(parts.last ?? ""): \(value)"
            + String(repeating: "}", count: parts.count - 1)
    }

    @Test("The reference in docs is the one made from the table")
    func reference() throws {
        let text = ConfigurationReference.markdown()
        for row in SettingsTable.rows where row.path.contains(".") {
            #expect(text.contains("| `\(row.path)` |"), "\(row.path)")
        }
        try compare(text, with: "docs/configuration.md")
    }

    @Test("The schema is JSON, is made from the table, and is the one in docs")
    func schema() throws {
        let text = JSONSchema.text()
        let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8))
        let root = try #require(parsed as? [String: Any])
        #expect(root["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
        let properties = try #require(root["properties"] as? [String: Any])
        #expect(Set(properties.keys) == Set(SettingsTable.tree.members.map(\.setting.name)))
        let providers = try #require(properties["providers"] as? [String: Any])
        let provider = try #require(providers["additionalProperties"] as? [String: Any])
        let settings = try #require(provider["properties"] as? [String: Any])
        #expect(settings.keys.contains("base_url"))
        #expect(provider["additionalProperties"] as? Bool == false)
        try compare(text, with: "docs/parley.schema.json")
    }

    private func compare(_ text: String, with path: String) throws {
        let url = Samples.root.appending(path: path)
        if writes {
            try text.write(to: url, atomically: true, encoding: .utf8)
        } else if FileManager.default.fileExists(atPath: url.path) {
            let stored = try String(contentsOf: url, encoding: .utf8)
            #expect(stored == text, "\(path) is out of date; run the tests with PARLEY_WRITE_DOCS=1")
        }
    }
}
