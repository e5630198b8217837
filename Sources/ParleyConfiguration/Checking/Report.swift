// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The diagnostics of one load.
struct Report {
    let file: String
    let strict: Bool
    private(set) var diagnostics: [Diagnostic] = []

    /// The most that are collected; a file with more faults than this is of another kind altogether.
    static let limit = 500

    init(file: String, strict: Bool) {
        self.file = file
        self.strict = strict
    }

    /// How many errors were found, those past the limit included.
    private(set) var errorCount = 0
    /// Whether nothing more is collected.
    var isFull: Bool { diagnostics.count >= Self.limit }
    var hasErrors: Bool { errorCount > 0 }

    mutating func error(_ mark: Mark, _ path: String, _ message: String) {
        add(.error, mark, path, message)
    }

    /// A warning, which strictness makes an error.
    mutating func warning(_ mark: Mark, _ path: String, _ message: String) {
        add(strict ? .error : .warning, mark, path, message)
    }

    private mutating func add(_ severity: Diagnostic.Severity, _ mark: Mark, _ path: String, _ message: String) {
        if severity == .error { errorCount += 1 }
        guard diagnostics.count < Self.limit else { return }
        let position = SourcePosition(file: file, line: mark.line, column: mark.column)
        let diagnostic = Diagnostic(severity: severity, position: position, path: path, message: message)
        // A value that two aliases repeat is faulty once.
        guard !diagnostics.contains(diagnostic) else { return }
        diagnostics.append(diagnostic)
    }

    /// The diagnostics by their place in the file; at one place, in the order they were found.
    var sorted: [Diagnostic] {
        diagnostics.enumerated().sorted {
            ($0.element.line, $0.element.column, $0.offset) < ($1.element.line, $1.element.column, $1.offset)
        }.map(\.element)
    }
}
