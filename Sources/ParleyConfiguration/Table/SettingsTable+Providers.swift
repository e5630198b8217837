// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension SettingsTable {
    static let providers: [Setting] = [
        Setting("providers", .named, "The services that host models, by the name that goes before the slash."),
        Setting("providers.*", .section, "One service."),
        Setting(
            "providers.*.kind", .kind, "the provider's own name",
            "What the service is: one of the kinds below, or the name of a row of the built-in catalogue."),
        Setting(
            "providers.*.base_url", .url(["ws", "wss", "http", "https"]), kinds: ["spark"],
            "Where the service lives: a socket's address, or with `transport: http` one that ends in `/v1`. With a path it "
                + "is the whole address of one model. Absent: the kind's own."),
        Setting(
            "providers.*.base_url", .url(["http", "https"]),
            "Where the API lives, as the vendor's own SDK means it: OpenAI's and compatible ones end in `/v1`. "
                + "Absent: the kind's own."),
        Setting(
            "providers.*.api_key", .secrets,
            "The service's key; several (a list, or one string with commas) rotate. "
                + "Absent: the kind's usual environment variable is not read; no key is sent."),
        Setting("providers.*.headers", .map(.secret), "Headers sent with each request."),
        Setting("providers.*.proxy", .proxy, "Outgoing HTTP proxy. Absent: none."),
        Setting("providers.*.params", .object, "Request members sent unless the client says otherwise."),
        Setting("providers.*.force", .object, "Request members sent whatever the client says."),
        Setting("providers.*.timeout", .section, "Deadlines that differ from `defaults.timeout`."),
        Setting("providers.*.timeout.connect", span, "Connecting, TLS included."),
        Setting("providers.*.timeout.first", span, "Until the first meaningful event."),
        Setting("providers.*.timeout.idle", span, "Between two events."),
        Setting("providers.*.timeout.total", span, "The whole call."),
        Setting("providers.*.limits", .section, "How much the service may be asked. Absent: no bound."),
        Setting("providers.*.limits.concurrent", count, "Most calls at once."),
        Setting("providers.*.limits.rpm", count, built: false, "Most requests per minute."),
        Setting("providers.*.limits.tpm", count, built: false, "Most tokens per minute."),
        Setting("providers.*.tls", .section, "How the service's certificate is checked."),
        Setting(
            "providers.*.tls.ca", .string,
            "PEM file with the authorities to trust. Absent: the system's."),
        Setting("providers.*.quirks", .object, "Overrides of the catalogue row's quirks."),
        Setting("providers.*.models", .map(.string), "Models that have another name upstream: `ours: theirs`."),
        Setting(
            "providers.*.discover", .bool, "true",
            "Whether models are listed from the service; `false` offers only those under `models`."),
    ]

    static let providerOptions: [Setting] =
        keyedOptions + agentOptions + [
            Setting(
                "providers.*.delay", .duration(positive: false), "20ms", kinds: ["demo"],
                "How long the demo model waits before it answers."),
            Setting(
                "providers.*.tokens_per_second", .number(0...1_000_000), "60", kinds: ["demo"],
                "How fast the demo model streams. 0: at once."),
            Setting(
                "providers.*.fail", .share, "0", kinds: ["demo"], "The share of calls that the demo model refuses."),
            Setting(
                "providers.*.cut", .share, "0", kinds: ["demo"], "The share of streams that the demo model cuts off."),
            Setting(
                "providers.*.replies", .oneOrMany(.string), kinds: ["demo"],
                "What the demo model answers, in turn. Absent: it answers from the request."),
        ]

    private static let keyedOptions: [Setting] = [
        option("endpoint", .url(["http", "https"]), ["azure"], built: true, doc: "The resource's URL."),
        option(
            "api_version", .string, ["azure"], built: true,
            doc: "The API version to ask for. Absent, `v1` or `preview`: the surface without dated versions."),
        option("version", .string, ["anthropic"], "2023-06-01", built: true, doc: "The value of `anthropic-version`."),
        option("beta", .oneOrMany(.string), ["anthropic"], built: true, doc: "Beta features to ask for."),
        option("project", .string, ["vertex"], doc: "The Google Cloud project."),
        option("location", .string, ["vertex"], "us-central1", doc: "The Google Cloud location."),
        option("credentials", .secret, ["vertex"], doc: "The service account's JSON; use `${file:…}`."),
        option("region", .string, ["bedrock"], built: true, doc: "The AWS region."),
        option("access_key", .secret, ["bedrock"], built: true, doc: "The AWS access key id; or use `api_key`."),
        option("secret_key", .secret, ["bedrock", "qianfan"], built: true, doc: "The secret that goes with the key."),
        option("session_token", .secret, ["bedrock"], built: true, doc: "The token of temporary AWS credentials."),
        option("api", .choice(noun: "version", ["v4", "v3"]), ["zhipu"], "v4", built: true, doc: "The API version."),
        option(
            "token", .choice(noun: "token", ["key", "jwt"]), ["zhipu"], "key", built: true,
            doc: "With `v4`: what is sent, the key itself or a token signed with it. `v3` always signs."),
        option(
            "prompt", .string, ["zhipu"], built: true,
            doc: "With `v3`: how a system prompt, `{system}`, is said in a user's turn. "
                + "Absent: `You need to follow the system settings:{system}`."),
        option(
            "app_id", .oneOrMany(.string), ["spark"], built: true,
            doc: "The application's id; one for each key. Not for `transport: http`."),
        option(
            "api_secret", .secrets, ["spark"], built: true,
            doc: "The secret that goes with the key; one for each. With `transport: http`, of older accounts only."),
        option(
            "transport", .choice(noun: "transport", ["websocket", "http"]), ["spark"], "websocket", built: true,
            doc: "How to talk to it."),
        option(
            "api", .choice(noun: "version", ["v1", "v2"]), ["qianfan"],
            "v1", built: true, doc: "`v1` signs in with an access token, `v2` with a bearer key."),
        option(
            "api", .choice(noun: "API", ["compatible", "native"]), ["dashscope"], "compatible", built: true,
            doc: "`compatible` is OpenAI's chat as DashScope has it, `native` is its own API."),
        option("token", .secrets, ["flowgpt"], built: true, doc: "The bearer token; several rotate."),
        option(
            "device_id", .oneOrMany(.secret), ["flowgpt"], built: true,
            doc: "The device id: one, or one for each token."),
        option(
            "default_model", .string, ["flowgpt"], built: true,
            doc: "One of `models`, for requests whose model is none of them. Absent: the first."),
        option("username", .oneOrMany(.string), ["fitten"], built: true, doc: "The account; several rotate."),
        option(
            "password", .oneOrMany(.secret), ["fitten"], built: true,
            doc: "The account's password: one for each account."),
        option(
            "cookie", .oneOrMany(.secret), ["claude-web"], built: true,
            doc: "The signed-in browser's cookie, or its `sessionKey` alone; several, as a list, rotate."),
        option(
            "conversation", .string, ["claude-web"], "new", built: true,
            doc: "`new`: one for each call, deleted afterwards. `keep`: the same, not deleted. "
                + "`single`: one for all calls. Else the id of the one to go on with."),
        option(
            "prompt", .string, ["claude-web"], built: true,
            doc: "How a conversation becomes one text: `{newMessage}` is the last message, "
                + "`{history}` all before it as JSON."),
    ]

    private static let agentOptions: [Setting] = [
        option(
            "mode", .choice(noun: "mode", ["cli", "api"]), ["iflow"], "cli", built: true,
            doc: "Through the command or the API."),
        option(
            "client_id", .secret, ["iflow"], built: true,
            doc: "`mode: api` without `api_key`: the client that signs in at iFlow's page."),
        option("client_secret", .secret, ["iflow"], built: true, doc: "That client's secret."),
        option(
            "command", .oneOrMany(.string), ["iflow", "acp"], built: true,
            doc: "The agent's command and its arguments. `mode: cli`: started where nothing listens at `url`."),
        option(
            "url", .url(["ws", "wss", "http", "https"]), ["iflow"], built: true,
            doc: "`mode: cli`: where the command listens. `mode: api`: where the sign-in's pages are; "
                + "absent: at the host of `base_url`, or https://iflow.cn."),
        option(
            "permission", .oneOrMap(.choice(noun: "permission", ["deny", "allow"])), ["iflow", "acp"],
            "deny", built: true,
            doc: "What the agent may do: `deny`, `allow`, or one of them per kind of action (`read`, `edit`, "
                + "`delete`, `move`, `search`, `execute`, `think`, `fetch`, `switch_mode`, `other`); what is not named "
                + "is denied."),
        option(
            "directory", .string, ["iflow", "acp"], built: true,
            doc: "The agent's working directory, which must be there; nothing outside is offered. A relative path "
                + "is meant from the configuration file's folder. Absent: where Parley was started."),
        option(
            "environment", .map(.secret), ["iflow", "acp"], built: true,
            doc: "Environment variables of the agent, beside `PATH`, `HOME`, `LANG`, `TERM` and `XDG_…`; it sees "
                + "no others."),
        option(
            "processes", .integer(1...1000), ["acp"], "2", built: true,
            doc: "How many of the agent run at most; each is started when it is needed."),
        option(
            "show_tools", .bool, ["acp"], "false", built: true,
            doc: "Whether plans and tool activity are shown as reasoning text."),
    ]

    /// A setting of some kinds only, none of them built unless it says so.
    private static func option(
        _ name: String, _ type: SettingType, _ kinds: [String], _ fallback: String? = nil, built: Bool = false,
        doc: String
    ) -> Setting {
        var setting = Setting("providers.*." + name, type, built: built, kinds: kinds, doc)
        setting.fallback = fallback
        return setting
    }
}
