// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

extension Gemini: CountsTokens {
    /// Reads a request to count: `contents` alone, or a whole request in `generateContentRequest`.
    public func decodeCountRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest {
        let object = GeminiNames.camel(try Self.object(body))
        guard let whole = object["generateContentRequest"], !whole.isNull else {
            return try GeminiRequestDecoder.decode(object)
        }
        guard let inner = whole.object else {
            throw RequestFault.type("generateContentRequest", expected: "an object", got: whole)
        }
        var request = try GeminiRequestDecoder.decode(inner)
        if let model = inner["model"]?.string { request.model = GeminiModelList.id(of: model) }
        return request
    }

    /// Writes a request to count: the Gemini API wants it wrapped, Vertex AI as it is.
    public func encodeCountRequest(
        _ request: ChatRequest, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer {
        let body = try encodeRequest(request, dropped: &dropped)
        guard platform == .developer else { return body }
        var out = ByteBuffer()
        out.writeStaticString("{\"generateContentRequest\":")
        let name = request.model.contains("/") ? request.model : "models/\(request.model)"
        out.writeJSON(.object(JSONObject([.init("model", .string(name))] + (try Self.object(body)).members)))
        out.writeStaticString("}")
        return out
    }

    /// Reads `totalTokens`.
    public func decodeCount(_ body: ByteBuffer) throws(ParleyError) -> Int {
        guard let value = try? JSON.parse(body), let count = value["totalTokens"]?.int, count >= 0 else {
            throw ParleyError(.upstreamUnavailable, "The upstream's count of tokens is unreadable.")
        }
        return count
    }

    /// Writes `totalTokens`.
    public func encodeCount(_ count: Int) -> ByteBuffer {
        ByteBuffer(string: "{\"totalTokens\":\(count)}")
    }
}

/// The list of models in Gemini's shape.
public enum GeminiModelList {
    private static let methods: JSONValue = ["generateContent", "streamGenerateContent", "countTokens"]

    /// The models of these names.
    public static func encode(_ names: [String]) -> JSONValue {
        ["models": .array(names.map(model))]
    }

    /// One model.
    public static func model(_ name: String) -> JSONValue {
        [
            "name": .string("models/\(name)"), "version": "001", "displayName": .string(name),
            "supportedGenerationMethods": methods,
        ]
    }

    /// A model's name without `models/`.
    public static func id(of name: String) -> String {
        name.hasPrefix("models/") ? String(name.dropFirst("models/".count)) : name
    }
}
