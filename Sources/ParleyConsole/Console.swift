// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Hummingbird

/// The control plane: pages and paths for whoever runs the gateway.
public struct Console: Sendable {
    /// A console.
    public init() {}
}
