// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension BuiltInAnswers {
    /// OpenAI's objects, as far as the built-in answers read or write them.
    enum Wire {
        /// What the answers depend on in a chat completion request.
        struct Request: Decodable {
            struct StreamOptions: Decodable {
                var includeUsage: Bool?
                enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
            }
            struct Tool: Decodable {
                struct Function: Decodable { var name: String }
                var function: Function?
            }
            struct Message: Decodable {
                var role: String?
                var content: Content?
            }
            struct Part: Decodable { var text: String? }
            enum Content: Decodable {
                case text(String)
                case parts([Part])

                init(from decoder: any Decoder) throws {
                    let container = try decoder.singleValueContainer()
                    if let text = try? container.decode(String.self) {
                        self = .text(text)
                    } else {
                        self = .parts(try container.decode([Part].self))
                    }
                }

                var text: String {
                    switch self {
                    case .text(let text): text
                    case .parts(let parts): parts.compactMap(\.text).joined(separator: " ")
                    }
                }
            }
            /// Only whether a call is demanded matters: by the word `required`, or by naming a function.
            enum ToolChoice: Decodable {
                case word(String)
                case named

                init(from decoder: any Decoder) throws {
                    let word = try? decoder.singleValueContainer().decode(String.self)
                    self = word.map { .word($0) } ?? .named
                }
            }

            var model: String?
            var messages: [Message]?
            var stream: Bool?
            var streamOptions: StreamOptions?
            var tools: [Tool]?
            var toolChoice: ToolChoice?
            var n: Int?

            enum CodingKeys: String, CodingKey {
                case model, messages, stream, tools, n
                case streamOptions = "stream_options"
                case toolChoice = "tool_choice"
            }

            /// Whether the answer is a tool call.
            var wantsCall: Bool {
                switch toolChoice {
                case .word("required"), .named: return true
                case .word("none"): return false
                default: break
                }
                // A tool result that follows the request for a call is to be answered with text.
                guard messages?.last?.role == "user" else { return false }
                return messages?.last?.content?.text.contains("call tool") == true
            }
        }

        struct ModelObject: Encodable {
            var id: String
            var object = "model"
            var created = 1_735_689_600
            var ownedBy = "upstream"
            enum CodingKeys: String, CodingKey {
                case id, object, created
                case ownedBy = "owned_by"
            }
        }

        struct ModelList: Encodable {
            var object = "list"
            var data: [ModelObject]
        }

        struct Call: Encodable {
            struct Function: Encodable {
                var name: String
                var arguments = "{}"
            }
            var id = "call_upstream1"
            var type = "function"
            var function: Function
            init(name: String) { function = Function(name: name) }
        }

        struct Message: Encodable {
            var content: String?
            var toolCalls: [Call]?
            enum CodingKeys: String, CodingKey {
                case role, content, refusal, annotations
                case toolCalls = "tool_calls"
            }
            func encode(to encoder: any Encoder) throws {
                var members = encoder.container(keyedBy: CodingKeys.self)
                try members.encode("assistant", forKey: .role)
                try members.encode(content, forKey: .content)
                try members.encodeNil(forKey: .refusal)
                try members.encode([String](), forKey: .annotations)
                try members.encodeIfPresent(toolCalls, forKey: .toolCalls)
            }
        }

        struct Choice: Encodable {
            var index: Int
            var message: Message
            var finishReason: String
            enum CodingKeys: String, CodingKey {
                case index, message, logprobs
                case finishReason = "finish_reason"
            }
            func encode(to encoder: any Encoder) throws {
                var members = encoder.container(keyedBy: CodingKeys.self)
                try members.encode(index, forKey: .index)
                try members.encode(message, forKey: .message)
                try members.encodeNil(forKey: .logprobs)
                try members.encode(finishReason, forKey: .finishReason)
            }
        }

        struct Usage: Encodable {
            struct PromptDetails: Encodable {
                var cachedTokens = 0
                enum CodingKeys: String, CodingKey { case cachedTokens = "cached_tokens" }
            }
            struct CompletionDetails: Encodable {
                var reasoningTokens = 0
                enum CodingKeys: String, CodingKey { case reasoningTokens = "reasoning_tokens" }
            }
            var promptTokens: Int
            var completionTokens: Int
            var totalTokens: Int
            var promptDetails = PromptDetails()
            var completionDetails = CompletionDetails()

            init(promptTokens: Int, completionTokens: Int) {
                self.promptTokens = promptTokens
                self.completionTokens = completionTokens
                totalTokens = promptTokens + completionTokens
            }

            enum CodingKeys: String, CodingKey {
                case promptTokens = "prompt_tokens"
                case completionTokens = "completion_tokens"
                case totalTokens = "total_tokens"
                case promptDetails = "prompt_tokens_details"
                case completionDetails = "completion_tokens_details"
            }
        }

        struct Completion: Encodable {
            var id = "chatcmpl-upstream1"
            var object = "chat.completion"
            var created = 1_735_689_600
            var model: String
            var choices: [Choice]
            var usage: Usage
            var serviceTier = "default"
            var systemFingerprint = "fp_upstream"
            enum CodingKeys: String, CodingKey {
                case id, object, created, model, choices, usage
                case serviceTier = "service_tier"
                case systemFingerprint = "system_fingerprint"
            }
        }

        struct Failure: Encodable {
            struct Body: Encodable {
                var message: String
                var type: String
                var code: String?
                enum CodingKeys: String, CodingKey { case message, type, param, code }
                func encode(to encoder: any Encoder) throws {
                    var members = encoder.container(keyedBy: CodingKeys.self)
                    try members.encode(message, forKey: .message)
                    try members.encode(type, forKey: .type)
                    try members.encodeNil(forKey: .param)
                    try members.encode(code, forKey: .code)
                }
            }
            var error: Body
        }
    }
}
