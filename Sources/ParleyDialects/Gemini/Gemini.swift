// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Google's Gemini API, as its clients speak it and as the Gemini API and Vertex AI answer it.
///
/// The model and whether to stream are in a request's path, so whoever reads a request sets them.
public struct Gemini: Dialect {
    /// Where requests go, since the two services differ in details.
    public enum Platform: Sendable {
        /// The Gemini API (`generativelanguage.googleapis.com`).
        case developer
        /// Vertex AI, which refuses ids in function calls.
        case vertex
    }

    /// Whether schemas are sent whole, in the fields for JSON Schema, or cut down to the classic subset.
    public let jsonSchemaFields: Bool
    /// Where requests go.
    public let platform: Platform

    /// The dialect as a service speaks it; for clients the arguments do not matter.
    public init(jsonSchemaFields: Bool = true, platform: Platform = .developer) {
        self.jsonSchemaFields = jsonSchemaFields
        self.platform = platform
    }

    /// `gemini`.
    public var id: DialectID { .gemini }

    /// An empty line: Google's Python SDK takes comments for JSON, and an empty line is white space in an array, too.
    public var keepAlive: StaticString { "\r\n" }

    /// What the Gemini API has no word for.
    public var losses: [Loss] {
        [
            Loss("parallel_tool_calls", .dropped, "The model decides how many functions it calls."),
            Loss("user", .dropped, "There is no end user in a request."),
            Loss("messages[].name", .dropped, "Turns have no names."),
            Loss("tools[].function.strict", .dropped, "Functions have no strict mode."),
            Loss("cache_control", .dropped, "Prompts are cached by the service or by `cachedContent`."),
            Loss("reasoning_effort", .dropped, "Models before Gemini 2.5 do not think."),
            Loss("messages[].reasoning_content", .dropped, "Reasoning of other vendors is not sent to Gemini."),
            Loss("image_url.detail", .dropped, "Images have no level of detail each."),
            Loss("tool_choice", .dropped, "Choices that name another vendor's own tools."),
            Loss("logit_bias", .dropped, "Tokens cannot be made more or less likely."),
            Loss("metadata", .dropped, "Requests carry no notes; `labels` are for bills."),
            Loss("service_tier", .dropped, "There are no tiers to ask for."),
            Loss("store", .dropped, "Answers are not stored."),
            Loss("verbosity", .dropped, "There is no such setting."),
            Loss("prediction", .dropped, "Answers cannot be predicted."),
            Loss("tools", .refused, "Another vendor's built-in tools and custom tools."),
            Loss("messages[].content", .refused, "Parts that only another vendor has, and ids of its files."),
            Loss("response_format", .refused, "Formats that only another vendor has."),
            Loss("messages[].role", .emulated, "A system message behind other turns is sent as the user's."),
        ]
    }

    /// Checks that the body is an object; the model and the stream are in the path.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake {
        Intake(body: body, reading: try Intake.scan(body), model: nil, stream: false, includeUsage: true)
    }

    /// Reads a client's request; what only this dialect knows goes to `extras`.
    public func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> ChatRequest {
        try GeminiRequestDecoder.decode(try Self.object(body))
    }

    /// Writes a request for the model that it names; the name itself goes into the path.
    public func encodeRequest(_ request: ChatRequest, dropped: inout [String]) throws(ParleyError) -> ByteBuffer {
        var encoder = GeminiRequestEncoder(dialect: self, request: request)
        let object = try encoder.encode()
        for name in encoder.dropped where !dropped.contains(name) { dropped.append(name) }
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(object))
        return buffer
    }

    /// A decoder for one upstream stream, as events or as one array.
    public func makeStreamDecoder() -> any StreamDecoder { GeminiStreamDecoder() }

    /// An encoder for one stream to a client, as events or as one array.
    public func makeStreamEncoder(_ context: AnswerContext) -> any StreamEncoder { GeminiStreamEncoder(context) }

    /// Reads a whole answer, also one that came as an array.
    public func decodeWhole(_ body: ByteBuffer) throws(ParleyError) -> ChatResponse {
        try GeminiWhole.decode(body)
    }

    /// Writes a whole answer.
    public func encodeWhole(_ response: ChatResponse, _ context: AnswerContext) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(.object(GeminiWhole.encode(response, context)))
        return buffer
    }

    /// Reads an upstream's error, alone or in an array.
    public func decodeFailure(status: Int, headers: HeaderBlock, body: ByteBuffer) -> ParleyError {
        GeminiFailure.read(status: status, headers: headers, body: body)
    }

    /// Google's error envelope.
    public func encodeFailure(_ error: ParleyError) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeJSON(GeminiFailure.envelope(error))
        return buffer
    }

    /// The envelope as a frame.
    public func encodeStreamFailure(_ error: ParleyError, into out: inout ByteBuffer) {
        out.writeStaticString("data: ")
        out.writeJSON(GeminiFailure.envelope(error))
        out.writeStaticString("\r\n\r\n")
    }

    /// A request's body as an object.
    static func object(_ body: ByteBuffer) throws(ParleyError) -> JSONObject {
        try RequestObject.read(body, otherwise: OpenAIChat.notAnObject)
    }
}

/// Names of models, as far as their differences matter for requests.
struct GeminiModelName {
    private let name: Substring

    init(_ name: String) {
        self.name = name.split(separator: "/").last ?? ""
    }

    /// Gemini 3 and later: thinking is asked for by level, and signatures of calls must come back.
    var isThird: Bool { name.hasPrefix("gemini-3") || name.hasPrefix("gemini-4") }
    /// The large ones, which cannot be kept from thinking.
    var isPro: Bool { name.contains("pro") }
    /// Whether it can think at all.
    var thinks: Bool {
        !name.hasPrefix("gemini-1") && !name.hasPrefix("gemini-2.0") && !name.hasPrefix("gemini-pro")
            && !name.hasPrefix("gemma")
    }
}

/// Ids of calls that the wire had none for.
enum GeminiCallID {
    static let prefix = "call_gm_"

    /// The id of a call, the same whenever the answer is read again.
    static func make(_ seed: String, _ turn: Int, _ index: Int) -> String {
        var hash = StableHash()
        hash.combine(seed)
        hash.combine("\(turn)/\(index)")
        return prefix + hash.letters(11)
    }

    /// Whether the id was made up here, so that Gemini does not know it.
    static func isMadeUp(_ id: String) -> Bool { id.hasPrefix(prefix) }
}

/// Members in Google's two spellings.
enum GeminiNames {
    /// The object with its own names in lowerCamelCase; what is inside of its members stays.
    static func camel(_ object: JSONObject) -> JSONObject {
        guard object.members.contains(where: { $0.key.utf8.contains(UInt8(ascii: "_")) }) else { return object }
        var out = object
        for index in out.members.indices { out.members[index].key = camel(out.members[index].key) }
        return out
    }

    static func camel(_ name: String) -> String {
        guard name.utf8.contains(UInt8(ascii: "_")) else { return name }
        var out = ""
        var isUpper = false
        for character in name {
            if character == "_", !out.isEmpty {
                isUpper = true
            } else if character != "_" {
                out += isUpper ? character.uppercased() : String(character)
                isUpper = false
            }
        }
        return out
    }
}
