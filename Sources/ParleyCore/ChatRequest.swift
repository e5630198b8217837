// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A chat request in the neutral form: what every dialect can be read into and written from.
///
/// Fields that only one dialect knows travel in `extras`, tagged with that dialect, and are written back only there.
public struct ChatRequest: Sendable, Equatable {
    /// The model the client asked for; empty when it named none.
    public var model: String
    /// The turns so far, system messages included, in order.
    public var messages: [Message]
    /// The tools the model may call.
    public var tools: [Tool] = []
    /// Whether and which tool must be called.
    public var toolChoice: ToolChoice?
    /// Whether several tools may be called in one turn.
    public var parallelToolCalls: Bool?
    /// The shape the answer must have.
    public var responseFormat: ResponseFormat?
    /// The most tokens the answer may have.
    public var maxTokens: Int?
    /// Which field `maxTokens` came from, where a dialect has two (`max_tokens`, `max_completion_tokens`).
    public var maxTokensIsLegacy = false
    /// Sampling temperature.
    public var temperature: Double?
    /// Nucleus sampling.
    public var topP: Double?
    /// Penalty for tokens by how often they came, -2 to 2.
    public var frequencyPenalty: Double?
    /// Penalty for tokens that came at all, -2 to 2.
    public var presencePenalty: Double?
    /// Where to stop.
    public var stop: [String] = []
    /// How many answers.
    public var n: Int?
    /// Whether to report log probabilities.
    public var logprobs: Bool?
    /// How many alternatives to report with each token.
    public var topLogprobs: Int?
    /// Seed of the sampling.
    public var seed: Int?
    /// Sampling among the likeliest tokens only.
    public var topK: Int?
    /// How hard to think: none, minimal, low, medium, high, xhigh or max.
    public var reasoningEffort: String?
    /// How many tokens to think with, where the client says it in tokens; 0 is not at all, -1 as the model likes.
    public var reasoningBudget: Int?
    /// Whether the client wants to read the reasoning; nil leaves it to the upstream.
    public var showsReasoning: Bool?
    /// An opaque end-user id.
    public var user: String?
    /// Whether the client asked for a stream.
    public var stream = false
    /// Whether the client asked for the usage chunk at a stream's end.
    public var includeUsage = false
    /// Fields with no neutral meaning, in order, with the dialect that knows them.
    public var extras = Extras()

    /// A request with messages and nothing else said.
    public init(model: String, messages: [Message]) {
        self.model = model
        self.messages = messages
    }
}

/// Fields that only one dialect knows; other dialects drop them and say so.
public struct Extras: Sendable, Equatable {
    /// The dialect the fields belong to; nil when there are none.
    public var dialect: DialectID?
    /// The fields in order.
    public var fields: JSONObject

    /// The given fields of the given dialect.
    public init(_ dialect: DialectID? = nil, _ fields: JSONObject = [:]) {
        self.dialect = dialect
        self.fields = fields
    }

    /// The fields, if they belong to `dialect`; else none.
    public func of(_ dialect: DialectID) -> JSONObject {
        self.dialect == dialect ? fields : [:]
    }
}

/// One turn.
public struct Message: Sendable, Equatable {
    /// Who speaks.
    public enum Role: String, Sendable {
        case system, developer, user, assistant, tool
        /// The deprecated answer of a function call.
        case function
    }

    /// Who speaks.
    public var role: Role
    /// What is said, part by part.
    public var content: [Part]
    /// Whether the content was a bare string on the wire, so that it can be written as one again.
    public var contentIsText = false
    /// The speaker's name.
    public var name: String?
    /// Calls the assistant made.
    public var toolCalls: [ToolCall] = []
    /// Which call a tool message answers.
    public var toolCallID: String?
    /// A refusal in place of content.
    public var refusal: String?
    /// Reasoning of an assistant turn, kept for vendors that want it back.
    public var reasoning: [Reasoning] = []
    /// Whether a tool message reports a failure of the tool.
    public var isError = false
    /// Where a prompt cache may end: by index of the content part that is the last one to be cached.
    public var cacheMarks: [Int: CacheMark] = [:]
    /// Fields with no neutral meaning.
    public var extras = Extras()

    /// A turn made of parts.
    public init(_ role: Role, _ content: [Part]) {
        self.role = role
        self.content = content
    }

    /// A turn of plain text.
    public init(_ role: Role, text: String) {
        self.role = role
        self.content = [.text(text)]
        self.contentIsText = true
    }

    /// All text parts joined.
    public var text: String {
        var joined = ""
        for case .text(let text) in content { joined += text }
        return joined
    }
}

/// A point up to which a prompt is worth caching.
public struct CacheMark: Sendable, Equatable {
    /// How long to keep it, as Anthropic words it: `5m` or `1h`; nil is the upstream's own choice.
    public var ttl: String?

    /// A mark with the given time to live.
    public init(ttl: String? = nil) {
        self.ttl = ttl
    }
}

/// A piece of a message.
public enum Part: Sendable, Equatable {
    case text(String)
    /// An image by address (`https:` or `data:`), with OpenAI's `detail` where given.
    case image(url: String, detail: String?)
    /// Audio as base64, with its format (`wav`, `mp3`).
    case audio(data: String, format: String)
    /// A file: by id at the vendor, or inline as base64 or data URL.
    case file(FilePart)
    case refusal(String)
    /// A part that only one dialect knows, kept whole.
    case opaque(DialectID, JSONValue)
}

/// A file inside a message: by id, by address, as base64 or as plain text.
public struct FilePart: Sendable, Equatable {
    /// The vendor's id of an uploaded file.
    public var id: String?
    /// The content as a data URL or base64.
    public var data: String?
    /// The file's name.
    public var name: String?
    /// The file's address.
    public var url: String?
    /// The content as plain text.
    public var text: String?
    /// The media type, e.g. `application/pdf`; `image/*` and `video/*` where only the kind is known.
    public var mediaType: String?

    /// A file by id, by content, or both.
    public init(id: String? = nil, data: String? = nil, name: String? = nil) {
        self.id = id
        self.data = data
        self.name = name
    }
}

/// A tool on offer.
public struct Tool: Sendable, Equatable {
    /// The tool's name.
    public var name: String
    /// What it does, for the model to read.
    public var description: String?
    /// JSON Schema of the arguments.
    public var parameters: JSONValue?
    /// Set where a prompt cache may end behind this tool.
    public var cacheMark: CacheMark?
    /// Whether arguments must follow the schema exactly.
    public var strict: Bool?
    /// A kind of tool only one dialect knows (custom, built-in), kept whole; the fields above then say what they can.
    public var opaque: (DialectID, JSONValue)?
    /// Fields beside the ones above, e.g. `cache_control`.
    public var extras = Extras()

    /// A function tool.
    public init(name: String, description: String? = nil, parameters: JSONValue? = nil, strict: Bool? = nil) {
        self.name = name
        self.description = description
        self.parameters = parameters
        self.strict = strict
    }

    /// Equal in every field.
    public static func == (a: Tool, b: Tool) -> Bool {
        a.name == b.name && a.description == b.description && a.parameters == b.parameters && a.strict == b.strict
            && a.opaque?.0 == b.opaque?.0 && a.opaque?.1 == b.opaque?.1 && a.extras == b.extras
            && a.cacheMark == b.cacheMark
    }
}

/// Whether and which tool must be called.
public enum ToolChoice: Sendable, Equatable {
    case auto, none, required
    case named(String)
    /// A choice that only one dialect knows (`allowed_tools`, custom tools).
    case opaque(DialectID, JSONValue)
}

/// A tool call the model made. Arguments are text until someone needs them.
public struct ToolCall: Sendable, Equatable {
    /// The call's id; a tool message answers by it.
    public var id: String
    /// The tool's name.
    public var name: String
    /// The arguments as the model wrote them: JSON text, most of the time.
    public var arguments: String
    /// True for OpenAI's custom tools, whose input is free text.
    public var isCustom = false
    /// What binds the call to the reasoning before it and must go back to its origin with the call (Gemini).
    public var signature: String?
    /// The dialect whose upstreams understand `signature`; nil where unknown.
    public var origin: DialectID?
    /// Fields with no neutral meaning.
    public var extras = Extras()

    /// A call of a function.
    public init(id: String, name: String, arguments: String) {
        self.id = id
        self.name = name
        self.arguments = arguments
    }
}

/// The shape an answer must have.
public enum ResponseFormat: Sendable, Equatable {
    case text
    case jsonObject
    case jsonSchema(name: String, description: String?, schema: JSONValue?, strict: Bool?)
    case opaque(DialectID, JSONValue)
}

/// A piece of reasoning, with whatever binds it to its origin.
public struct Reasoning: Sendable, Equatable {
    /// The readable text; empty for encrypted reasoning.
    public var text: String
    /// The signature or ciphertext the origin wants back byte for byte.
    public var signature: String?
    /// The vendor's own object, kept whole, e.g. an element of `reasoning_details`.
    public var opaque: JSONValue?
    /// The dialect whose upstreams understand `signature` and `opaque`; nil where unknown. Others must not get them.
    public var origin: DialectID?

    /// Reasoning with its text.
    public init(_ text: String, signature: String? = nil, opaque: JSONValue? = nil, origin: DialectID? = nil) {
        self.text = text
        self.signature = signature
        self.opaque = opaque
        self.origin = origin
    }
}

/// The shape of an API on the wire.
public struct DialectID: Sendable, Hashable {
    /// The dialect's name, as it appears in logs and docs.
    public let name: String

    /// A dialect by its name.
    public init(_ name: String) { self.name = name }

    /// OpenAI's Chat Completions.
    public static let openAIChat = DialectID("openai-chat")
    /// OpenAI's Responses.
    public static let openAIResponses = DialectID("openai-responses")
    /// OpenAI's legacy Completions.
    public static let openAICompletions = DialectID("openai-completions")
    /// Anthropic's Messages. Claude's signatures are the same on every platform, so Bedrock's and Vertex's count as it.
    public static let anthropic = DialectID("anthropic")
    /// Google's Gemini API, also on Vertex AI.
    public static let gemini = DialectID("gemini")
    /// Amazon Bedrock's Converse.
    public static let bedrock = DialectID("bedrock")
    /// Ollama's native chat.
    public static let ollama = DialectID("ollama")
    /// Cohere's chat, version 2.
    public static let cohere = DialectID("cohere")
    /// FlowGPT's chat.
    public static let flowGPT = DialectID("flowgpt")
    /// Fitten Code's chat.
    public static let fitten = DialectID("fitten")
    /// The chat of Claude's web site.
    public static let claudeWeb = DialectID("claude-web")
    /// iFLYTEK Spark's WebSocket frames.
    public static let spark = DialectID("spark")
    /// The Agent Client Protocol.
    public static let acp = DialectID("acp")
    /// Zhipu's older API, version 3.
    public static let zhipu = DialectID("zhipu-v3")
    /// Baidu's older API of ERNIE, with an access token.
    public static let ernie = DialectID("ernie")
    /// Alibaba DashScope's own API.
    public static let dashscope = DialectID("dashscope")
}
