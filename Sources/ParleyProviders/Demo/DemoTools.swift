// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Which tools the demo calls, and with what.
enum DemoTools {
    /// The calls that answer `request`; none where it is answered with text.
    static func calls(for request: ChatRequest, callID: String) -> [ToolCall] {
        guard !request.tools.isEmpty else { return [] }
        // Whoever brings a result wants to hear about it, even where the choice still says `required`.
        if let last = request.messages.last, last.role == .tool || last.role == .function { return [] }
        return chosen(request).enumerated().map { index, tool in
            var call = ToolCall(
                id: "call_\(callID.filter { $0.isLetter || $0.isNumber }.suffix(20))_\(index)", name: tool.name,
                arguments: JSON.text(SchemaInstance.make(tool.parameters ?? ["type": "object"])))
            if tool.opaque?.1["type"]?.string == "custom" {
                call.isCustom = true
                call.arguments = "Hello from Parley."
            }
            return call
        }
    }

    private static func chosen(_ request: ChatRequest) -> [Tool] {
        let mentioned = mentioned(request)
        switch request.toolChoice {
        case ToolChoice.none?:
            return []
        case .named(let name):
            return request.tools.filter { $0.name == name }
        case .opaque(_, let value):
            let named = request.tools.filter { isMentioned($0.name, in: value) }
            return [mentioned.first ?? named.first ?? request.tools[0]]
        case .required:
            return mentioned.isEmpty ? [request.tools[0]] : mentioned
        case .auto, nil:
            return mentioned.isEmpty && asksForTool(request) ? [request.tools[0]] : mentioned
        }
    }

    /// The tools whose names the user said; only the first where calls must come one by one.
    private static func mentioned(_ request: ChatRequest) -> [Tool] {
        let text = DemoText.lastUserText(request).lowercased()
        let found = request.tools.filter { tool in
            let name = tool.name.lowercased()
            return !name.isEmpty && (text.contains(name) || text.contains(name.replacing("_", with: " ")))
        }
        return request.parallelToolCalls == false ? Array(found.prefix(1)) : found
    }

    private static func asksForTool(_ request: ChatRequest) -> Bool {
        let text = DemoText.lastUserText(request).lowercased()
        let verbs = ["use", "call", "try", "run"]
        let articles = ["", "a ", "the ", "any ", "your ", "some "]
        return verbs.contains { verb in articles.contains { text.contains("\(verb) \($0)tool") } }
    }

    private static func isMentioned(_ name: String, in value: JSONValue) -> Bool {
        switch value {
        case .string(let text): text == name
        case .array(let elements): elements.contains { isMentioned(name, in: $0) }
        case .object(let object): object.members.contains { isMentioned(name, in: $0.value) }
        default: false
        }
    }
}
