// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Under which names of the table a model is looked for.
enum PriceNames {
    /// The vendors of the table for a kind of provider, the most fitting first.
    static func vendors(of kind: String) -> [String] {
        switch kind {
        case "azure": ["azure", "openai"]
        case "vertex": ["vertex", "gemini"]
        case "gemini-openai": ["gemini"]
        case "zai", "bigmodel": ["zhipu"]
        case "dashscope-compatible": ["dashscope"]
        case "cohere-compatible": ["cohere"]
        default: [kind]
        }
    }

    /// The names of a model to try, the most exact first.
    static func models(_ model: String, vendor: String) -> [String] {
        var names = [model]
        func add(_ name: Substring) {
            if !name.isEmpty, !names.contains(where: { $0 == name }) { names.append(String(name)) }
        }
        // Gemini's `models/…`, Vertex's `publishers/…/models/…`, Bedrock's ARNs.
        if vendor != "fireworks", let slash = model.utf8.lastIndex(of: UInt8(ascii: "/")) {
            let isPath = model.hasPrefix("models/") || model.hasPrefix("publishers/") || model.hasPrefix("arn:")
            if isPath { add(model[model.utf8.index(after: slash)...]) }
        }
        // A fine-tuned model of OpenAI: `ft:base:organisation::id`.
        if model.hasPrefix("ft:") {
            let parts = model.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            if parts.count > 1 { add(Substring("ft:" + parts[1])) }
        }
        if vendor == "bedrock" { for name in names { add(name.withoutRegion) } }
        for name in names { add(name.withoutDate) }
        return names
    }

    fileprivate static let regions: Set<Substring> = [
        "us", "eu", "apac", "global", "us-gov", "jp", "au", "ca", "in", "sa", "me", "af",
    ]
}

extension String {
    /// The id of a model of Bedrock without the region of its inference profile.
    fileprivate var withoutRegion: Substring {
        guard let dot = firstIndex(of: "."), PriceNames.regions.contains(self[..<dot]) else { return self[...] }
        return self[index(after: dot)...]
    }

    /// The name without `-2024-08-06`, `-20240806`, `@20240806` or `-latest` at its end.
    fileprivate var withoutDate: Substring {
        if let at = lastIndex(of: "@") { return self[..<at] }
        if hasSuffix("-latest") { return dropLast("-latest".count) }
        for (length, dashes) in [(11, [5, 8]), (9, [])] {
            let date = utf8.suffix(length)
            guard date.count == length, utf8.count > length, date.first == UInt8(ascii: "-") else { continue }
            let isDate = date.enumerated().dropFirst().allSatisfy { place, byte in
                dashes.contains(place)
                    ? byte == UInt8(ascii: "-") : (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            }
            if isDate { return self[..<date.startIndex] }
        }
        return self[...]
    }
}
