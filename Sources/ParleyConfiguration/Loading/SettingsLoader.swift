// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What a load gives.
public struct LoadResult: Sendable {
    /// The settings; nil when there is an error.
    public var settings: Settings?
    /// Everything found, by its place in the file.
    public var diagnostics: [Diagnostic]

    /// A result.
    public init(settings: Settings?, diagnostics: [Diagnostic]) {
        self.settings = settings
        self.diagnostics = diagnostics
    }

    static func failed(file: String, mark: Mark, _ message: String) -> LoadResult {
        var report = Report(file: file, strict: false)
        report.error(mark, "", message)
        return LoadResult(settings: nil, diagnostics: report.sorted)
    }
}

/// From the text of a configuration file to checked settings.
public enum SettingsLoader {
    /// Parses, expands and checks a file. Every fault is reported at once; nothing is thrown, whatever the text is.
    ///
    /// - Parameters:
    ///   - text: The YAML text; at most 4 MB.
    ///   - file: The file's name for diagnostics; `${file:path}` and relative paths are meant from its folder.
    ///   - environment: The variables for `${NAME}`.
    ///   - context: What the loader has to be told.
    public static func load(
        text: String, file: String = ConfigurationFile.name, environment: [String: String] = [:],
        context: LoadContext = LoadContext()
    ) -> LoadResult {
        guard text.utf8.count <= FileReading.configurationLimit else {
            return .failed(file: file, mark: .start, "larger than \(FileReading.configurationLimit >> 20)MB")
        }
        let (root, faults) = YAMLComposer.compose(SourceText(text))
        var report = Report(file: file, strict: context.strict)
        for (mark, message) in faults { report.error(mark, "", message) }
        let expansion = Expansion(
            environment: environment, folder: FileReading.folder(of: file), readFile: context.readFile)
        var checker = SettingsChecker(context: context, expansion: expansion, report: report)
        let checked = checker.check(root)
        var builder = SettingsBuilder(context: context, report: checker.report)
        let settings = builder.build(checked)
        var references = ReferenceChecker(context: context, report: builder.report)
        references.check(checked, settings)
        let final = references.report
        return LoadResult(settings: final.hasErrors ? nil : settings, diagnostics: final.sorted)
    }
}
