// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// A provider that speaks OpenAI's Chat Completions: OpenAI itself, every row of the catalogue, and any base URL.
final class CompatibleProvider: ListsModels {
    /// Sent as `user-agent` unless the configuration or the vendor says otherwise.
    static let userAgent = "parley/\(Parley.version)"

    let id: String
    let credentials: Credentials

    private let chat: Target
    private let listTarget: Target?
    /// The heads of chat requests, one per key: everything that is the same in every request.
    private let heads: [ByteBuffer]
    private let listHeads: [ByteBuffer]
    private let overrides: [FieldOverride]
    /// The dialect, and the same without `stream_options`. Kept as they are handed out: making one costs.
    private let full: any RelayingDialect
    private let plain: any RelayingDialect
    private let usesStreamOptions: Bool
    /// Set once the service has refused `stream_options`.
    private let refusesStreamOptions = Atomic<Bool>(false)

    init(_ setup: ProviderSetup, vendor: Vendor) throws(ProviderError) {
        id = setup.name
        let base = try Self.base(setup, vendor)
        let keys = setup.apiKeys.flatMap { $0.split(separator: ",").map { $0.trimmed } }.filter { !$0.isEmpty }
        credentials = Credentials(keys)
        let endpoint = Endpoint(
            host: base.host, port: base.port, isSecure: base.isSecure,
            certificateAuthority: setup.certificateAuthority, proxy: try setup.proxy.map(ProxyAddress.init(_:)),
            connectionLimit: setup.connectionLimit)
        let chat = Target(
            endpoint: endpoint, method: "POST", path: base.path + vendor.chatPath + base.query,
            timeouts: setup.timeouts)
        var listTarget: Target?
        if let place = vendor.modelsPath {
            let path = place.hasPrefix("//") ? String(place.dropFirst()) : base.path + place
            listTarget = Target(
                endpoint: endpoint, method: "GET", path: path + base.query, timeouts: setup.timeouts)
        }
        let headers = try Self.headers(setup, vendor)
        var heads: [ByteBuffer] = []
        var listHeads: [ByteBuffer] = []
        let slots: [String?] = keys.isEmpty ? [nil] : keys
        for key in slots {
            guard HeaderField.isSafe(key ?? "") else {
                throw ProviderError("has a line break or a control character in it", setting: "api_key")
            }
            heads.append(Self.head(chat, host: base.authority, key: key, headers: headers, hasBody: true))
            if let listTarget {
                listHeads.append(
                    Self.head(listTarget, host: base.authority, key: key, headers: headers, hasBody: false))
            }
        }
        self.chat = chat
        self.listTarget = listTarget
        self.heads = heads
        self.listHeads = listHeads
        overrides = vendor.overrides + setup.overrides
        var quirks = vendor.quirks
        try quirks.apply(setup.quirks)
        full = OpenAIChat(quirks: quirks)
        usesStreamOptions = quirks.streamOptions
        quirks.streamOptions = false
        plain = OpenAIChat(quirks: quirks)
    }

    private var current: any RelayingDialect { refusesStreamOptions.load(ordering: .relaxed) ? plain : full }

    var dialect: any Dialect { current }

    var relaying: (any RelayingDialect)? { current }

    func target(_ operation: Call.Operation, model: String) -> Target { chat }

    func authorize(_ target: Target, with credential: Credential) async throws(ParleyError) -> ByteBuffer {
        guard heads.indices.contains(credential.index) else { return heads.first ?? ByteBuffer() }
        return heads[credential.index]
    }

    func adjust(_ call: inout Call) {
        if !overrides.isEmpty { call.overrides = overrides + call.overrides }
    }

    func learn(from failure: ParleyError, body: ByteBuffer) -> Bool {
        guard failure.parameter == "stream_options" || body.contains("stream_options") else { return false }
        guard usesStreamOptions else { return false }
        refusesStreamOptions.store(true, ordering: .relaxed)
        return true
    }

    func models(_ connector: any Connector) async throws(ParleyError) -> [ListedModel] {
        guard let listTarget else { return [] }
        let now = NIODeadline.now()
        let credential = credentials.pick(at: now)
        guard listHeads.indices.contains(credential.index) else { return [] }
        return try await ModelList.fetch(
            listTarget, head: listHeads[credential.index], provider: id, dialect: dialect, connector: connector)
    }
}

extension CompatibleProvider {
    /// The base URL: the configuration's, else the vendor's with its words in braces filled in.
    ///
    /// One without a path takes the vendor's path, since people write `http://127.0.0.1:11434` and mean its `/v1`.
    private static func base(_ setup: ProviderSetup, _ vendor: Vendor) throws(ProviderError) -> BaseURL {
        if let given = setup.baseURL {
            var base = try BaseURL(given, setting: "base_url")
            guard base.userInfo == nil else { throw ProviderError("must not have a user", setting: "base_url") }
            if base.path.isEmpty { base.path = vendorPath(vendor) }
            return base
        }
        var text = vendor.baseURL
        for place in vendor.places {
            guard let value = try setup.options.string(place), !value.isEmpty else {
                let hint = place == "base_url" ? "must be given" : "must be given, or a base_url"
                throw ProviderError(hint, setting: place)
            }
            text = text.replacing("{\(place)}", with: value)
        }
        return try BaseURL(text, setting: "base_url")
    }

    private static func vendorPath(_ vendor: Vendor) -> String {
        let parts = vendor.baseURL.replacing("{base_url}", with: "http://host").split(
            separator: "/", omittingEmptySubsequences: false)
        let path = parts.dropFirst(3).joined(separator: "/")
        return path.isEmpty || path.contains("{") ? "" : "/\(path)"
    }

    private static func headers(_ setup: ProviderSetup, _ vendor: Vendor) throws(ProviderError) -> [HeaderField] {
        var headers = [HeaderField("user-agent", userAgent)]
        for given in vendor.headers + setup.headers {
            let field = HeaderField(given.name.lowercased(), given.value)
            guard HeaderField.isName(field.name) else {
                throw ProviderError("has a name that no header can have", setting: "headers")
            }
            guard HeaderField.isSafe(field.value) else {
                throw ProviderError("has a line break or a control character in \(field.name)", setting: "headers")
            }
            guard !reserved.contains(field.name) else {
                throw ProviderError("must not set \(field.name)", setting: "headers")
            }
            headers.removeAll { $0.name == field.name }
            headers.append(field)
        }
        return headers
    }

    /// What the connection itself decides.
    private static let reserved: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "accept-encoding", "content-type", "te",
        "upgrade", "trailer", "expect", "keep-alive",
    ]

    private static func head(
        _ target: Target, host: String, key: String?, headers: [HeaderField], hasBody: Bool
    ) -> ByteBuffer {
        var head = ByteBuffer()
        head.writeString("\(target.method) \(target.path) HTTP/1.1\r\nhost: \(host)\r\n")
        let hasOwn = headers.contains { $0.name == "authorization" }
        if let key, !hasOwn { head.writeString("authorization: Bearer \(key)\r\n") }
        for field in headers { head.writeString("\(field.name): \(field.value)\r\n") }
        if hasBody { head.writeString("content-type: application/json\r\n") }
        if !headers.contains(where: { $0.name == "accept" }) {
            head.writeString(
                hasBody ? "accept: application/json, text/event-stream\r\n" : "accept: application/json\r\n")
        }
        head.writeString("accept-encoding: identity\r\n")
        return head
    }
}

extension HeaderField {
    /// Whether `name` may be a header's name.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// Whether `value` may stand in a header line: nothing in it ends the line.
    static func isSafe(_ value: String) -> Bool {
        value.utf8.allSatisfy { $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }
    }
}

extension Substring {
    /// Without spaces at either end.
    fileprivate var trimmed: String {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
