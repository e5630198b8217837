// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// `log`: where and what is logged.
public struct LogSettings: Sendable, Equatable {
    /// The least severe level that is written.
    public enum Level: String, Sendable, Equatable, CaseIterable {
        /// Everything.
        case trace
        /// Details for finding faults.
        case debug
        /// The course of things.
        case info
        /// Uncommon, not wrong.
        case notice
        /// Something to look at.
        case warning
        /// Something failed.
        case error
    }

    /// The shape of a line.
    public enum Format: String, Sendable, Equatable, CaseIterable {
        /// For people.
        case text
        /// One JSON object per line.
        case json
    }

    /// A log file with rotation.
    public struct File: Sendable, Equatable {
        /// The file; a relative path is meant from the configuration file's folder.
        public var path: String
        /// The size in bytes at which a new file is begun.
        public var rotate = 100 << 20
        /// How many old files are kept.
        public var keep = 7

        /// A file with the default rotation.
        public init(path: String) {
            self.path = path
        }
    }

    /// The least severe level that is written.
    public var level = Level.info
    /// The shape of a line.
    public var format = Format.text
    /// The file to write to; nil: standard error.
    public var file: File?
    /// Whether each request gets one line.
    public var access = true

    /// The defaults.
    public init() {}
}

/// `telemetry`: metrics and traces.
public struct TelemetrySettings: Sendable, Equatable {
    /// An OpenTelemetry collector spoken to over HTTP.
    public struct OTLP: Sendable, Equatable {
        /// The collector's base URL.
        public var endpoint: String
        /// Headers sent with each export.
        public var headers: [HeaderSettings] = []
        /// The share of calls that are traced, 0 to 1.
        public var sample = 1.0

        /// A collector with default sampling.
        public init(endpoint: String) {
            self.endpoint = endpoint
        }
    }

    /// Whether `/metrics` answers.
    public var metrics = true
    /// Where traces go; nil: no traces.
    public var otlp: OTLP?

    /// The defaults.
    public init() {}
}

/// A header to send. Its value may carry a credential, so it is kept like one.
public struct HeaderSettings: Sendable, Equatable {
    /// The field name as written.
    public var name: String
    /// The field value.
    public var value: Secret

    /// A header.
    public init(name: String, value: Secret) {
        self.name = name
        self.value = value
    }
}

/// `store`: the database.
public enum StoreSettings: Sendable, Equatable {
    /// SQLite in one file; a relative path is meant from the configuration file's folder.
    case sqlite(path: String)
    /// PostgreSQL; the URL holds a password.
    case postgres(url: Secret)
}

/// `retention`: how long stored records are kept.
public struct RetentionSettings: Sendable, Equatable {
    /// Request records.
    public var requests: Duration = .seconds(90 * 86_400)
    /// Hourly and daily sums.
    public var rollups: Duration = .seconds(2 * 365 * 86_400)
    /// Captured bodies.
    public var bodies: Duration = .seconds(7 * 86_400)
    /// Conversations.
    public var conversations: Duration = .seconds(30 * 86_400)
    /// The audit trail.
    public var audit: Duration = .seconds(365 * 86_400)

    /// The defaults.
    public init() {}
}

/// `capture`: whether request and answer bodies are stored.
public struct CaptureSettings: Sendable, Equatable {
    /// Which bodies are stored.
    public enum Bodies: String, Sendable, Equatable, CaseIterable {
        /// None.
        case off
        /// Those of failed calls.
        case errors
        /// Every one.
        case all
    }

    /// Which bodies are stored.
    public var bodies = Bodies.off
    /// The most that is stored of one body, in bytes.
    public var limit = 64 << 10

    /// The defaults.
    public init() {}
}

/// `conversations`: histories kept on the server.
public struct ConversationSettings: Sendable, Equatable {
    /// How long an unused conversation is kept.
    public var idle: Duration = .seconds(86_400)
    /// The most turns one conversation holds.
    public var maxTurns = 200

    /// The defaults.
    public init() {}
}

/// `cache`: the answer cache.
public struct CacheSettings: Sendable, Equatable {
    /// Memory for cached answers, in bytes.
    public var memory = 64 << 20
    /// How long an answer may be reused; zero: only models that say so are cached.
    public var ttl: Duration = .zero

    /// The defaults.
    public init() {}
}
