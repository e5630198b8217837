// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Reads the configurations of the projects that users come from.
public enum Importer {
    /// The largest file, in bytes.
    public static let limit = ImportSource.limit

    /// What a file says, in Parley's words.
    ///
    /// - Parameters:
    ///   - bytes: the file's content.
    ///   - file: its name, for messages.
    ///   - kind: what it is; nil finds out.
    /// - Throws: where it cannot be read, with the line.
    public static func read(
        _ bytes: [UInt8], file: String, kind: ImportKind? = nil
    ) throws(ImportFault) -> ImportedConfiguration {
        do throws(LineFault) {
            let source = try ImportSource(bytes)
            guard let kind = kind ?? ImportKind.detect(source) else {
                let known = ImportKind.allCases.map(\.rawValue).joined(separator: ", ")
                throw LineFault(nil, "cannot tell what kind of file this is: say --from with one of \(known)")
            }
            switch kind {
            case .openAIStyle: return try OpenAIStyleImport.read(source, file: file)
            case .o1: return try O1Import.read(source, file: file)
            case .fitten: return try FittenImport.read(source, file: file)
            case .flowGPT: return try FlowGPTImport.read(source, file: file)
            case .iFlow: return try IFlowImport.read(source, file: file)
            case .liteLLM: return try LiteLLMImport.read(source, file: file)
            case .oneAPI, .newAPI: return try OneAPIImport.read(source, file: file, kind: kind)
            }
        } catch {
            throw ImportFault(file: file, line: error.line, message: error.message)
        }
    }
}

extension Importer {
    /// The bytes of a file to import.
    public static func bytes(of path: String) throws(FileFault) -> [UInt8] {
        try FileReading.bytes(of: path, limit: limit)
    }

    /// Everything on standard input.
    public static func standardInput() throws(FileFault) -> [UInt8] {
        try FileReading.rest(of: 0, limit: limit)
    }
}

extension ImportedConfiguration {
    /// What the reader of configurations says about the text that was made of this, with something in place of every
    /// variable whose value is not known.
    public func check(_ text: String, as file: String, context: LoadContext) -> [Diagnostic] {
        var environment: [String: String] = [:]
        for variable in variables { environment[variable.name] = variable.value ?? placeholder(variable) }
        return SettingsLoader.load(text: text, file: file, environment: environment, context: context).diagnostics
    }

    private func placeholder(_ variable: ImportVariable) -> String {
        let setting = variable.setting.split(separator: ".").last ?? ""
        switch setting {
        case "base_url", "endpoint": return "https://example.com/v1"
        case "proxy": return "http://127.0.0.1:7890"
        case "store": return "postgres://host/database"
        case "listen": return "8080"
        // Keys must differ from each other.
        default: return "value-of-" + variable.name
        }
    }
}
