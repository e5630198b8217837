// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Writes thinking the way the client is to see it: what happens in, events out.
///
/// The texts of `markdown` and `details` are those of o1-api, byte for byte and in its order: each complete section is
/// one piece of content, the last one waits for the answer.
struct ReasonView {
    let show: ReasonRules.Show
    let status: Bool
    private var isOpen = false
    private var isFirst = true
    private var heading = ""
    private var held: [ReasonLog.Section] = []

    init(_ rules: ReasonRules) {
        show = rules.show
        status = rules.status
    }

    /// Whether the answer is passed on as it comes. In content it follows as one piece, behind what was held back.
    var isLive: Bool { show == .reasoning }

    /// The first inner call has answered.
    mutating func open(_ out: inout [Event], showsThinking: Bool) {
        guard !isOpen else { return }
        isOpen = true
        if !isLive, showsThinking { out.append(.text(choice: 0, " ")) }
    }

    // MARK: Live thinking

    /// A thought begins; its title is shown with its first words.
    mutating func begin(_ title: String) { heading = title }

    /// A piece of a step's title.
    mutating func title(_ text: String, _ out: inout [Event]) {
        let isNew = !heading.isEmpty
        startHeading(&out)
        say(isNew ? ": \(text)" : text, &out)
    }

    /// A piece of thinking. `first` is whether it is the first one of its thought.
    mutating func text(_ text: String, isFirst: Bool, _ out: inout [Event]) {
        guard !text.isEmpty else { return }
        startHeading(&out)
        say(isFirst ? "\n\(text)" : text, &out)
    }

    /// Shows the title of a thought before its first words.
    mutating func startHeading(_ out: inout [Event]) {
        guard !heading.isEmpty else { return }
        let title = heading
        heading = ""
        paragraph(title, &out)
    }

    /// A line that says what goes on.
    mutating func note(_ text: String, _ out: inout [Event]) {
        if status { paragraph(text, &out) }
    }

    private mutating func paragraph(_ text: String, _ out: inout [Event]) {
        say(isFirst ? text : "\n\n\(text)", &out)
        isFirst = false
    }

    private func say(_ text: String, _ out: inout [Event]) {
        guard isLive, !text.isEmpty else { return }
        out.append(.reasoning(choice: 0, Reasoning(text)))
    }

    // MARK: Complete sections

    /// A section is complete; one that is not the last is shown.
    mutating func section(_ section: ReasonLog.Section, _ out: inout [Event]) {
        guard !isLive else { return }
        flush(&out)
        held.append(section)
        if !section.isLast { flush(&out) }
    }

    private mutating func flush(_ out: inout [Event]) {
        for section in held {
            let text =
                show == .markdown
                ? "\n\n## \(section.title)\n\(section.text)"
                : "<details open>\n<summary>\(section.title)</summary>\n\(Self.folded(section.text))\n</details>"
            out.append(.text(choice: 0, text))
        }
        held = []
    }

    /// The answer's text, whole.
    mutating func answer(_ text: String, seconds: Double, hasCalls: Bool, _ out: inout [Event]) {
        flush(&out)
        if !text.isEmpty || !hasCalls {
            let head = show == .markdown ? "\n\n### Final Answer\n" : "### Final Answer\n"
            out.append(.text(choice: 0, head + (show == .markdown ? text : Self.folded(text))))
        }
        let time = Hundredths.text(seconds)
        out.append(.text(choice: 0, "\n\n**Total thinking time: \(time) seconds**"))
    }

    /// Line breaks as HTML has them.
    private static func folded(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            if scalar == "\n" { out += "<br>" } else { out.unicodeScalars.append(scalar) }
        }
        return out
    }
}

/// Numbers with two digits behind the point.
enum Hundredths {
    /// The number as `%.2f` writes it.
    static func text(_ number: Double) -> String {
        let all = Int(exactly: (max(number, 0) * 100).rounded()) ?? 0
        let rest = all % 100
        return "\(all / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
