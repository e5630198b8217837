// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What a family of Claude models takes, told from a model's name.
///
/// Facts: Anthropic's model overview and migration guides, and refusals seen by others in the field.
struct ClaudeModel {
    /// Major and minor version, e.g. 4 and 5; nil where the name is none of Claude's.
    let version: (major: Int, minor: Int)?
    private let isOpus: Bool

    /// Reads `claude-3-5-sonnet-20241022`, `claude-opus-4-7`, `eu.anthropic.claude-sonnet-4-20250514-v1:0` and so on.
    init(_ name: String) {
        let words = name.lowercased().split { !($0.isLetter || $0.isNumber) }
        isOpus = words.contains("opus")
        guard let start = words.firstIndex(of: "claude") else {
            version = nil
            return
        }
        var numbers: [Int] = []
        for word in words[start...].dropFirst() {
            // Longer ones are dates; `v1` of a platform's name is no number.
            if word.count <= 2, let number = Int(word) {
                numbers.append(number)
                if numbers.count == 2 { break }
            } else if !numbers.isEmpty {
                break
            }
        }
        version = numbers.first.map { ($0, numbers.count > 1 ? numbers[1] : 0) }
    }

    private func isAtLeast(_ major: Int, _ minor: Int) -> Bool {
        guard let version else { return false }
        return version.major > major || (version.major == major && version.minor >= minor)
    }

    /// Whether it can think at all. Whoever copies the API is believed to.
    var thinks: Bool { version == nil || isAtLeast(3, 7) }

    /// Whether it can decide for itself how much to think.
    var thinksAdaptively: Bool { isAtLeast(4, 6) }

    /// Whether it refuses a thinking budget, and every sampling setting.
    var isAdaptiveOnly: Bool { isAtLeast(4, 7) }

    /// Whether it takes `temperature` or `top_p`, but not both.
    var takesOneSampling: Bool { isAtLeast(4, 1) }

    /// Whether answers can be held to a schema.
    var hasStructuredOutput: Bool { isAtLeast(4, 5) }

    /// The length of an answer where nobody says one.
    var defaultLength: Int {
        guard let version else { return 4096 }
        if isAtLeast(3, 7) { return 16384 }
        return version.major == 3 && version.minor >= 5 ? 8192 : 4096
    }

    /// The longest answer, thinking included, that is asked for unless a client does.
    var longest: Int {
        isOpus && isAtLeast(4, 0) && !isAtLeast(4, 5) ? 32000 : 64000
    }

    /// The word for an effort as this model knows it.
    func effort(_ word: String) -> String {
        switch word {
        case "minimal": "low"
        case "xhigh": isAdaptiveOnly ? "xhigh" : "high"
        default: word
        }
    }
}
