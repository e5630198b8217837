// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Writes response objects, which repeat the settings of their request (openai SDK 3.52, `responses/response.py`).
struct ResponseObject {
    /// How a response stands.
    enum Status: String {
        case inProgress = "in_progress"
        case completed, incomplete, failed
    }

    let id: String
    /// The id without its prefix, from which the items' ids are made.
    let base: String
    private let created: Int
    private let completedAt: Int
    private let model: String
    /// The members between `incomplete_details` and `model`, and those behind `output`.
    private let front: ByteBuffer
    private let back: ByteBuffer
    /// Whether the client asked for log probabilities.
    let wantsLogprobs: Bool

    init(_ identity: AnswerIdentity, _ context: AnswerContext) {
        id = identity.id.hasPrefix("resp_") ? identity.id : "resp_\(context.id)"
        base = String(id.dropFirst(5))
        created = identity.created == 0 ? context.created : identity.created
        completedAt = max(context.created, created)
        model = identity.model.isEmpty ? context.model : identity.model
        let settings = RequestSettings(context.request)
        wantsLogprobs = settings.wantsLogprobs
        let extras = identity.extras.dialect == .openAIChat ? identity.extras.of(.openAIChat) : identity.extras.fields
        front = settings.front()
        back = settings.back(tier: extras["service_tier"]?.string)
    }

    /// Appends the object.
    ///
    /// - Parameters:
    ///   - reason: why it is incomplete.
    ///   - failure: the `error` object's code and message.
    func write(
        _ status: Status, output: [JSONValue], usage: Usage = Usage(), reason: String? = nil,
        failure: (code: String, message: String)? = nil, into out: inout ByteBuffer
    ) {
        out.writeStaticString("{\"id\":")
        out.writeJSONString(id)
        out.writeStaticString(",\"object\":\"response\",\"created_at\":")
        out.writeString(String(created))
        out.writeStaticString(",\"status\":")
        out.writeJSONString(status.rawValue)
        out.writeStaticString(",\"background\":false,\"completed_at\":")
        out.writeString(status == .completed ? String(completedAt) : "null")
        out.writeStaticString(",\"error\":")
        if let failure {
            out.writeJSON(["code": .string(failure.code), "message": .string(failure.message)])
        } else {
            out.writeStaticString("null")
        }
        out.writeStaticString(",\"incomplete_details\":")
        out.writeJSON(reason.map { ["reason": .string($0)] } ?? .null)
        out.writeImmutableBuffer(front)
        out.writeStaticString(",\"model\":")
        out.writeJSONString(model)
        out.writeStaticString(",\"output\":")
        out.writeJSON(.array(output))
        out.writeImmutableBuffer(back)
        out.writeStaticString(",\"usage\":")
        Self.write(usage, into: &out)
        out.writeStaticString("}")
    }

    /// Usage with every class the official SDK requires; one that nobody reported is zero here.
    private static func write(_ usage: Usage, into out: inout ByteBuffer) {
        guard !usage.isEmpty else {
            out.writeStaticString("null")
            return
        }
        out.writeStaticString("{\"input_tokens\":")
        out.writeString(String(usage.input ?? 0))
        out.writeStaticString(",\"input_tokens_details\":{\"cached_tokens\":")
        out.writeString(String(usage.cacheRead ?? 0))
        out.writeStaticString(",\"cache_write_tokens\":")
        out.writeString(String(usage.cacheWrite ?? 0))
        out.writeStaticString("},\"output_tokens\":")
        out.writeString(String(usage.output ?? 0))
        out.writeStaticString(",\"output_tokens_details\":{\"reasoning_tokens\":")
        out.writeString(String(usage.reasoning ?? 0))
        out.writeStaticString("},\"total_tokens\":")
        out.writeString(String(usage.statedTotal ?? usage.total))
        out.writeStaticString("}")
    }
}

/// What a request said, for the responses that repeat it. Settings it did not say have the values OpenAI shows.
private struct RequestSettings {
    private let scan: JSONScan?
    let wantsLogprobs: Bool

    init(_ request: ByteBuffer?) {
        scan = request.flatMap { try? JSONScan($0) }
        var list: [JSONValue] = []
        if let scan, let member = scan.member("include") { list = (try? scan.value(member))?.array ?? [] }
        wantsLogprobs = list.contains(.string(ResponsesField.logprobs))
    }

    private func value(_ name: String) -> JSONValue? {
        guard let scan, let member = scan.member(name), !scan.isNull(member) else { return nil }
        return try? scan.value(member)
    }

    /// Appends a member as the request has it.
    private func put(_ name: String, _ standard: String, into out: inout ByteBuffer) {
        out.writeString(",\"\(name)\":")
        if let scan, let member = scan.member(name), !scan.isNull(member), let slice = scan.slice(member) {
            out.writeImmutableBuffer(slice)
        } else {
            out.writeString(standard)
        }
    }

    func front() -> ByteBuffer {
        var out = ByteBuffer()
        for name in ["instructions", "max_output_tokens", "max_tool_calls"] { put(name, "null", into: &out) }
        return out
    }

    func back(tier: String?) -> ByteBuffer {
        var out = ByteBuffer()
        put("parallel_tool_calls", "true", into: &out)
        put("previous_response_id", "null", into: &out)
        if let conversation = value("conversation") {
            out.writeStaticString(",\"conversation\":")
            let id = conversation["id"] ?? conversation
            out.writeJSON(["id": id])
        }
        if value("prompt") != nil { put("prompt", "null", into: &out) }
        put("prompt_cache_key", "null", into: &out)
        if value("prompt_cache_retention") != nil { put("prompt_cache_retention", "null", into: &out) }
        out.writeStaticString(",\"reasoning\":")
        out.writeJSON(.object(filled("reasoning", ["effort": nil, "summary": nil])))
        put("safety_identifier", "null", into: &out)
        out.writeStaticString(",\"service_tier\":")
        out.writeJSON(tier.map { .string($0) } ?? value("service_tier") ?? "default")
        put("store", "true", into: &out)
        put("temperature", "1.0", into: &out)
        out.writeStaticString(",\"text\":")
        out.writeJSON(.object(filled("text", ["format": ["type": "text"], "verbosity": "medium"])))
        put("tool_choice", "\"auto\"", into: &out)
        out.writeStaticString(",\"tools\":")
        out.writeJSON(.array((value("tools")?.array ?? []).map(Self.complete)))
        put("top_logprobs", "0", into: &out)
        put("top_p", "1.0", into: &out)
        put("truncation", "\"disabled\"", into: &out)
        put("user", "null", into: &out)
        put("metadata", "{}", into: &out)
        return out
    }

    private func filled(_ name: String, _ standard: JSONObject) -> JSONObject {
        var object = value(name)?.object ?? [:]
        for member in standard.members where object[member.key] == nil { object.members.append(member) }
        return object
    }

    /// A function with the members that the official SDK's model requires.
    private static func complete(_ tool: JSONValue) -> JSONValue {
        guard case .object(var object) = tool, object["type"] == "function" else { return tool }
        if object["parameters"] == nil { object["parameters"] = .null }
        if object["strict"] == nil || object["strict"] == .some(.null) { object["strict"] = true }
        return .object(object)
    }
}
