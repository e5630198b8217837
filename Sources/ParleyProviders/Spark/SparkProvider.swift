// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// iFLYTEK Spark over WebSockets: one connection, signed for itself, per answer.
final class SparkProvider: Provider {
    static let summary = "iFLYTEK Spark, over WebSockets or HTTP"
    static let options = ["app_id", "api_secret", "transport"]
    static let standardBase = "wss://spark-api.xf-yun.com"

    let id: String
    let credentials: Credentials
    let overrides: [FieldOverride]
    /// The one address there is, where the configuration names one with a path, e.g. of a tuned model.
    private let only: Face?
    /// The addresses of the versions, by path.
    private let faces: [String: Face]

    init(_ setup: ProviderSetup) throws(ProviderError) {
        id = setup.name
        let access = try ServiceAccess(setup, base: try Self.base(setup))
        credentials = Credentials(access.keys)
        overrides = setup.overrides
        let opener = SparkOpener(access, try SparkCredential.all(setup, keys: access.keys))
        only = access.base.path.isEmpty ? nil : Face(Spark(), at: access.target("GET", ""), opener: opener)
        let paths = SparkModel.domains.compactMap { SparkModel($0).path }
        faces = Dictionary(
            paths.map { ($0, Face(Spark(), at: access.target("GET", $0), opener: opener)) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The address, whose scheme may be a socket's or HTTP's.
    private static func base(_ setup: ProviderSetup) throws(ProviderError) -> BaseURL {
        var plain = setup
        let text = setup.baseURL ?? standardBase
        if text.lowercased().hasPrefix("ws") { plain.baseURL = "http" + text.dropFirst(2) }
        do throws(ProviderError) {
            return try ServiceAccess.base(plain, standard: standardBase)
        } catch {
            guard error.message.contains("http://") else { throw error }
            throw ProviderError("must begin with wss:// or ws://", setting: "base_url")
        }
    }

    func face(for call: Call, model: String) throws(ParleyError) -> Face {
        guard case .chat = call.operation else {
            throw ParleyError(.invalid, "\(id) has no such API.", code: "unsupported_operation")
        }
        if let only { return only }
        guard let path = SparkModel(model).path, let face = faces[path] else {
            throw ParleyError(
                .notFound,
                "\(id) has no model of that name. Known are \(SparkModel.domains.joined(separator: ", ")); another one "
                    + "needs a base_url with its path.",
                code: "model_not_found", parameter: "model")
        }
        return face
    }

    /// Never asked: each connection is signed by the opener.
    func authorize(
        _ target: Target, body: ByteBuffer?, with credential: Credential, through connector: any Connector
    ) async throws(ParleyError) -> ByteBuffer {
        throw ParleyError(.internalError, "Spark has no requests of that kind.")
    }
}
