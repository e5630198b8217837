// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Where a listener listens.
public enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// A host name or address (IPv6 without brackets) and a port from 0 (any free one) to 65535.
    case tcp(host: String, port: Int)
    /// A Unix-domain socket.
    case unix(path: String)

    /// The address as the file writes it.
    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

/// `server`: the data plane's listener and its bounds.
public struct ServerSettings: Sendable, Equatable {
    /// Certificate and key files of a listener that speaks TLS.
    public struct TLS: Sendable, Equatable {
        /// PEM file of the certificate chain; a relative path is meant from the configuration file's folder.
        public var certificate: String
        /// PEM file of the private key; a relative path is meant from the configuration file's folder.
        public var key: String

        /// Files by path.
        public init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// A family of old dashboard paths that some clients ask for.
    public enum Compatibility: String, Sendable, Equatable, CaseIterable {
        /// `/dashboard/billing/…` and `/v1/dashboard/billing/…`.
        case billing
    }

    /// Where to listen; at least one address.
    public var listen: [ListenAddress] = [.tcp(host: "127.0.0.1", port: 8080)]
    /// TLS on every TCP address; nil: plain HTTP.
    public var tls: TLS?
    /// Origins that may call from a browser; `*` allows any; empty: no CORS headers.
    public var cors: [String] = []
    /// Largest request body, in bytes.
    public var bodyLimit = 32 << 20
    /// Largest request head, in bytes.
    public var headerLimit = 32 << 10
    /// Most client connections at once.
    public var maxConnections = 10_000
    /// How long a kept-alive connection may wait for its next request.
    public var idle: Duration = .seconds(75)
    /// How long a request head may take; each such span of a body must bring something.
    public var headerTimeout: Duration = .seconds(10)
    /// How often a waiting stream gets a comment line; zero: never.
    public var keepaliveComment: Duration = .seconds(15)
    /// How long shutting down waits for running calls.
    public var drain: Duration = .seconds(30)
    /// Old dashboard paths to answer; none by default.
    public var compatibility: [Compatibility] = []

    /// The defaults.
    public init() {}
}

/// `admin`: the administrator's credential.
public struct AdminSettings: Sendable, Equatable {
    /// The admin key; nil: generated once and kept beside the store.
    public var key: Secret?

    /// The defaults.
    public init() {}
}

/// `console`: where the console listens and how long a sign-in lasts.
public struct ConsoleSettings: Sendable, Equatable {
    /// Where the console is reached.
    public enum Listen: Sendable, Equatable {
        /// On the data plane's own port.
        case shared
        /// Nowhere.
        case off
        /// On an address of its own.
        case address(ListenAddress)
    }

    /// Where the console is reached.
    public var listen = Listen.shared
    /// How long a sign-in lasts.
    public var session: Duration = .seconds(12 * 3600)

    /// The defaults.
    public init() {}
}
