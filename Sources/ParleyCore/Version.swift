// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The program as a whole.
public enum Parley {
    /// The version, as in `user-agent` and `parley --version`.
    public static let version = "0.1.0"
}
