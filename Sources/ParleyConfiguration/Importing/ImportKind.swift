// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The kinds of files that `parley import` reads.
public enum ImportKind: String, Sendable, CaseIterable {
    /// The model list of openai-style-api: JSON, or the literal in its Python template.
    case openAIStyle = "openai-style-api"
    /// The config.yaml of o1-api.
    case o1 = "o1-api"
    /// The config.ini of fitten-code-api.
    case fitten = "fitten-code-api"
    /// The .env of flowgpt-2api.
    case flowGPT = "flowgpt-2api"
    /// The key/values of iflow_openapi.
    case iFlow = "iflow"
    /// The config.yaml of LiteLLM's proxy.
    case liteLLM = "litellm"
    /// The channels of one-api.
    case oneAPI = "one-api"
    /// The channels of new-api, which numbers some types otherwise.
    case newAPI = "new-api"

    /// The file in words.
    public var summary: String {
        switch self {
        case .openAIStyle: "an openai-style-api model list"
        case .o1: "an o1-api config.yaml"
        case .fitten: "a fitten-code-api config.ini"
        case .flowGPT: "a flowgpt-2api .env"
        case .iFlow: "iflow_openapi's key/values"
        case .liteLLM: "a LiteLLM config.yaml"
        case .oneAPI: "one-api's channels"
        case .newAPI: "new-api's channels"
        }
    }

    /// The kind of that name, also by other names people have for it.
    public init?(name: String) {
        switch name.lowercased() {
        case "fitten", "fitten-code": self = .fitten
        case "flowgpt": self = .flowGPT
        case "iflow_openapi", "iflow-openapi": self = .iFlow
        case "openai-style": self = .openAIStyle
        case "o1": self = .o1
        case "oneapi": self = .oneAPI
        case "newapi": self = .newAPI
        case let other:
            guard let kind = ImportKind(rawValue: other) else { return nil }
            self = kind
        }
    }
}

extension ImportKind {
    /// What a file is by what is in it; nil where nobody can tell.
    static func detect(_ source: ImportSource) -> ImportKind? {
        if let root = try? source.json() { return detect(json: root) }
        if let words = assignedNames(source), words.contains("MODEL_CONFIGS") { return .openAIStyle }
        if let root = try? SectionLines.read(source), let section = root["Main"] ?? root["main"],
            ["username", "password", "api_key"].contains(where: { section[$0] != nil })
        {
            return .fitten
        }
        if let root = try? EnvironmentLines.read(source), let kind = detect(pairs: root) { return kind }
        if let root = try? source.yaml(), let kind = detect(yaml: root) { return kind }
        return firstByte(source) == UInt8(ascii: "[") ? .openAIStyle : nil
    }

    private static func firstByte(_ source: ImportSource) -> UInt8? {
        var parser = PythonLiteral(source)
        parser.skipSpace()
        return parser.peek
    }

    private static func assignedNames(_ source: ImportSource) -> [String]? {
        var parser = PythonLiteral(source)
        return parser.skipToWord("MODEL_CONFIGS") ? ["MODEL_CONFIGS"] : nil
    }

    private static func detect(json root: ImportNode) -> ImportKind? {
        if let elements = root.elements ?? root["data"]?.elements ?? root["data"]?["items"]?.elements {
            if let channel = elements.first(where: { $0["type"]?.int != nil && $0["type"]?.text != nil }),
                case .number? = channel["type"]?.content
            {
                return OneAPIImport.isNewAPI(elements) ? .newAPI : .oneAPI
            }
            return elements.contains { $0["token"] != nil || $0["config"] != nil } ? .openAIStyle : nil
        }
        return detect(pairs: root) ?? detect(yaml: root)
    }

    private static func detect(yaml root: ImportNode) -> ImportKind? {
        if ["model_list", "litellm_settings", "router_settings", "general_settings"].contains(where: { root[$0] != nil }
        ) {
            return .liteLLM
        }
        if ["api_bearer_token", "model_provider_api_key", "default_api_url"].contains(where: { root[$0] != nil }) {
            return .o1
        }
        return nil
    }

    private static func detect(pairs root: ImportNode) -> ImportKind? {
        let names = (root.members ?? []).map(\.name)
        if names.contains(where: { $0.hasPrefix("FLOWGPT_") || $0 == "API_MASTER_KEY" || $0 == "MODEL_MAP" }) {
            return .flowGPT
        }
        return names.contains(where: IFlowImport.isTelling) ? .iFlow : nil
    }
}
