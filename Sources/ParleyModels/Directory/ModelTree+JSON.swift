// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

extension ModelTree {
    /// The tree as JSON; what is not there is left out.
    public var json: JSONValue {
        var object: JSONObject = ["name": .string(name), "kind": .string(kind)]
        if let role { object["role"] = .string(role) }
        if !settings.isEmpty { object["settings"] = .array(settings.map { .string($0) }) }
        if let health { object["health"] = health.json }
        if !members.isEmpty { object["members"] = .array(members.map(\.json)) }
        return .object(object)
    }

    /// The tree that ``json`` wrote; nil where it is none, or deeper than models can be.
    public init?(_ json: JSONValue, depth: Int = 0) {
        guard depth < 64, let name = json["name"]?.string, let kind = json["kind"]?.string else { return nil }
        self.init(name, kind)
        role = json["role"]?.string
        if case .array(let words)? = json["settings"] { settings = words.compactMap(\.string) }
        health = json["health"].flatMap { Health($0) }
        if case .array(let trees)? = json["members"] {
            members = trees.compactMap { ModelTree($0, depth: depth + 1) }
        }
    }

    /// The tree as lines of text, each member below its model.
    public var lines: [String] {
        var lines: [String] = []
        write(into: &lines, first: "", rest: "")
        return lines
    }

    private func write(into lines: inout [String], first: String, rest: String) {
        let words = ([role.map { "\($0):" }, name, "(\(kind))"] as [String?]).compactMap(\.self)
        lines.append(first + words.joined(separator: " "))
        let below = rest + (members.isEmpty ? "    " : "│   ")
        if !settings.isEmpty { lines.append(below + settings.joined(separator: ", ")) }
        if let health { lines.append(below + health.words) }
        for (index, member) in members.enumerated() {
            let isLast = index == members.count - 1
            member.write(
                into: &lines, first: rest + (isLast ? "└── " : "├── "), rest: rest + (isLast ? "    " : "│   "))
        }
    }
}

extension ModelTree.Health {
    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "state": .string(state), "in_flight": .int(inFlight), "failures": .int(failures),
        ]
        if let first { object["first_event_seconds"] = .double(first) }
        if let whole { object["whole_answer_seconds"] = .double(whole) }
        if let rests { object["rests_seconds"] = .double(rests) }
        return .object(object)
    }

    fileprivate init?(_ json: JSONValue) {
        guard let state = json["state"]?.string else { return nil }
        self.init(
            state: state, inFlight: json["in_flight"]?.int ?? 0, failures: json["failures"]?.int ?? 0,
            first: json["first_event_seconds"]?.double, whole: json["whole_answer_seconds"]?.double,
            rests: json["rests_seconds"]?.double)
    }

    /// A line of text.
    fileprivate var words: String {
        var words = ["breaker \(state)", "\(inFlight) in flight", "\(failures) failures in a row"]
        if let rests { words[0] += " for \(Self.text(rests)) s" }
        if let first { words.append("first event after \(Self.text(first)) s") }
        if let whole { words.append("whole answers after \(Self.text(whole)) s") }
        return words.joined(separator: ", ")
    }

    /// Seconds with three digits behind the point.
    private static func text(_ seconds: Double) -> String {
        guard let thousandths = Int(exactly: (min(max(seconds, 0), 1e9) * 1000).rounded()) else { return "?" }
        let rest = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - rest.utf8.count) + rest
    }
}
