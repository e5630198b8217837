// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// The prices that one event loop asked for last, without a lock and without a hash of their names.
struct PriceCache {
    private final class Entry {
        let upstream: String
        let price: Price?

        init(_ upstream: String, _ price: Price?) {
            self.upstream = upstream
            self.price = price
        }
    }

    /// The configuration's prices that the entries are of.
    private var book: PriceBook?
    /// By the length of the name, which tells the few upstreams of a configuration apart well enough.
    private var entries = [Entry?](repeating: nil, count: 32)

    /// What the upstream takes for these tokens, in nanodollars; nil where its price or the tokens are not known.
    mutating func cost(of usage: Usage, at upstream: String, in book: PriceBook) -> Int? {
        guard usage.input != nil || usage.output != nil else { return nil }
        if self.book !== book {
            self.book = book
            entries = [Entry?](repeating: nil, count: entries.count)
        }
        let place = upstream.utf8.count & 31
        if let entry = entries[place], entry.upstream == upstream { return entry.price?.cost(of: usage) }
        let entry = Entry(upstream, book.facts(of: upstream).price)
        entries[place] = entry
        return entry.price?.cost(of: usage)
    }
}
