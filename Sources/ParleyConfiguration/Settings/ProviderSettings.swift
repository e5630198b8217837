// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// One entry of `providers`: a service that hosts models.
public struct ProviderSettings: Sendable, Equatable {
    /// An outgoing HTTP proxy.
    public struct Proxy: Sendable, Equatable {
        /// The proxy's host; IPv6 without brackets.
        public var host: String
        /// The proxy's port.
        public var port: Int
        /// The user of a proxy that asks who is there.
        public var user: String?
        /// That user's password.
        public var password: Secret?

        /// A proxy that asks nobody who they are.
        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// How much the service may be asked.
    public struct Limits: Sendable, Equatable {
        /// Most calls at once; nil: no bound.
        public var concurrent: Int?
        /// Most requests per minute; nil: no bound.
        public var rpm: Int?
        /// Most tokens per minute; nil: no bound.
        public var tpm: Int?

        /// No bounds.
        public init() {}
    }

    /// A model under another name upstream.
    public struct Rename: Sendable, Equatable {
        /// The name this gateway uses.
        public var name: String
        /// The name the service uses.
        public var upstream: String

        /// A rename.
        public init(name: String, upstream: String) {
            self.name = name
            self.upstream = upstream
        }
    }

    /// The name before the slash in `provider/model`; holds no slash.
    public var name: String
    /// A built-in kind or the name of a catalogue row.
    public var kind: String
    /// Where the entry stands in the file.
    public var position: SourcePosition
    /// The service's base URL without a trailing slash; nil: the kind's own.
    public var baseURL: String?
    /// The service's keys, in the order they rotate; empty: none.
    public var apiKeys: [Secret] = []
    /// Headers sent with each request.
    public var headers: [HeaderSettings] = []
    /// The proxy to go through; nil: none.
    public var proxy: Proxy?
    /// Request members sent unless the client says otherwise.
    public var params = SettingMap()
    /// Request members sent whatever the client says.
    public var force = SettingMap()
    /// Deadlines that differ from the defaults.
    public var timeout = TimeoutOverrides()
    /// How much the service may be asked.
    public var limits = Limits()
    /// PEM file of the authorities to trust in place of the system's; a relative path is meant from the
    /// configuration file's folder.
    public var certificateAuthority: String?
    /// Overrides of the catalogue row's quirks.
    public var quirks = SettingMap()
    /// Models under other names upstream, in file order.
    public var renames: [Rename] = []
    /// Whether models are listed from the service; false: only those named in `renames`.
    public var discover = true
    /// The settings that only this kind has, checked against the settings table, by their names in the file.
    public var options = SettingMap()

    /// A provider with defaults.
    public init(name: String, kind: String, position: SourcePosition) {
        self.name = name
        self.kind = kind
        self.position = position
    }
}
