// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension SettingsTable {
    /// What may be tried again, as the file names it.
    private static let causes: SettingType =
        .oneOrMany(.choice(noun: "failure", RetryCause.allCases.map(\.rawValue)))

    static let defaults: [Setting] = [
        Setting("defaults", .section, "What a model does not say itself."),
        Setting("defaults.model", .model, "The model of a request that names none. Absent: the only one there is."),
        Setting("defaults.retry", .section, "When a failed attempt is repeated at one upstream."),
        Setting("defaults.retry.attempts", .integer(1...100), "3", "Tries in all at one upstream; 1: no retry."),
        Setting("defaults.retry.on", causes, "[rate-limited, unavailable, timeout]", "What is tried again."),
        Setting("defaults.retry.backoff", .duration(positive: false), "250ms", "The first wait; it doubles."),
        Setting(
            "defaults.retry.max_wait", .duration(positive: false), "20s",
            "The longest wait, also when the upstream asks for more."),
        Setting("defaults.timeout", .section, "How long each part of a call may take."),
        Setting("defaults.timeout.connect", span, "5s", "Connecting, TLS included."),
        Setting("defaults.timeout.first", span, "60s", "Until the first meaningful event."),
        Setting("defaults.timeout.idle", span, "60s", "Between two events."),
        Setting("defaults.timeout.total", span, "10m", "The whole call."),
        Setting("defaults.breaker", .section, "When an upstream that keeps failing is left alone."),
        Setting("defaults.breaker.failures", count, "5", "Failures in a row that open the breaker."),
        Setting("defaults.breaker.cooldown", span, "30s", "How long it stays open before one probe."),
        Setting(
            "defaults.strict", .bool, "false",
            "Refuses a call when translating it would lose something."),
    ]

    static let models: [Setting] = [
        Setting(
            "models", .named,
            "The names clients use, each with at most one `*`; the most specific wins. Absent: every provider's own."),
        Setting(
            "models.*", .sectionOr(.model),
            "A name (an alias), a mapping with `route` and `of`, or a mapping with `reason` and `with`."),
        Setting(
            "models.*.route", .choice(noun: "strategy", RouteSettings.Strategy.allCases.map(\.rawValue)),
            "How one of several models is chosen."),
        Setting("models.*.of", .list, "The models to choose from. Required with `route`."),
        Setting("models.*.of[]", .sectionOr(.model), "A name, or a mapping."),
        Setting("models.*.of[].model", .model, "The model's name. Required."),
        Setting("models.*.of[].weight", .number(0...1_000_000), "1", "Its share under `weighted`."),
        Setting(
            "models.*.of[].priority", .integer(-1000...1000), "0",
            "Lower numbers come first; file order among equals."),
        Setting("models.*.retry", .section, "Retries that differ from `defaults.retry`."),
        Setting("models.*.retry.attempts", .integer(1...100), "Tries in all at one upstream; 1: no retry."),
        Setting("models.*.retry.on", causes, "What is tried again."),
        Setting("models.*.retry.backoff", .duration(positive: false), "The first wait; it doubles."),
        Setting("models.*.retry.max_wait", .duration(positive: false), "The longest wait."),
        Setting("models.*.timeout", .section, "Deadlines that differ from `defaults.timeout`."),
        Setting("models.*.timeout.connect", span, "Connecting, TLS included."),
        Setting("models.*.timeout.first", span, "Until the first meaningful event."),
        Setting("models.*.timeout.idle", span, "Between two events."),
        Setting("models.*.timeout.total", span, "The whole call."),
        Setting("models.*.breaker", .section, "Settings that differ from `defaults.breaker`."),
        Setting("models.*.breaker.failures", count, "Failures in a row that open the breaker."),
        Setting("models.*.breaker.cooldown", span, "How long it stays open before one probe."),
        Setting("models.*.hedge", .section, "A second attempt after a delay. Absent: none."),
        Setting("models.*.hedge.after", span, "2s", "How long the first attempt is waited for."),
        Setting("models.*.hedge.budget", .share, "5%", "The largest share of calls that is doubled."),
        Setting(
            "models.*.affinity", .choice(noun: "affinity", RouteSettings.Affinity.allCases.map(\.rawValue)), "none",
            "What keeps calls at the model that served them before."),
        Setting(
            "models.*.on_context_exceeded", .model,
            "The model asked when the request does not fit the context window."),
        Setting("models.*.on_content_filter", .model, "The model asked when a filter refused."),
        Setting(
            "models.*.resume", .bool, "false",
            "Continues an answer on another upstream after a cut."),
        Setting("models.*.params", .object, "Request members sent unless the client says otherwise."),
        Setting("models.*.system", .string, "Put before the client's own messages."),
        Setting("models.*.cache", .section, "Reuse of answers."),
        Setting(
            "models.*.cache.ttl", .duration(positive: false),
            "How long an answer may be reused. Absent: as `cache.ttl` says."),
    ]

    static let reasoning: [Setting] = [
        Setting(
            "models.*.reason", .choice(noun: "strategy", ReasonSettings.Strategy.allCases.map(\.rawValue)),
            "How a reasoning chain thinks."),
        Setting(
            "models.*.with", .oneOrMany(.model), "The models it asks. Required with `reason`."),
        Setting("models.*.judge", .model, "The model that judges. Absent: the first of `with`."),
        Setting(
            "models.*.show", .choice(noun: "choice", ReasonSettings.Show.allCases.map(\.rawValue)), "reasoning",
            "How thinking is shown: as reasoning, or inside the content."),
        Setting(
            "models.*.whole", .choice(noun: "choice", ReasonSettings.Whole.allCases.map(\.rawValue)), "chat",
            "What an answer that is not streamed looks like."),
        Setting("models.*.status", .bool, "true", "Says what is going on while thinking."),
        Setting("models.*.max_steps", .integer(1...10_000), "25", "The most steps."),
        Setting("models.*.tokens", .section, "Token bounds of the inner calls."),
        Setting("models.*.tokens.step", count, "1000", "Of one step."),
        Setting("models.*.tokens.final", count, "2000", "Of the final answer."),
        Setting("models.*.attempts", .integer(1...100), "3", "Tries of one step."),
        Setting("models.*.wait", .duration(positive: false), "1s", "The wait between two tries."),
        Setting(
            "models.*.temperature", .number(0...2), "0.2",
            "The temperature of inner calls. The default is that of `steps`; the drafts of other strategies are as warm as "
                + "the client or the model has it."),
        Setting("models.*.samples", .integer(1...1000), "5", "Samples of `vote`, drafts of `best-of`."),
        Setting("models.*.prompts", .section, "Prompts in place of the built-in ones."),
        Setting("models.*.prompts.step", .string, "The prompt of a step."),
        Setting("models.*.prompts.final", .string, "The prompt of the final answer."),
        Setting("models.*.caps", .section, "What one call may use in all."),
        Setting("models.*.caps.calls", count, "64", "Inner calls."),
        Setting("models.*.caps.tokens", count, "100000", "Tokens."),
        Setting("models.*.caps.usd", money, "1.00", "US dollars."),
        Setting("models.*.caps.time", span, "5m", "Time."),

        Setting("conversations", .section, "Histories kept on the server."),
        Setting("conversations.idle", span, "24h", "How long an unused conversation is kept."),
        Setting("conversations.max_turns", count, "200", "The most turns one conversation holds."),
        Setting("cache", .section, "The answer cache."),
        Setting("cache.memory", .size, "64MB", "Memory for cached answers."),
        Setting(
            "cache.ttl", .duration(positive: false), "0",
            "How long an answer may be reused. 0: only for models that say so."),
    ]
}
