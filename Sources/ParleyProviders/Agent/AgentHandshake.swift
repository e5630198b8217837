// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects

/// What all agents of one provider have in common.
struct AgentTerms: Sendable {
    var flavour = AgentFlavour.standard
    var permissions = AgentPermissions.none
    /// The agents' working directory, absolute.
    var directory: String
}

/// What an agent can do, as it says itself.
struct AgentAbilities: Sendable, Equatable {
    /// What it can read beside text.
    var reads: Set<AgentRequest.Need> = []
    /// Whether it wants to be told that a session is over.
    var closesSessions = false
    /// How one can sign in.
    var methods: [String] = []

    init() {}

    /// Reads the result of `initialize`.
    init(_ result: JSONValue) {
        let capabilities = result["agentCapabilities"]
        for need in AgentRequest.Need.allCases
        where capabilities?["promptCapabilities"]?[need.rawValue]?.bool == true { reads.insert(need) }
        closesSessions = capabilities?["sessionCapabilities"]?["close"]?.object != nil
        methods = (result["authMethods"]?.array ?? []).prefix(10).compactMap { $0["id"]?.string }
            .map { String($0.prefix(60)) }
    }
}

/// What is said before anybody can prompt: who we are, what we do not offer, and a session.
struct AgentHandshake {
    /// How long signing in may take.
    private static let signInLimit = TimeAmount.seconds(10)

    let link: AgentLink
    let terms: AgentTerms

    /// Introduces the gateway and asks what the agent can do. Neither files nor terminals are offered.
    ///
    /// - Throws: why there can be no session.
    func abilities(by deadline: NIODeadline) async throws(ParleyError) -> AgentAbilities {
        let params: JSONValue = [
            "protocolVersion": 1,
            "clientCapabilities": ["fs": ["readTextFile": false, "writeTextFile": false], "terminal": false],
            "clientInfo": ["name": "parley", "title": "Parley", "version": .string(Parley.version)],
        ]
        let result = try await asked("initialize", params, by: deadline)
        guard result["protocolVersion"]?.int == 1 else {
            throw ParleyError(.upstreamUnavailable, "the agent speaks another version of its protocol than 1")
        }
        let abilities = AgentAbilities(result)
        if result["isAuthenticated"]?.bool == false {
            guard let signIn = terms.flavour.signIn else { throw AgentFailure.signInNeeded(abilities.methods) }
            do throws(ParleyError) {
                _ = try await link.call("authenticate", signIn, by: min(deadline, .now() + Self.signInLimit))
            } catch {
                throw error.kind == .upstreamRejected ? AgentFailure.signInNeeded(abilities.methods) : error
            }
        }
        return abilities
    }

    /// Makes a session, and chooses in it the model or mode of this name where the agent has one.
    ///
    /// - Throws: why there is none.
    func session(
        _ model: String, _ abilities: AgentAbilities, by deadline: NIODeadline
    ) async throws(ParleyError) -> String {
        var params: JSONObject = ["cwd": .string(terms.directory), "mcpServers": []]
        for member in terms.flavour.sessionMembers.members { params[member.key] = member.value }
        let result: JSONValue
        do throws(ParleyError) {
            result = try await asked("session/new", .object(params), by: deadline)
        } catch {
            throw error.kind == .unauthenticated ? AgentFailure.signInNeeded(abilities.methods) : error
        }
        guard let session = result["sessionId"]?.string, !session.isEmpty else {
            throw ParleyError(.upstreamUnavailable, "the agent made a session without an id")
        }
        try link.adopt(session)
        if let (method, choice) = Self.choice(of: model, session, result) {
            do throws(ParleyError) {
                _ = try await asked(method, choice, by: deadline)
            } catch {
                link.forget(session, close: abilities.closesSessions)
                throw error
            }
        }
        return session
    }

    /// The request that chooses `model` in a session; nil where the agent has no model and no mode of that name, or is
    /// in it already.
    static func choice(of model: String, _ session: String, _ made: JSONValue) -> (method: String, params: JSONValue)? {
        for option in made["configOptions"]?.array ?? [] {
            guard option["category"]?.string == "model" || option["id"]?.string == "model",
                let id = option["id"]?.string, option["currentValue"]?.string != model
            else { continue }
            // Values may stand in groups.
            let values = (option["options"]?.array ?? []).flatMap { $0["options"]?.array ?? [$0] }
            guard values.contains(where: { $0["value"]?.string == model }) else { continue }
            return (
                "session/set_config_option",
                ["sessionId": .string(session), "configId": .string(id), "value": .string(model)]
            )
        }
        let modes = made["modes"]
        guard modes?["currentModeId"]?.string != model,
            (modes?["availableModes"]?.array ?? []).contains(where: { $0["id"]?.string == model })
        else { return nil }
        return ("session/set_mode", ["sessionId": .string(session), "modeId": .string(model)])
    }

    /// Asks for something before there is a prompt: a failure can be tried again without harm.
    private func asked(
        _ method: String, _ params: JSONValue, by deadline: NIODeadline
    ) async throws(ParleyError) -> JSONValue {
        do throws(ParleyError) {
            return try await link.call(method, params, by: deadline)
        } catch {
            guard error.kind == .upstreamRejected, error.httpStatus == 502 else { throw error }
            throw ParleyError(.upstreamUnavailable, error.message)
        }
    }
}
