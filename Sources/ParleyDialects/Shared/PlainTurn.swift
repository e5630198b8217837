// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Turns of services that know nothing but text.
enum PlainTurn {
    /// What a turn says, its parts joined by line feeds.
    ///
    /// - Throws: `invalid` for what is no text.
    static func text(of message: Message, _ path: String) throws(ParleyError) -> String {
        var texts: [String] = []
        for (index, part) in message.content.enumerated() {
            texts.append(try text(of: part, "\(path).content[\(index)]"))
        }
        if let refusal = message.refusal { texts.append(refusal) }
        return texts.joined(separator: "\n")
    }

    /// What a part says.
    ///
    /// - Throws: `invalid` for what is no text.
    static func text(of part: Part, _ path: String) throws(ParleyError) -> String {
        switch part {
        case .text(let text), .refusal(let text): return text
        case .image: throw RequestFault.unsupported("\(path).image_url", "takes no images")
        case .audio: throw RequestFault.unsupported("\(path).input_audio", "takes no audio")
        case .file(let file):
            guard let text = file.plainText else {
                throw RequestFault.unsupported("\(path).file", "takes files of text only")
            }
            return text
        case .opaque: throw RequestFault.unsupported(path, "has no such content part")
        }
    }
}

/// What stands in a system prompt for a response format that the service does not have.
enum FormatInstruction {
    /// The instruction; nil where plain text is wanted.
    ///
    /// - Throws: `invalid` for a format that only another vendor knows.
    static func text(for format: ResponseFormat?) throws(ParleyError) -> String? {
        switch format {
        case nil, .text?: return nil
        case .jsonObject?, .jsonSchema(_, _, nil, _)?: return "Answer with a JSON object and nothing else."
        case .jsonSchema(_, _, let schema?, _)?:
            return "Answer with JSON and nothing else; it must follow this JSON Schema: \(JSON.text(schema))"
        case .opaque?: throw RequestFault.unsupportedFormat
        }
    }
}
