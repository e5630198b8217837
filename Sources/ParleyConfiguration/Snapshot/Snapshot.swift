// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyAccess
public import ParleyCore
import ParleyModels
public import ParleyProviders
import Synchronization

/// The live configuration: immutable, read once by a call at its start.
public final class Snapshot: Sendable {
    /// A provider and what it was made of.
    struct MadeProvider: Sendable {
        let setup: ProviderSetup
        let source: any ModelSource
    }

    private static let count = Atomic<UInt64>(0)

    /// What tells this configuration from all others of the process, also from those that are gone.
    public let serial = Snapshot.count.wrappingAdd(1, ordering: .relaxed).newValue
    /// What the server's connections must know.
    public let server: ServerRules
    /// The keys that clients may present.
    public let keys: KeyTable
    /// The providers in file order.
    public let providers: [any ModelSource]
    /// The providers with what they were made of, for the next configuration.
    let made: [MadeProvider]
    /// How the upstreams fare, for the next configuration.
    let health: HealthBook
    /// The models by name, together with what the providers list.
    public let lists: ModelLists
    /// What upstreams cost, and how much they can read.
    public let prices: PriceBook
    /// The model of a request that names none.
    public let defaultModel: String?
    /// Time limits where neither model nor provider sets any.
    public let timeouts: ParleyCore.TimeoutOverrides
    /// Whether a call is refused when a translation would lose something.
    public let isStrict: Bool
    /// How conversations are kept.
    public let conversations: ConversationRules
    /// What to do when there is nothing but the demo model.
    public let hint: String?
    /// When it was loaded, in seconds since 1970.
    public let loaded: Int

    init(
        server: ServerRules, keys: KeyTable, providers: [any ModelSource], made: [MadeProvider], health: HealthBook,
        lists: ModelLists, prices: PriceBook, defaultModel: String?, timeouts: ParleyCore.TimeoutOverrides,
        isStrict: Bool,
        conversations: ConversationRules, hint: String?, loaded: Int
    ) {
        self.server = server
        self.keys = keys
        self.providers = providers
        self.made = made
        self.health = health
        self.lists = lists
        self.prices = prices
        self.defaultModel = defaultModel
        self.timeouts = timeouts
        self.isStrict = isStrict
        self.conversations = conversations
        self.hint = hint
        self.loaded = loaded
    }
}

/// How conversations are kept.
public struct ConversationRules: Sendable {
    /// How long an unused one is kept, in seconds.
    public var idle: Int
    /// The most turns of one.
    public var maxTurns: Int

    init(_ settings: ConversationSettings) {
        idle = Int(min(settings.idle.components.seconds, 1 << 40))
        maxTurns = settings.maxTurns
    }
}

/// The rules of client connections, in the units of the event loop.
public struct ServerRules: Sendable {
    /// The most bytes a request's body may have.
    public var bodyLimit: Int
    /// How long a connection may be without a request.
    public var idle: TimeAmount
    /// How long a request's head may take, and how long its body may bring nothing.
    public var headerTimeout: TimeAmount
    /// After how long a waiting stream gets a comment; zero for never.
    public var keepaliveComment: TimeAmount
    /// How long running calls may go on after the server was told to stop.
    public var drain: TimeAmount
    /// Origins whose pages may read answers; `*` for all.
    public var crossOrigins: [String]
    /// Whether the old billing paths answer.
    public var offersBilling: Bool

    init(_ settings: ServerSettings) {
        bodyLimit = settings.bodyLimit
        idle = TimeAmount(settings.idle)
        headerTimeout = TimeAmount(settings.headerTimeout)
        keepaliveComment = TimeAmount(settings.keepaliveComment)
        drain = TimeAmount(settings.drain)
        crossOrigins = settings.cors
        offersBilling = settings.compatibility.contains(.billing)
    }
}
