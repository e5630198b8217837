// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Whose model a Bedrock model id names, since Converse takes some fields from some families only.
///
/// An id is `vendor.model-v1:0`, the same with a region's prefix (`us.`, `global.`), or an ARN that ends in one of
/// them. The ARN of an application's own profile names no vendor: then nothing is known.
struct ModelFamily: Equatable {
    enum Vendor: Equatable {
        case anthropic, nova, mistral, openAI, llama, cohere, other
        /// The id does not say.
        case unknown
    }

    var vendor: Vendor
    /// Claude's version, e.g. 4.5 as 405; zero where the name says none.
    var version = 0

    init(_ model: String) {
        let name = model.split(separator: "/").last.map { $0.lowercased() } ?? ""
        let words: [(String, Vendor)] = [
            ("anthropic.", .anthropic), ("amazon.nova", .nova), ("mistral.", .mistral), ("openai.", .openAI),
            ("meta.llama", .llama), ("cohere.", .cohere),
        ]
        if let found = words.first(where: { name.contains($0.0) }) {
            vendor = found.1
        } else {
            vendor = model.isEmpty || model.contains(":application-inference-profile/") ? .unknown : .other
        }
        if vendor == .anthropic { version = Self.version(name) }
    }

    /// Whether Claude's own fields may be sent.
    var mayBeClaude: Bool { vendor == .anthropic || vendor == .unknown }

    /// Whether `outputConfig` and `strict` are understood: Claude from 4.5 on.
    var hasStructuredOutput: Bool { vendor == .anthropic && version >= 405 }

    /// Whether it can think at all, with a budget: Claude from 3.7 on.
    var takesThinkingBudget: Bool { vendor == .anthropic && version >= 307 }

    /// Whether it decides itself how much to think, told only how hard to try: Claude from 4.6 on.
    var thinksAdaptively: Bool { vendor == .anthropic && version >= 406 }

    /// Whether a prompt cache can be asked for.
    var hasCachePoints: Bool { mayBeClaude || vendor == .nova }

    /// Whether a tool can be demanded.
    var takesToolChoice: Bool { mayBeClaude || vendor == .nova || vendor == .mistral || vendor == .openAI }

    /// Whether a tool's result can say that the tool failed.
    var takesResultStatus: Bool { mayBeClaude || vendor == .nova }

    /// Nova 2 and its like can be told how hard to think; the first Nova cannot.
    static func novaThinks(_ model: String) -> Bool { model.contains("nova-2") }

    /// `claude-haiku-4-5-20251001` and `claude-3-7-sonnet-20250219` as 405 and 307.
    private static func version(_ name: String) -> Int {
        guard let start = name.firstRange(of: "claude-") else { return 0 }
        var numbers: [Int] = []
        for word in name[start.upperBound...].split(separator: "-") {
            if word.utf8.count <= 2, let number = Int(word) {
                numbers.append(number)
            } else if !numbers.isEmpty {
                break
            }
        }
        return (numbers.first ?? 0) * 100 + (numbers.count > 1 ? numbers[1] : 0)
    }
}
