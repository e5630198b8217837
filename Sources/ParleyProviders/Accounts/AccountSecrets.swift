// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads what signs in to an account from a provider's settings.
enum AccountSecrets {
    /// The values of a setting that must be there: one or a list. They go into header lines.
    static func list(_ setup: ProviderSetup, _ name: String) throws(ProviderError) -> [String] {
        let values = (try setup.options.strings(name) ?? []).map(trimmed)
        guard !values.isEmpty, values.allSatisfy({ !$0.isEmpty }) else {
            throw ProviderError("must be given", setting: name)
        }
        guard values.allSatisfy({ HeaderField.isSafe($0) }) else {
            throw ProviderError("has a line break or a control character in it", setting: name)
        }
        return values
    }

    /// Without blanks at either end.
    private static func trimmed(_ text: String) -> String {
        var rest = text[...]
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
