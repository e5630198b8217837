// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyDialects

// Facts: `openai-compatible.md` and the vendors' own files among the wire facts the project was built from. What the
// tolerant decoder copes with everywhere needs no entry.
extension Catalogue {
    /// Services with one address for everybody.
    static let hosted: [Vendor] = [
        Vendor("groq", "Groq", "https://api.groq.com/openai/v1", ["GROQ_API_KEY"]) {
            $0.quirks.responses = true
            $0.quirks.embeddings = .none
            $0.evidence = .recorded
            $0.quirks.singleChoice = true
            $0.quirks.droppedFields = ["logprobs", "top_logprobs", "logit_bias"]
            $0.quirks.reasoningField = "reasoning"
            $0.note = "Errors may come after partial text, as an event of a stream with status 200."
        },
        Vendor("deepseek", "DeepSeek", "https://api.deepseek.com", ["DEEPSEEK_API_KEY"]) {
            $0.quirks.responses = true
            $0.completionsPath = "/beta/completions"
            $0.quirks.completions = true
            $0.quirks.embeddings = .none
            $0.evidence = .recorded
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "Reasoning must come back within a tool loop: clients send `reasoning_content` as they got it."
        },
        Vendor("mistral", "Mistral", "https://api.mistral.ai/v1", ["MISTRAL_API_KEY"]) {
            $0.quirks.documentURLs = true
            // An unknown field of a message is refused like one of the request.
            $0.quirks.acceptsReasoningBack = false
            $0.quirks.embeddings = .mistral
            $0.evidence = .recorded
            $0.quirks.streamOptions = false
            $0.quirks.lengthField = .maxTokens
            $0.quirks.renamedFields = ["seed": "random_seed"]
            $0.quirks.droppedFields = [
                "logit_bias", "logprobs", "top_logprobs", "user", "store", "metadata", "service_tier",
            ]
            $0.quirks.refusesUnknownFields = true
            $0.quirks.knownFields = ["random_seed", "safe_prompt", "prompt_mode", "guardrails"]
            $0.quirks.legacyFunctions = false
            $0.quirks.developerIsSystem = true
            $0.quirks.shortToolIDs = true
            $0.quirks.requiredToolChoice = "any"
            // Thinking is an array inside `content`, which OpenAI's clients cannot read.
            $0.quirks.rewritesAnswers = true
            $0.quirks.rewritesRequests = true
        },
        Vendor("xai", "xAI", "https://api.x.ai/v1", ["XAI_API_KEY"]) {
            $0.quirks.responses = true
            $0.quirks.embeddings = .none
            $0.evidence = .recorded
            $0.quirks.reasoningOutsideOutput = true
            $0.note = "A wrong key is answered with status 400. Reasoning models refuse penalties and `stop`."
        },
        Vendor("together", "Together", "https://api.together.xyz/v1", ["TOGETHER_API_KEY"]) {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.completions = true
            $0.evidence = .recorded
            // Its finish reason `eos` is none of OpenAI's.
            $0.quirks.rewritesAnswers = true
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
        },
        Vendor("fireworks", "Fireworks", "https://api.fireworks.ai/inference/v1", ["FIREWORKS_API_KEY"]) {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.responses = true
            $0.quirks.completions = true
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "Models are called accounts/fireworks/models/…; long answers must be streamed."
        },
        Vendor("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", ["OPENROUTER_API_KEY"]) {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.cacheControl = true
            $0.quirks.responses = true
            $0.quirks.completions = true
            $0.evidence = .recorded
            $0.quirks.reasoningField = "reasoning"
            $0.note = "`reasoning_details` must come back unchanged; headers HTTP-Referer and X-Title name your app."
        },
        Vendor("moonshot", "Moonshot (Kimi)", "https://api.moonshot.ai/v1", ["MOONSHOT_API_KEY"]) {
            $0.quirks.embeddings = .none
            $0.evidence = .recorded
            $0.baseVariables = ["MOONSHOT_BASE_URL"]
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "In China set base_url to https://api.moonshot.cn/v1."
        },
        Vendor("siliconflow", "SiliconFlow", "https://api.siliconflow.cn/v1", ["SILICONFLOW_API_KEY"]) {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "Outside China set base_url to https://api.siliconflow.com/v1."
        },
        Vendor("perplexity", "Perplexity", "https://api.perplexity.ai", ["PERPLEXITY_API_KEY"]) {
            $0.embeddingsPath = "/v1/embeddings"
            $0.quirks.embeddings = .perplexity
            $0.evidence = .recorded
            // Its last chunk is of another `object`, and every chunk repeats the message so far.
            $0.quirks.rewritesAnswers = true
            $0.modelsPath = nil
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.quirks.cumulativeMessage = true
            $0.quirks.inlineThinking = true
            $0.note = "No tools; user and assistant turns must alternate; there is no list of models."
        },
        Vendor("cerebras", "Cerebras", "https://api.cerebras.ai/v1", ["CEREBRAS_API_KEY"]) {
            $0.quirks.completions = true
            $0.quirks.embeddings = .none
            $0.evidence = .recorded
            $0.quirks.lengthField = .maxCompletionTokens
            $0.quirks.droppedFields = ["frequency_penalty", "presence_penalty", "logit_bias"]
            $0.quirks.reasoningField = "reasoning"
            $0.quirks.developerIsSystem = true
        },
        Vendor("nvidia", "NVIDIA NIM", "https://integrate.api.nvidia.com/v1", ["NVIDIA_API_KEY"]) {
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "Long calls that are answered with status 202 and must be polled are reported as errors: stream."
        },
        Vendor("github", "GitHub Models", "https://models.github.ai/inference", ["GITHUB_TOKEN"]) {
            $0.consentVariable = "PARLEY_GITHUB_MODELS"
            $0.modelsPath = "//catalog/models"
            $0.headers = [HeaderField("x-github-api-version", "2022-11-28")]
            $0.note = "Models are called publisher/name. For an organisation: …/orgs/NAME/inference."
        },
        Vendor("huggingface", "Hugging Face", "https://router.huggingface.co/v1", ["HF_TOKEN"]) {
            $0.quirks.responses = true
            $0.quirks.embeddings = .none
            $0.evidence = .recorded
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "A model may end in :fastest or in :provider."
        },
        Vendor("novita", "Novita", "https://api.novita.ai/v3/openai", ["NOVITA_API_KEY"]) {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.completions = true
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
        },
        Vendor("deepinfra", "DeepInfra", "https://api.deepinfra.com/v1/openai", ["DEEPINFRA_API_KEY"]) {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.completions = true
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
        },
        Vendor("minimax", "MiniMax", "https://api.minimax.io/v1", ["MINIMAX_API_KEY"]) {
            $0.quirks.embeddings = .none
            $0.quirks.inlineThinking = true
            $0.quirks.repeatsAnswer = true
            $0.quirks.developerIsSystem = true
            // The last chunk repeats the whole answer, which a client would show twice.
            $0.quirks.rewritesAnswers = true
            $0.note = "In China set base_url to https://api.minimaxi.com/v1."
        },
        Vendor("volcengine", "Volcengine Ark (Doubao)", "https://ark.cn-beijing.volces.com/api/v3", ["ARK_API_KEY"]) {
            $0.quirks.responses = true
            $0.evidence = .recorded
            $0.quirks.developerIsSystem = true
            $0.note = "A model is an endpoint id (ep-…) or a name."
        },
        Vendor("hunyuan", "Tencent Hunyuan", "https://api.hunyuan.cloud.tencent.com/v1", ["HUNYUAN_API_KEY"]) {
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
        },
        Vendor("stepfun", "StepFun", "https://api.stepfun.com/v1", ["STEPFUN_API_KEY"]) {
            $0.quirks.embeddings = .none
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
        },
        Vendor("baichuan", "Baichuan", "https://api.baichuan-ai.com/v1", ["BAICHUAN_API_KEY"]) {
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "The first turn must be the user's."
        },
        Vendor("yi", "01.AI (Yi)", "https://api.lingyiwanwu.com/v1", ["YI_API_KEY"]) {
            $0.quirks.embeddings = .none
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.quirks.cumulativeMessage = true
        },
        Vendor("writer", "Writer", "https://api.writer.com/v1", ["WRITER_API_KEY"]) {
            $0.quirks.embeddings = .none
            $0.evidence = .recorded
            $0.chatPath = "/chat"
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
        },
    ]

    /// Services whose address belongs to an account.
    static let regional: [Vendor] = [
        Vendor(
            "cloudflare", "Cloudflare Workers AI",
            "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai/v1", ["CLOUDFLARE_API_TOKEN"]
        ) {
            $0.placeVariables = ["account_id": "CLOUDFLARE_ACCOUNT_ID"]
            $0.modelsPath = nil
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "Give account_id or a base_url with the account in it; models are called @cf/…."
        },
        Vendor(
            "snowflake", "Snowflake Cortex", "https://{account}.snowflakecomputing.com/api/v2/cortex/v1",
            ["SNOWFLAKE_PAT"]
        ) {
            $0.quirks.embeddings = .none
            $0.placeVariables = ["account": "SNOWFLAKE_ACCOUNT"]
            $0.modelsPath = nil
            $0.quirks.lengthField = .maxCompletionTokens
            $0.note = "Give account (as in the address of your Snowflake site) or a base_url."
        },
        Vendor("crusoe", "Crusoe", "https://{host}/v1", ["CRUSOE_API_KEY"]) {
            $0.quirks.completions = true
            $0.placeVariables = ["host": "CRUSOE_HOST"]
            $0.quirks.lengthField = .maxTokens
            $0.note = "Give host or a base_url: it depends on the account."
        },
        Vendor("gpustack", "GPUStack", "http://{host}/v1", ["GPUSTACK_API_KEY"]) {
            $0.quirks.completions = true
            $0.evidence = .recorded
            $0.placeVariables = ["host": "GPUSTACK_HOST"]
            $0.baseVariables = ["GPUSTACK_BASE_URL"]
            $0.quirks.lengthField = .maxTokens
            $0.quirks.inlineThinking = true
            $0.note = "Old servers have /v1-openai in place of /v1: give it as base_url."
        },
    ]

    /// The OpenAI-compatible faces of services that also have an API of their own.
    static let faces: [Vendor] = [
        Vendor(
            "gemini-openai", "Gemini (OpenAI-compatible)", "https://generativelanguage.googleapis.com/v1beta/openai",
            ["GOOGLE_API_KEY", "GEMINI_API_KEY"]
        ) {
            $0.quirks.thoughtSignatures = true
            $0.evidence = .recorded
            $0.quirks.developerIsSystem = true
            // Parallel tool calls all have the index 0, which a client would join into one.
            $0.quirks.rewritesAnswers = true
        },
        Vendor("zai", "Z.ai (GLM)", "https://api.z.ai/api/paas/v4", ["ZAI_API_KEY"]) {
            $0.evidence = .recorded
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.adjustment = ZhipuAdjustment()
            $0.quirks.errorCodes = .zhipu
            $0.note = "Coding plan: https://api.z.ai/api/coding/paas/v4. `tool_choice` knows only auto."
        },
        Vendor("bigmodel", "BigModel (GLM, China)", "https://open.bigmodel.cn/api/paas/v4", ["ZHIPUAI_API_KEY"]) {
            $0.baseVariables = ["ZHIPUAI_BASE_URL"]
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.adjustment = ZhipuAdjustment()
            $0.quirks.errorCodes = .zhipu
            $0.note = "`tool_choice` knows only auto."
        },
        Vendor(
            "dashscope-compatible", "DashScope (Qwen, compatible mode)",
            "https://dashscope.aliyuncs.com/compatible-mode/v1", ["DASHSCOPE_API_KEY"]
        ) {
            $0.quirks.cacheControl = true
            $0.quirks.responses = true
            $0.quirks.completions = true
            $0.evidence = .recorded
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.adjustment = DashScopeAdjustment()
            $0.embeddingLimit = DashScopeEmbeddings.batchLimit(of:)
            $0.note = "Keys are regional: other hosts are dashscope-intl.aliyuncs.com and dashscope-us.aliyuncs.com."
        },
        Vendor("qianfan-v2", "Baidu Qianfan V2 (ERNIE)", "https://qianfan.baidubce.com/v2", ["QIANFAN_API_KEY"]) {
            $0.quirks.developerIsSystem = true
        },
        Vendor("spark-http", "iFlytek Spark (HTTP)", "https://spark-api-open.xf-yun.com/v1", ["SPARK_API_PASSWORD"]) {
            $0.quirks.embeddings = .none
            $0.evidence = .recorded
            $0.modelsPath = nil
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            // Without the switch `tool_calls` is an object; choices come without a finish reason.
            $0.overrides = [FieldOverride(name: "tool_calls_switch", json: "true", force: true)]
            $0.quirks.rewritesAnswers = true
            $0.note = "The key is the APIPassword, or `key:secret` for older accounts; X1 lives under /v2."
        },
        Vendor(
            "cohere-compatible", "Cohere (compatibility API)", "https://api.cohere.ai/compatibility/v1",
            ["CO_API_KEY", "COHERE_API_KEY"]
        ) {
            $0.modelsPath = nil
            $0.quirks.lengthField = .maxTokens
            $0.quirks.singleChoice = true
        },
        Vendor("iflow-openai", "iFlow (HTTP)", "https://apis.iflow.cn/v1", ["IFLOW_API_KEY"]) {
            $0.quirks.embeddings = .none
            $0.headers = [HeaderField("user-agent", "iFlow-Cli")]
            $0.quirks.developerIsSystem = true
            $0.note = "The user-agent is what makes the service list its command line's models."
        },
    ]

    /// Servers on the user's own machine.
    static let local: [Vendor] = [
        Vendor("ollama-openai", "Ollama (/v1)", "http://127.0.0.1:11434/v1") {
            $0.quirks.completions = true
            $0.evidence = .recorded
            $0.needsKey = false
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            // Parallel tool calls often all have the index 0, which a client would join into one.
            $0.quirks.rewritesAnswers = true
        },
        Vendor("ollama-cloud", "Ollama Cloud", "https://ollama.com/v1", ["OLLAMA_API_KEY"]) {
            $0.quirks.completions = true
            $0.evidence = .recorded
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.quirks.rewritesAnswers = true
        },
        Vendor("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1") {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.completions = true
            $0.needsKey = false
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
        },
        Vendor("vllm", "vLLM", "http://127.0.0.1:8000/v1", ["VLLM_API_KEY"]) {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.completions = true
            $0.needsKey = false
            $0.baseVariables = ["VLLM_BASE_URL"]
        },
        Vendor("llamacpp", "llama.cpp server", "http://127.0.0.1:8080/v1") {
            $0.quirks.knownFields = ["top_k"]
            $0.quirks.completions = true
            $0.needsKey = false
            $0.quirks.lengthField = .maxTokens
            $0.quirks.developerIsSystem = true
            $0.note = "Tool calls need the server's --jinja."
        },
    ]
}
