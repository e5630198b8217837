// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The paths of kept responses.
extension Route {
    /// What is asked of a kept response.
    struct Stored: Sendable, Equatable {
        /// The part of it.
        enum Part: String, Sendable {
            case response = ""
            case cancel
            case inputItems = "input_items"
        }

        var id: String
        var part = Part.response
    }

    /// Words behind `/responses/` that are no id.
    private static let operations: Set<String> = ["input_tokens", "compact"]

    /// `/responses/{id}` and what is below it; nil for every other path.
    static func stored(_ path: Substring) -> Route? {
        let prefix = "/responses/"
        guard path.hasPrefix(prefix) else { return nil }
        let parts = path.dropFirst(prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2,
            let part = Stored.Part(rawValue: parts.count == 2 ? String(parts[1]) : ""),
            parts.count == 1 || part != .response
        else { return nil }
        let id = percentDecoded(first)
        guard !id.isEmpty, !operations.contains(id) else { return nil }
        return .stored(Stored(id: id, part: part))
    }

    /// The query of a request target, without the question mark.
    static func query(of target: String) -> String {
        guard let start = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return "" }
        return String(target[target.index(after: start)...].prefix { $0 != "#" })
    }
}
