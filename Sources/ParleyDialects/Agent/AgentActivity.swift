// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Tells in words what an agent does beside talking: its plan, and the tools it runs.
struct AgentActivity {
    /// The most tools of one turn whose titles are remembered.
    private static let mostTools = 1000
    /// The most characters of a title or of a step.
    private static let longest = 300

    private var titles: [String: String] = [:]
    private var plan = ""

    /// A line or several about an update; nil where there is nothing new to say.
    mutating func tell(_ update: JSONObject) -> String? {
        switch update["sessionUpdate"]?.string {
        case "tool_call"?, "tool_call_update"?: tool(update)
        case "plan"?: steps(update["entries"]?.array ?? [])
        default: nil
        }
    }

    private mutating func tool(_ update: JSONObject) -> String? {
        let id = update["toolCallId"]?.string ?? ""
        let known = titles[id]
        let title = (update["title"]?.string).map(Self.line) ?? known ?? "a tool"
        if known != nil || titles.count < Self.mostTools { titles[id] = title }
        switch update["status"]?.string {
        case "completed"?: return "[\(title): done]\n"
        case "failed"?: return "[\(title): failed]\n"
        default:
            if known != nil { return nil }
            return "[\(title)]\n"
        }
    }

    private mutating func steps(_ entries: [JSONValue]) -> String? {
        var text = ""
        for entry in entries {
            guard let step = entry["content"]?.string else { continue }
            let mark = entry["status"]?.string == "completed" ? "x" : " "
            text += "- [\(mark)] \(Self.line(step))\n"
        }
        guard !text.isEmpty, text != plan else { return nil }
        plan = text
        return text
    }

    private static func line(_ text: String) -> String {
        String(text.prefix(longest).map { $0.isNewline ? " " : $0 })
    }
}
