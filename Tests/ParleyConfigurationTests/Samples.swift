// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyConfiguration

/// Where the tests find the repository's own files.
enum Samples {
    /// The package's folder.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The complete, annotated configuration.
    static func example() throws -> String {
        let places = ["docs/parley.example.yaml", "parley.example.yaml"].map { root.appending(path: $0) }
        let found = places.first { FileManager.default.fileExists(atPath: $0.path) } ?? places[0]
        return try String(contentsOf: found, encoding: .utf8)
    }

    /// Every variable that the example names.
    static let environment: [String: String] = Dictionary(
        uniqueKeysWithValues: [
            "PARLEY_ADMIN_KEY", "OPENAI_API_KEY", "KEY_A", "KEY_B", "AZURE_KEY", "ANTHROPIC_API_KEY",
            "GEMINI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "FLOWGPT_BEARER_TOKEN",
            "FLOWGPT_DEVICE_ID", "FITTEN_USER", "FITTEN_PASSWORD", "CLAUDE_COOKIE", "LAPTOP_KEY", "WIDGET_KEY",
        ].map { ($0, "value-of-" + $0) })

    /// A context whose files are these, with a small catalogue.
    static func context(files: [String: String] = exampleFiles, strict: Bool = false) -> LoadContext {
        LoadContext(catalogue: ["groq", "deepseek", "mistral"], strict: strict) { path throws(FileFault) in
            guard let text = files[path] else { throw FileFault("No such file or directory") }
            return Array(text.utf8)
        }
    }

    static let exampleFiles = [
        "service-account.json": "{\"type\":\"service_account\"}\n", "step-prompt.txt": "Think.\n",
    ]

    static func load(
        _ text: String, environment: [String: String] = environment, strict: Bool = false
    ) -> LoadResult {
        SettingsLoader.load(
            text: text, file: "parley.yaml", environment: environment, context: context(strict: strict))
    }

    /// The errors as `line:column: path: message`.
    static func errors(_ text: String, environment: [String: String] = environment) -> [String] {
        load(text, environment: environment).diagnostics.filter { $0.severity == .error }.map(short)
    }

    /// The warnings as `line:column: path: message`.
    static func warnings(_ text: String) -> [String] {
        load(text).diagnostics.filter { $0.severity == .warning }.map(short)
    }

    private static func short(_ diagnostic: Diagnostic) -> String {
        "\(diagnostic.line):\(diagnostic.column): \(diagnostic.path): \(diagnostic.message)"
    }
}
