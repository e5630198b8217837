// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore
public import ParleyDialects

/// A service that speaks OpenAI's Chat Completions with an accent: one row of the catalogue.
public struct Vendor: Sendable {
    /// Where a row's facts were seen.
    public enum Evidence: Sendable {
        /// In recorded traffic or in the vendor's own SDK.
        case recorded
        /// In the vendor's documents or in other clients.
        case documented
    }

    /// The name of the kind in a configuration.
    public let id: String
    /// The name people know.
    public let name: String
    /// The base URL; words in braces are settings of the same name, e.g. `{account_id}`.
    public let baseURL: String
    /// Environment variables that hold the key, the first one set wins.
    public var variables: [String] = []
    /// Environment variables that hold another base URL.
    public var baseVariables: [String] = []
    /// Environment variables for the words in braces of the base URL.
    public var placeVariables: [String: String] = [:]
    /// Environment variable that must be `1` before the key alone is taken as a wish to use the service.
    public var consentVariable: String?
    /// False where requests go without a key.
    public var needsKey = true
    /// Where chats go, below the base URL.
    public var chatPath = "/chat/completions"
    /// Where prompts to complete go, below the base URL, where `quirks.completions` says that they may.
    public var completionsPath = "/completions"
    /// Where Responses go, below the base URL, where `quirks.responses` says that they may.
    public var responsesPath = "/responses"
    /// Whether there are models that answer only there.
    public var hasResponsesOnlyModels = false
    /// Where texts to embed go, below the base URL, unless `quirks.embeddings` says that there is nothing.
    public var embeddingsPath = "/embeddings"
    /// Where the list of models is: below the base URL, or from the host's root when it begins with `//`.
    public var modelsPath: String? = "/models"
    /// Headers the vendor wants with every request.
    public var headers: [HeaderField] = []
    /// Request fields the vendor needs.
    public var overrides: [FieldOverride] = []
    /// What the vendor does differently.
    public var quirks = Quirks()
    /// What the vendor wants changed in the values of chats, beyond its quirks.
    public var adjustment: (any ChatAdjustment)?
    /// The most texts that a model embeds at once, where it is not OpenAI's number.
    public var embeddingLimit: (@Sendable (_ model: String) -> Int)?
    /// Where the facts were seen.
    public var evidence = Evidence.documented
    /// What a user should know.
    public var note: String?

    /// A row with the vendor's differences filled in by `change`.
    init(
        _ id: String, _ name: String, _ baseURL: String, _ variables: [String] = [],
        _ change: (inout Vendor) -> Void = { _ in }
    ) {
        self.id = id
        self.name = name
        self.baseURL = baseURL
        self.variables = variables
        change(&self)
    }

    /// The settings that must be given for the base URL, in their order.
    public var places: [String] {
        baseURL.split(separator: "{", omittingEmptySubsequences: false).dropFirst().map { part in
            String(part.prefix { $0 != "}" })
        }
    }
}

/// Every OpenAI-compatible vendor that Parley knows by name.
public enum Catalogue {
    /// The vendors, in the order of the documentation.
    public static let vendors: [Vendor] = hosted + regional + faces + local

    /// The vendor of that id.
    public static func vendor(_ id: String) -> Vendor? { vendors.first { $0.id == id } }
}
