// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// What an agent may do without anybody being asked: nothing, unless the configuration allows it.
struct AgentPermissions: Sendable, Equatable {
    /// The kinds of tools that the protocol knows.
    static let kinds = [
        "read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other",
    ]

    private var allowed: Set<String>

    /// Nothing.
    static let none = AgentPermissions(allowed: [])
    /// Everything.
    static let all = AgentPermissions(allowed: Set(kinds))

    private init(allowed: Set<String>) {
        self.allowed = allowed
    }

    /// The setting `permission`: `deny`, `allow`, or one of them per kind of tool; what it does not name is denied.
    ///
    /// - Throws: what is wrong with it.
    init(_ setting: JSONValue?) throws(ProviderError) {
        switch setting {
        case nil, .null?, .string("deny")?: self = .none
        case .string("allow")?: self = .all
        case .object(let object)?:
            allowed = []
            for member in object.members {
                guard Self.kinds.contains(member.key) else {
                    let known = Self.kinds.joined(separator: ", ")
                    throw ProviderError("knows the kinds \(known), not \(member.key)", setting: "permission")
                }
                guard let word = member.value.string, ["allow", "deny"].contains(word) else {
                    throw ProviderError("must be deny or allow for \(member.key)", setting: "permission")
                }
                if word == "allow" { allowed.insert(member.key) }
            }
        default:
            throw ProviderError("must be deny, allow, or one of them per kind of action", setting: "permission")
        }
    }

    /// Whether nothing is denied.
    var allowsAll: Bool { allowed.count == Self.kinds.count }

    /// Whether a tool of this kind may run.
    func allows(_ kind: String?) -> Bool {
        let kind = kind ?? "other"
        return allowed.contains(Self.kinds.contains(kind) ? kind : "other")
    }

    /// Which of the options that an agent offers is the answer; nil is that the question is cancelled.
    ///
    /// Only what holds once is chosen where it can be: what to allow is this gateway's to remember, not the agent's.
    func choice(for kind: String?, among options: [JSONValue]) -> String? {
        func option(_ kind: String) -> String? {
            options.first { $0["kind"]?.string == kind }?["optionId"]?.string
        }
        func named(_ id: String) -> String? {
            options.contains { $0["optionId"]?.string == id } ? id : nil
        }
        // iFlow's options are told by their ids.
        if allows(kind) { return option("allow_once") ?? named("proceed_once") ?? option("allow_always") }
        return option("reject_once") ?? named("cancel")
    }
}
