// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// About how much memory requests and answers take: their texts, and a little for each thing that holds one.
enum Footprint {
    private static let perObject = 64

    static func of(_ request: ChatRequest) -> Int {
        var size = 512
        for message in request.messages { size = size.clampedSum(of(message)) }
        for tool in request.tools {
            size = size.clampedSum(perObject + tool.name.utf8.count + (tool.description?.utf8.count ?? 0))
            size = size.clampedSum(of(tool.parameters)).clampedSum(of(tool.opaque?.1))
        }
        if case .jsonSchema(_, _, let schema, _)? = request.responseFormat { size = size.clampedSum(of(schema)) }
        return size.clampedSum(of(.object(request.extras.fields)))
    }

    static func of(_ response: ChatResponse) -> Int {
        var size = 512.clampedSum(of(.object(response.identity.extras.fields)))
        for choice in response.choices {
            size = size.clampedSum(of(choice.message)).clampedSum(of(choice.audio)).clampedSum(of(choice.logprobs))
        }
        return size
    }

    private static func of(_ message: Message) -> Int {
        var size = 2 * perObject
        for part in message.content { size = size.clampedSum(of(part)) }
        for call in message.toolCalls {
            size = size.clampedSum(
                perObject + call.id.utf8.count + call.name.utf8.count + call.arguments.utf8.count
                    + (call.signature?.utf8.count ?? 0))
        }
        for piece in message.reasoning {
            size = size.clampedSum(perObject + piece.text.utf8.count + (piece.signature?.utf8.count ?? 0))
            size = size.clampedSum(of(piece.opaque))
        }
        return size.clampedSum(of(.object(message.extras.fields))).clampedSum(message.refusal?.utf8.count ?? 0)
    }

    private static func of(_ part: Part) -> Int {
        switch part {
        case .text(let text), .refusal(let text): return perObject + text.utf8.count
        case .image(let url, _): return perObject + url.utf8.count
        case .audio(let data, _): return perObject + data.utf8.count
        case .file(let file):
            return perObject + (file.data?.utf8.count ?? 0) + (file.text?.utf8.count ?? 0)
                + (file.url?.utf8.count ?? 0)
        case .opaque(_, let value): return perObject.clampedSum(of(value))
        }
    }

    private static func of(_ value: JSONValue?) -> Int {
        switch value {
        case nil, .null?, .bool?: return 16
        case .number(let text)?, .string(let text)?: return 32 + text.utf8.count
        case .array(let list)?: return list.reduce(perObject) { $0.clampedSum(of($1)) }
        case .object(let object)?:
            return object.members.reduce(perObject) { $0.clampedSum(32 + $1.key.utf8.count).clampedSum(of($1.value)) }
        }
    }
}
