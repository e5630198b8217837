// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// Amazon Bedrock: Converse for every model, signed with AWS credentials or with one of Bedrock's own API keys.
struct BedrockProvider: ListsModels, Embeds {
    /// The settings that only this kind knows.
    static let options = ["region", "access_key", "secret_key", "session_token"]

    let id: String
    let credentials: Credentials

    private let access: ServiceAccess
    /// Where models are listed, which is another host than the one that runs them.
    private let control: ServiceAccess
    let overrides: [FieldOverride]
    /// Nil where requests are sent with an API key.
    private let signer: SigV4?
    /// Seconds since 1970.
    private let clock: @Sendable () -> Int
    private let dialect = Bedrock()

    init(_ setup: ProviderSetup, clock: @escaping @Sendable () -> Int = { time(nil) }) throws(ProviderError) {
        id = setup.name
        let region = try Self.region(setup)
        let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        let base = try ServiceAccess.base(setup, standard: "https://bedrock-runtime.\(region).\(domain)")
        access = try ServiceAccess(setup, base: base)
        var controlBase = base
        let runtime = "bedrock-runtime"
        if base.host.hasPrefix(runtime) { controlBase.host = "bedrock" + base.host.dropFirst(runtime.count) }
        control = try ServiceAccess(setup, base: controlBase)
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        signer = access.keys.isEmpty ? try Self.signer(setup.options, region: region) : nil
        self.clock = clock
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.notImplemented, "Models of Amazon Bedrock can only be used for chats and embeddings.")
        }
        return Face(dialect, at: try target(model, call.stream ? "converse-stream" : "converse"))
    }

    /// Converse has no embeddings: each maker's model is asked in its own words.
    func embedding(for call: Call, model: String) throws(ParleyError) -> EmbeddingFace {
        guard let dialect = BedrockEmbeddings.dialect(for: model) else { throw .noEmbeddings("\(id)/\(model)") }
        return EmbeddingFace(dialect, at: try target(model, "invoke"))
    }

    private func target(_ model: String, _ operation: String) throws(ParleyError) -> Target {
        // A path of dots alone would be another path.
        guard !model.allSatisfy({ $0 == "." }) else {
            throw ParleyError(.notFound, "Amazon Bedrock has no model of this name.", parameter: "model")
        }
        return access.target("POST", "/model/\(PercentEncoding.encode(model))/\(operation)")
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        let isStream = target.path.contains("/converse-stream")
        return access.head(
            target, signature(target, body, access, credential),
            accept: isStream ? "application/vnd.amazon.eventstream, application/json" : "application/json")
    }

    /// The headers that say who asks.
    private func signature(
        _ target: Target, _ body: ByteBuffer?, _ access: ServiceAccess, _ credential: Credential
    ) -> [HeaderField] {
        guard let signer else { return credential.secret.map { [.bearer($0)] } ?? [] }
        var headers = [HeaderField("host", access.base.authority)]
        if body != nil { headers.append(HeaderField("content-type", "application/json")) }
        return signer.headers(
            for: .init(method: target.method, target: target.path, headers: headers, body: body ?? ByteBuffer()),
            at: clock())
    }

    // MARK: - Models

    /// The models that answer with text: by their own names where they can be asked so, and by the names of the
    /// region's inference profiles.
    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        let models = try await list("/foundation-models", Self.models, connector)
        // Not everybody may see the profiles, and not every region has them.
        let profiles = try? await list(
            "/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED", Self.profiles, connector)
        return models + (profiles ?? [])
    }

    private func list(
        _ path: String, _ read: (JSONValue) -> [ListedModel]?, _ connector: any Connector
    ) async throws(ParleyError) -> [ListedModel] {
        let target = control.target("GET", path)
        let credential = credentials.pick(at: .now())
        let head = control.head(target, signature(target, nil, control, credential), contentType: nil)
        return try await ModelList.fetch(
            target, head: head, provider: id, dialect: dialect, connector: connector, read: read)
    }

    /// The answer of ListFoundationModels.
    static func models(_ value: JSONValue) -> [ListedModel]? {
        value["modelSummaries"]?.array?.compactMap { model in
            guard let id = model["modelId"]?.string, !id.isEmpty else { return nil }
            func lists(_ name: String, _ word: JSONValue) -> Bool { model[name]?.array?.contains(word) ?? true }
            guard lists("outputModalities", "TEXT"), lists("inferenceTypesSupported", "ON_DEMAND") else { return nil }
            return ListedModel(id: id, ownedBy: model["providerName"]?.string)
        }
    }

    /// The answer of ListInferenceProfiles.
    static func profiles(_ value: JSONValue) -> [ListedModel]? {
        value["inferenceProfileSummaries"]?.array?.compactMap { profile in
            guard let id = profile["inferenceProfileId"]?.string, !id.isEmpty else { return nil }
            return ListedModel(id: id)
        }
    }

    // MARK: - Settings

    private static func region(_ setup: ProviderSetup) throws(ProviderError) -> String {
        guard let region = try setup.options.string("region"), !region.isEmpty else {
            throw ProviderError("must be given", setting: "region")
        }
        let isName = region.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "-")
        }
        guard isName else { throw ProviderError("is not the name of an AWS region", setting: "region") }
        return region
    }

    private static func signer(_ options: ProviderOptions, region: String) throws(ProviderError) -> SigV4 {
        func secret(_ name: String) throws(ProviderError) -> String? {
            guard let text = try options.string(name), !text.isEmpty else { return nil }
            guard HeaderField.isSafe(text) else {
                throw ProviderError("has a line break or a control character in it", setting: name)
            }
            return text
        }
        guard let accessKey = try secret("access_key") else {
            throw ProviderError("must be given, or an api_key", setting: "access_key")
        }
        guard let secretKey = try secret("secret_key") else {
            throw ProviderError("must be given with access_key", setting: "secret_key")
        }
        return SigV4(
            accessKey: accessKey, secretKey: secretKey, sessionToken: try secret("session_token"), region: region)
    }
}
