// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The reference of every setting, as `docs/configuration.md` holds it.
public enum ConfigurationReference {
    /// The Markdown text, with a final line break.
    public static func markdown() -> String {
        var lines = introduction
        for node in SettingsTable.tree.members {
            lines += ["", "## `\(node.setting.name)`", "", sentence(node.setting)]
            if node.setting.name == "providers" { lines += kinds() }
            let rows = descendants(of: node)
            guard !rows.isEmpty else { continue }
            lines += ["", "| setting | value | default | meaning |", "|---|---|---|---|"]
            lines += rows.map(row)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static let introduction = [
        "# Configuration reference",
        "",
        "This page is made from the table of settings in `Sources/ParleyConfiguration/Table`; change it there.",
        "",
        "Parley reads one YAML file: the one given with `--config`, else `parley.yaml` in the working directory, else",
        "`$XDG_CONFIG_HOME/parley/parley.yaml`. Every setting has a default, and an empty file is valid. A setting that",
        "does not exist, a value of the wrong type and a name that nothing answers to are errors with file, line and",
        "column; all of them are reported at once.",
        "",
        "- **Expansion.** In any value, `${NAME}` is an environment variable (an error when unset), `${NAME:-default}`",
        "  one with a default, `${file:path}` a file's content without its final line break, its path meant from the",
        "  configuration file's folder. `$${` is a plain `${`. What is put in is text, never more YAML. A setting whose",
        "  value expands to nothing is absent.",
        "- **Durations** are a number with `ms`, `s`, `m`, `h`, `d` or `y` (365 days). **Sizes** are bytes, or a number",
        "  with `KB`, `MB` or `GB` (powers of 1024). **Shares** are numbers from 0 to 1, or percentages.",
        "- **Names of models** are a name under `models`, or `provider/model`.",
        "- In the paths below `*` is a name of your choice and `[]` an element of a list.",
        "- YAML's anchors, aliases and `<<` work; a file has at most 4 MB, 64 levels and 100,000 values.",
        "- **Not built yet:** such a setting is checked, and writing it gives a warning (an error under",
        "  `parley check --strict`).",
        "",
        "An editor that knows JSON Schema checks the file as you type: put",
        "`# yaml-language-server: $schema=docs/parley.schema.json` (or the path to that file) into its first line.",
    ]

    private static func kinds() -> [String] {
        let rows = SettingsTable.kinds.map { kind in
            let built = LoadContext.tableKinds[kind.name]?.built == true
            return "| `\(kind.name)` | \(kind.doc)\(built ? "" : " *Not built yet.*") |"
        }
        return ["", "| kind | service |", "|---|---|"] + rows + [
            "| a catalogue name | A vendor of the built-in catalogue, such as `groq`, `deepseek` or `mistral`. |"
        ]
    }

    private static func descendants(of node: SettingNode) -> [SettingNode] {
        let children = node.members + (node.element.map { [$0] } ?? [])
        return children.flatMap { [$0] + descendants(of: $0) }
    }

    private static func row(_ node: SettingNode) -> String {
        let setting = node.setting
        let fallback = setting.fallback.map { $0.contains(" ") && !$0.hasPrefix("[") ? $0 : "`\($0)`" } ?? ""
        return "| `\(setting.path)` | \(escaped(value(setting.type))) | \(escaped(fallback)) | "
            + "\(escaped(sentence(setting))) |"
    }

    private static func sentence(_ setting: Setting) -> String {
        var text = setting.doc
        if !setting.kinds.isEmpty {
            text += " Kind " + setting.kinds.map { "`\($0)`" }.joined(separator: ", ") + "."
        }
        return setting.built ? text : text + " *Not built yet.*"
    }

    private static func value(_ type: SettingType) -> String {
        switch type {
        case .section, .object: "mapping"
        case .named: "mapping by name"
        case .list: "list"
        case .choice(_, let words): words.map { "`\($0)`" }.joined(separator: " ")
        case .integer(let bounds):
            bounds.upperBound == SettingsTable.many
                ? "whole number from \(bounds.lowerBound)"
                : "whole number, \(bounds.lowerBound) to \(bounds.upperBound)"
        case .number(let bounds): bounds.upperBound > 1000 ? "number from 0" : "number, 0 to \(Int(bounds.upperBound))"
        case .bool: "`true` or `false`"
        case .listenOr(let words): words.map { "`\($0)`" }.joined(separator: ", ") + " or an address"
        case .url(let schemes): schemes.map { "`\($0)`" }.joined(separator: " or ") + " URL"
        case .oneOrMany(let one): value(one) + "; or a list"
        case .many(let one): "list: " + value(one)
        case .map(let one): "mapping from names: " + value(one)
        case .oneOrMap(let one): value(one) + "; or a mapping to these"
        case .sectionOr(let one): value(one) + ", or mapping"
        case .secrets: "secret; or a list"
        default: withoutArticle(type.noun)
        }
    }

    private static func withoutArticle(_ noun: String) -> String {
        for article in ["a ", "an "] where noun.hasPrefix(article) { return String(noun.dropFirst(article.count)) }
        return noun
    }

    private static func escaped(_ text: String) -> String {
        text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}
