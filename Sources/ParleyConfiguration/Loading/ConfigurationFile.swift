// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The file that a configuration is read from.
public enum ConfigurationFile {
    /// The file's usual name.
    public static let name = "parley.yaml"

    /// The file to read: the one asked for (whether or not it is there), else `parley.yaml` in the working directory,
    /// else `$XDG_CONFIG_HOME/parley/parley.yaml` (`~/.config` by default); nil when there is none.
    public static func find(
        explicit: String? = nil, environment: [String: String], workingDirectory: String
    ) -> String? {
        if let explicit { return explicit }
        var candidates = [joined(workingDirectory, name)]
        // The XDG rules have relative paths ignored.
        if let home = environment["XDG_CONFIG_HOME"], home.hasPrefix("/") {
            candidates.append(joined(home, "parley/\(name)"))
        } else if let home = environment["HOME"], home.hasPrefix("/") {
            candidates.append(joined(home, ".config/parley/\(name)"))
        }
        return candidates.first { FileReading.exists($0) }
    }

    /// Reads and checks the file. A file that cannot be read is a diagnostic like any other.
    ///
    /// - Parameters:
    ///   - path: The file; at most 4 MB.
    ///   - environment: The variables for `${NAME}`.
    ///   - context: What the loader has to be told.
    public static func load(
        path: String, environment: [String: String], context: LoadContext = LoadContext()
    ) -> LoadResult {
        do {
            let bytes = try FileReading.bytes(of: path, limit: FileReading.configurationLimit)
            guard let text = String(validating: bytes, as: UTF8.self) else {
                return .failed(file: path, mark: invalidPlace(in: bytes), "is not UTF-8 text")
            }
            return SettingsLoader.load(text: text, file: path, environment: environment, context: context)
        } catch {
            return .failed(file: path, mark: .start, "cannot be read: \(error.message)")
        }
    }

    /// Where the text stops being UTF-8.
    private static func invalidPlace(in bytes: [UInt8]) -> Mark {
        var low = 0
        var high = bytes.count
        // The longest valid beginning, give or take the scalar it ends in.
        while high - low > 1 {
            let middle = (low + high) / 2
            var end = middle
            while end > 0, bytes[end] & 0xC0 == 0x80, middle - end < 3 { end -= 1 }
            if String(validating: bytes[..<end], as: UTF8.self) != nil { low = middle } else { high = middle }
        }
        let source = SourceText(String(decoding: bytes[..<low], as: UTF8.self))
        return source.mark(byte: low)
    }

    private static func joined(_ folder: String, _ name: String) -> String {
        folder.isEmpty || folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }
}
