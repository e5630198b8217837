// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension ListenAddress {
    /// An address as `--listen` takes it: `host:port`, `[v6]:port` or `unix:/path`; nil where it is none.
    public init?(_ text: String) {
        guard let address = try? ValueParsing.listen(text) else { return nil }
        self = address
    }
}
