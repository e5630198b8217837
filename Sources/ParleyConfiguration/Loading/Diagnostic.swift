// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One thing that is wrong, or worth saying, about a configuration file.
public struct Diagnostic: Sendable, Equatable, CustomStringConvertible {
    /// How bad it is.
    public enum Severity: String, Sendable, Equatable {
        /// The file cannot be used.
        case error
        /// The file can be used.
        case warning
    }

    /// How bad it is.
    public var severity: Severity
    /// The file's name as it was given to the loader.
    public var file: String
    /// The line, counted from 1.
    public var line: Int
    /// The column in Unicode scalars, counted from 1.
    public var column: Int
    /// The setting, as in `models.smart.retry.attempts`; empty when it is about the file as a whole.
    public var path: String
    /// What is wrong; holds no secret.
    public var message: String

    /// A diagnostic about a place.
    public init(severity: Severity, position: SourcePosition, path: String, message: String) {
        self.severity = severity
        file = position.file
        line = position.line
        column = position.column
        self.path = path
        self.message = message
    }

    /// `parley.yaml:12:5: error: models.smart.route: unknown strategy …`, as compilers print it.
    public var description: String {
        "\(file):\(line):\(column): \(severity.rawValue): " + (path.isEmpty ? "" : path + ": ") + message
    }

    /// Text from the file in quotes, for a message: shortened, without control characters, and hidden when it looks
    /// like a credential, since people do paste one into the wrong line.
    static func quote(_ text: String) -> String {
        "\"" + plain(text) + "\""
    }

    /// As ``quote(_:)``, without the quotes.
    static func plain(_ text: String) -> String {
        if looksSecret(text) { return "…" }
        var shown = ""
        for scalar in text.unicodeScalars.prefix(60) {
            shown.unicodeScalars.append(scalar.properties.generalCategory == .control ? " " : scalar)
        }
        return text.unicodeScalars.count > 60 ? shown + "…" : shown
    }

    private static func looksSecret(_ text: String) -> Bool {
        let prefixes = ["sk-", "sk_", "pk-", "gsk_", "xai-", "AIza", "eyJ", "AKIA", "-----BEGIN"]
        if prefixes.contains(where: { text.hasPrefix($0) && text.utf8.count > 8 }) { return true }
        if text.contains("@"), text.contains("://") { return true }
        if text.lowercased().contains("bearer ") { return true }
        // A long run of letters and digits with digits among them is a token, not a word.
        let run = text.split(whereSeparator: { !($0.isASCII && ($0.isLetter || $0.isNumber)) })
        return run.contains { $0.count >= 32 && $0.contains(where: \.isNumber) }
    }
}
