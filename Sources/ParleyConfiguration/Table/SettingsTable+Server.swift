// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension SettingsTable {
    static let server: [Setting] = [
        Setting("server", .section, "The listener that clients connect to, and its bounds."),
        Setting(
            "server.listen", .oneOrMany(.listen), "127.0.0.1:8080",
            "Where to listen: `host:port`, `[v6]:port` or `unix:/path`; a list listens on several."),
        Setting("server.tls", .section, "Speaks TLS on every TCP address. Absent: plain HTTP."),
        Setting("server.tls.certificate", .string, "PEM file with the certificate chain. Required within `tls`."),
        Setting("server.tls.key", .string, "PEM file with the private key. Required within `tls`."),
        Setting(
            "server.cors", .oneOrMany(.string),
            "Origins that may call from a browser; `*` allows any. Absent: no CORS headers."),
        Setting("server.body_limit", .size, "32MB", "Largest request body; more is answered 413."),
        Setting("server.header_limit", .size, "32KB", "Largest request head; more is answered 431."),
        Setting("server.max_connections", count, "10000", "Most client connections at once."),
        Setting("server.idle", span, "75s", "How long a kept-alive connection may wait for its next request."),
        Setting(
            "server.header_timeout", span, "10s",
            "How long a request head may take; each such span of a body must bring something."),
        Setting(
            "server.keepalive_comment", .duration(positive: false), "15s",
            "How often a waiting stream gets a comment line, so that nothing between cuts it. 0 turns it off."),
        Setting(
            "server.drain", .duration(positive: false), "30s",
            "How long SIGTERM waits for running calls before they end with an error event."),
        Setting(
            "server.compatibility", .oneOrMany(.choice(noun: "compatibility", ["billing"])),
            "Old dashboard paths to answer for clients that ask for them; `billing` answers the balance queries."),

        Setting("admin", .section, "The administrator's credential."),
        Setting(
            "admin.key", .secret,
            "The admin key, which opens the console. Absent: generated once and kept in the state folder; the start says "
                + "where."),

        Setting("console", .section, "The console's pages and the admin API."),
        Setting(
            "console.listen", .listenOr(["shared", "off"]), "shared",
            "`shared` uses the clients' port; `host:port` or `unix:/path` gives it one of its own; `off` closes it."),
        Setting("console.session", span, "12h", "How long a sign-in lasts."),
    ]

    static let observation: [Setting] = [
        Setting("log", .section, "Where and what is logged. Never a key, a header value or a prompt."),
        Setting(
            "log.level", .choice(noun: "level", LogSettings.Level.allCases.map(\.rawValue)), "info",
            "The least severe level that is written."),
        Setting(
            "log.format", .choice(noun: "format", LogSettings.Format.allCases.map(\.rawValue)), "text",
            "`text` for people, `json` for one object per line."),
        Setting("log.file", .section, "A file with rotation. Absent: standard error."),
        Setting("log.file.path", .string, "The file. Required within `file`."),
        Setting("log.file.rotate", .size, "100MB", "The size at which a new file is begun."),
        Setting("log.file.keep", .integer(0...10_000), "7", "How many old files are kept."),
        Setting("log.access", .bool, "true", "Whether each request gets one line."),

        Setting("telemetry", .section, built: false, "Metrics and traces."),
        Setting("telemetry.metrics", .bool, "true", built: false, "Whether `/metrics` answers."),
        Setting("telemetry.otlp", .section, built: false, "An OpenTelemetry collector. Absent: no traces."),
        Setting(
            "telemetry.otlp.endpoint", .url(["http", "https"]), built: false,
            "The collector's base URL. Required within `otlp`."),
        Setting("telemetry.otlp.headers", .map(.secret), built: false, "Headers sent with each export."),
        Setting("telemetry.otlp.sample", .share, "1.0", built: false, "The share of calls that are traced."),
    ]

    static let storage: [Setting] = [
        Setting(
            "store", .store,
            "Where sign-ins and the account of calls are kept: `sqlite:PATH`, meant from the file's folder. Absent: SQLite in the state folder. "
                + "`postgres://user:password@host/database` is not built yet."),
        Setting("retention", .section, "How long stored records are kept."),
        Setting("retention.requests", span, "90d", "The account of calls."),
        Setting("retention.rollups", span, "2y", built: false, "Hourly and daily sums."),
        Setting("retention.bodies", span, "7d", built: false, "Captured bodies."),
        Setting("retention.conversations", span, "30d", built: false, "Conversations."),
        Setting("retention.audit", span, "1y", built: false, "The audit trail."),
        Setting("capture", .section, built: false, "Whether request and answer bodies are stored."),
        Setting(
            "capture.bodies", .choice(noun: "choice", CaptureSettings.Bodies.allCases.map(\.rawValue)), "off",
            built: false, "`off`, only those of failed calls (`errors`), or `all`."),
        Setting("capture.limit", .size, "64KB", built: false, "The most that is stored of one body."),
    ]
}
