// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Synchronization

/// How all upstreams fare, by name. It outlives a configuration.
public final class HealthBook: Sendable {
    /// A wildcard lets clients make up names; of more than this many upstreams those that are idle are forgotten.
    static let limit = 4096

    private let entries: Mutex<[String: UpstreamHealth]>

    /// An empty book.
    public init() {
        entries = Mutex([:])
    }

    /// A book for another configuration: the upstreams of the providers that are the same there are taken over.
    public init(after previous: HealthBook, keeping providers: Set<String>) {
        entries = Mutex(
            previous.entries.withLock { entries in
                entries.filter { providers.contains(String($0.key.prefix { $0 != "/" })) }
            })
    }

    /// The upstream called `name`.
    public func health(of name: String) -> UpstreamHealth {
        entries.withLock { entries in
            if let known = entries[name] { return known }
            if entries.count >= Self.limit { entries = entries.filter { !$0.value.isIdle } }
            let made = UpstreamHealth(name)
            // A book that is full of upstreams in trouble remembers no more of them.
            if entries.count < Self.limit { entries[name] = made }
            return made
        }
    }
}
