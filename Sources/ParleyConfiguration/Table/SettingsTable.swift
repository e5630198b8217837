// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Every setting of `parley.yaml`, once.
///
/// What the loader accepts, the JSON Schema and the reference in `docs/configuration.md` all come from these rows, so
/// they cannot disagree. The files beside this one hold the rows, by section.
public enum SettingsTable {
    /// Every row; one comes after the row it belongs to.
    public static let rows: [Setting] =
        server + observation + storage + providers + providerOptions + defaults + models + reasoning + access

    /// The rows as a tree.
    static let tree = SettingNode.tree(of: rows)

    /// The provider kinds with a wire or a sign-in of their own, in the order of the reference. The names of
    /// catalogue rows are kinds too; they are the loader's to be told.
    public static let kinds: [(name: String, doc: String)] = [
        ("openai", "OpenAI."),
        ("openai-compatible", "Any service that speaks OpenAI's API; needs `base_url`."),
        ("azure", "Azure OpenAI; needs `endpoint`."),
        ("anthropic", "Anthropic."),
        ("gemini", "Google Gemini, by API key."),
        ("vertex", "Google Vertex AI; needs `project`."),
        ("bedrock", "Amazon Bedrock; needs `region`."),
        ("ollama", "Ollama."),
        ("zhipu", "Zhipu GLM."),
        ("spark", "iFLYTEK Spark; needs `app_id` and `api_secret`, or `transport: http`."),
        ("qianfan", "Baidu Qianfan (ERNIE)."),
        ("dashscope", "Alibaba DashScope (Qwen)."),
        ("iflow", "iFlow, through its command or its API."),
        ("acp", "An agent that speaks the Agent Client Protocol; needs `command`."),
        ("flowgpt", "FlowGPT."),
        ("fitten", "Fitten Code."),
        ("claude-web", "Claude through its web site."),
        ("demo", "A built-in model that answers without any service, for trying things out."),
    ]

    /// Settings without which a provider of a kind cannot work.
    static let required: [String: [String]] = [
        "openai-compatible": ["base_url"], "azure": ["endpoint"], "vertex": ["project"], "bedrock": ["region"],
        "acp": ["command"],
    ]

    /// Whether providers of a kind have a setting of their own by that name.
    static func has(_ name: String, of kind: String) -> Bool {
        rows.contains { $0.path == "providers.*." + name && $0.kinds.contains(kind) }
    }

    /// The largest whole number that a setting without a natural bound takes.
    static let many = 1_000_000_000
    /// A count that may not be zero.
    static let count: SettingType = .integer(1...many)
    /// A length of time that may not be zero.
    static let span: SettingType = .duration(positive: true)
    /// An amount of money.
    static let money: SettingType = .number(0...1_000_000_000)
}
