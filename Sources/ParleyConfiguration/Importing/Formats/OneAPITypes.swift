// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The numbers that one-api and new-api give to types of channels.
///
/// Facts: the tables of channel types and their base URLs in both projects.
enum OneAPITypes {
    /// What a type is here.
    struct Row {
        /// The kind of provider; nil: OpenAI-compatible at the channel's own URL.
        var kind: String?
        /// The name of the service.
        var name: String
        /// The base URL that the project takes where a channel has none.
        var base: String?
        /// What the kind's base URL has behind the project's.
        var path: String
        /// Whether the project's own base URL is another one than the kind's.
        var isElsewhere = false

        init(_ kind: String?, _ name: String, _ base: String? = nil, path: String = "/v1", isElsewhere: Bool = false) {
            self.kind = kind
            self.name = name
            self.base = base
            self.path = path
            self.isElsewhere = isElsewhere
        }
    }

    /// What a type is; nil where its number is not known.
    static func row(_ type: Int, isNewAPI: Bool) -> Row? {
        (isNewAPI ? newAPI[type] : nil) ?? (isNewAPI && type > 33 ? nil : oneAPI[type])
    }

    private static let oneAPI: [Int: Row] = [
        1: Row("openai", "openai", "https://api.openai.com"),
        3: Row("azure", "azure", path: ""),
        8: Row(nil, "custom"),
        14: Row("anthropic", "claude", "https://api.anthropic.com", path: ""),
        15: Row("qianfan", "baidu", "https://aip.baidubce.com", path: ""),
        16: Row("zhipu", "zhipu", "https://open.bigmodel.cn", path: ""),
        17: Row("dashscope", "ali", "https://dashscope.aliyuncs.com", path: ""),
        18: Row("spark", "xunfei", path: ""),
        20: Row("openrouter", "openrouter", "https://openrouter.ai/api"),
        23: Row("hunyuan", "tencent", "https://hunyuan.tencentcloudapi.com"),
        24: Row("gemini", "gemini", "https://generativelanguage.googleapis.com", path: ""),
        25: Row("moonshot", "moonshot", "https://api.moonshot.cn", isElsewhere: true),
        26: Row("baichuan", "baichuan", "https://api.baichuan-ai.com"),
        27: Row("minimax", "minimax", "https://api.minimax.chat", isElsewhere: true),
        28: Row("mistral", "mistral", "https://api.mistral.ai"),
        29: Row("groq", "groq", "https://api.groq.com/openai"),
        30: Row("ollama", "ollama", "http://localhost:11434", path: ""),
        31: Row("yi", "yi", "https://api.lingyiwanwu.com"),
        32: Row("stepfun", "stepfun", "https://api.stepfun.com"),
        33: Row("bedrock", "aws", path: ""),
        35: Row("cohere", "cohere", "https://api.cohere.ai", path: ""),
        36: Row("deepseek", "deepseek", "https://api.deepseek.com"),
        37: Row("cloudflare", "cloudflare", "https://api.cloudflare.com"),
        39: Row("together", "together", "https://api.together.xyz"),
        40: Row("volcengine", "doubao", "https://ark.cn-beijing.volces.com", path: "/api/v3"),
        41: Row("novita", "novita", "https://api.novita.ai/v3/openai", path: ""),
        42: Row("vertex", "vertex", path: ""),
        44: Row("siliconflow", "siliconflow", "https://api.siliconflow.cn"),
        45: Row("xai", "xai", "https://api.x.ai"),
        47: Row("qianfan-v2", "baidu-v2", "https://qianfan.baidubce.com", path: "/v2"),
        48: Row("spark-http", "xunfei-v2", "https://spark-api-open.xf-yun.com"),
        49: Row("dashscope-compatible", "bailian", "https://dashscope.aliyuncs.com", path: "/compatible-mode/v1"),
        50: Row(nil, "compatible", path: ""),
        51: Row(
            "gemini-openai", "gemini-openai", "https://generativelanguage.googleapis.com", path: "/v1beta/openai"),
    ]

    private static let newAPI: [Int: Row] = [
        4: Row("ollama", "ollama", "http://localhost:11434", path: ""),
        26: Row("zhipu", "zhipu", "https://open.bigmodel.cn", path: ""),
        27: Row("perplexity", "perplexity", "https://api.perplexity.ai", path: ""),
        34: Row("cohere", "cohere", "https://api.cohere.ai", path: ""),
        35: Row("minimax", "minimax", "https://api.minimax.chat", isElsewhere: true),
        39: Row("cloudflare", "cloudflare", "https://api.cloudflare.com"),
        40: Row("siliconflow", "siliconflow", "https://api.siliconflow.cn"),
        41: Row("vertex", "vertex", path: ""),
        42: Row("mistral", "mistral", "https://api.mistral.ai"),
        43: Row("deepseek", "deepseek", "https://api.deepseek.com"),
        45: Row("volcengine", "volcengine", "https://ark.cn-beijing.volces.com", path: "/api/v3"),
        46: Row("qianfan-v2", "baidu-v2", "https://qianfan.baidubce.com", path: "/v2"),
        47: Row(nil, "xinference"),
        48: Row("xai", "xai", "https://api.x.ai"),
    ]
}
