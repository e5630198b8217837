// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// FlowGPT with somebody's own account, as its web site uses it.
final class FlowGPTProvider: Provider {
    static let summary = "FlowGPT with your own account (unofficial)"
    static let options = ["token", "device_id", "default_model"]
    static let standardBase = "https://prod-backend-k8s.flowgpt.com"

    let id: String
    let credentials: Credentials
    let overrides: [FieldOverride]
    /// The ids of the prompts that have a name.
    private let prompts: Set<String>
    private let defaultPrompt: String
    private let face: Face

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        overrides = setup.overrides
        prompts = Set(setup.models.map(\.upstream))
        defaultPrompt = try Self.defaultPrompt(setup)
        let access = try ServiceAccess(setup, base: try ServiceAccess.base(setup, standard: Self.standardBase))
        let tokens = try AccountSecrets.list(setup, "token")
        credentials = Credentials(tokens)
        let opener = FlowGPTOpener(access, devices: try Self.devices(setup, count: tokens.count))
        face = Face(FlowGPT(), at: access.target("POST", "/v3/chat"), opener: opener, estimatesUsage: true)
    }

    private static func defaultPrompt(_ setup: ProviderSetup) throws(ProviderError) -> String {
        guard let first = setup.models.first else {
            throw ProviderError("must name at least one prompt, as `alias: prompt-id`", setting: "models")
        }
        guard let name = try setup.options.string("default_model") else { return first.upstream }
        guard let named = setup.models.last(where: { $0.name == name }) else {
            throw ProviderError("must be one of `models`", setting: "default_model")
        }
        return named.upstream
    }

    /// A device for each token: one for all, or one each.
    private static func devices(_ setup: ProviderSetup, count: Int) throws(ProviderError) -> [String] {
        let devices = try AccountSecrets.list(setup, "device_id")
        guard devices.count == 1 || devices.count == count else {
            throw ProviderError("must be one, or one for each token", setting: "device_id")
        }
        return devices.count == count ? devices : Array(repeating: devices[0], count: count)
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        return face
    }

    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        throw ParleyError(.internalError, "\(id) is asked in several steps.")
    }

    /// A name without a prompt of its own has the default's.
    func adjust(_ request: inout ChatRequest, for face: Face) {
        if !prompts.contains(request.model) { request.model = defaultPrompt }
    }
}

/// Makes a conversation of all the messages and asks for the answer in it. Keeps nothing between calls.
final class FlowGPTOpener: AnswerOpener {
    private let access: ServiceAccess
    private let devices: [String]
    private let dialect = FlowGPT()

    init(_ access: ServiceAccess, devices: [String]) {
        self.access = access
        self.devices = devices
    }

    func open(_ request: OpenerRequest) async throws(ParleyError) -> any UpstreamAnswer {
        guard let bodies = try? JSON.parse(request.body), let create = bodies["create"],
            var chat = bodies["chat"]?.object, devices.indices.contains(request.credential.index)
        else { throw ParleyError(.internalError, "The request was not written for FlowGPT.") }
        let device = devices[request.credential.index]
        let headers = Self.headers(request.credential.secret ?? "", device: device)
        let limits = StepLimits(request)
        let place = access.target("POST", "/conversation/create")
        let created = try await request.connector.ask(
            place, access.head(place, headers, accept: "*/*"), ByteBuffer(json: create), limits)
        guard created.isAccepted else { return created }
        guard let conversation = created.json?["id"]?.string, !conversation.isEmpty else {
            let what = created.isPage ? "sent a web page\(dialect.pageAdvice)" : "made no conversation"
            throw ParleyError(.upstreamUnavailable, "FlowGPT \(what).")
        }
        chat["conversationId"] = .string(conversation)
        let head = access.head(request.target, headers + Self.signature(device), accept: "*/*")
        return try await request.connector.open(request.target, head, ByteBuffer(json: .object(chat)), limits)
    }

    private static func headers(_ token: String, device: String) -> [HeaderField] {
        let isWhole = token.lowercased().hasPrefix("bearer ")
        return [
            HeaderField("accept-language", "zh-CN,zh;q=0.9,en;q=0.8"),
            HeaderField("authorization", isWhole ? token : "Bearer \(token)"),
            HeaderField("origin", "https://flowgpt.com"), HeaderField("referer", "https://flowgpt.com/"),
            HeaderField("x-flow-device-id", device), HeaderField("x-flow-language", "en"),
        ]
    }

    private static func signature(_ device: String) -> [HeaderField] {
        let signed = FlowGPTSignature(device: device)
        return [
            HeaderField("x-nonce", signed.nonce), HeaderField("x-timestamp", signed.timestamp),
            HeaderField("x-signature", signed.signature),
        ]
    }
}
