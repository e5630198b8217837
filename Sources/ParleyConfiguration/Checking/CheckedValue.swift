// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A value that is what its row of the table wants.
struct CheckedValue {
    indirect enum Content {
        case bool(Bool)
        case int(Int)
        case double(Double)
        case string(String)
        case secret(Secret)
        case secrets([Secret])
        case duration(Duration)
        case listen(ListenAddress)
        case proxy(ProviderSettings.Proxy)
        case store(StoreSettings)
        case moment(Int64)
        case object(SettingMap)
        case list([CheckedValue])
        case section(CheckedSection)
    }

    var content: Content
    var mark: Mark
    /// The text it was read from, expanded; empty unless it is a single value.
    var text = ""
    /// The place among the elements of a list, those left out counted.
    var index = 0

    /// The value as a provider's options hold it.
    var settingValue: SettingValue {
        switch content {
        case .bool(let value): .bool(value)
        case .int(let value): .number("\(value)")
        case .double(let value): .number(Int(exactly: value).map { "\($0)" } ?? "\(value)")
        case .string(let value): .string(value)
        case .secret(let value): .secret(value)
        case .secrets(let values): .list(values.map { .secret($0) })
        case .duration(let value): .duration(value)
        case .listen(let value): .string(value.description)
        case .moment(let value): .number("\(value)")
        case .object(let value): .map(value)
        case .list(let elements): .list(elements.map(\.settingValue))
        case .section(let section):
            .map(SettingMap(section.members.map { .init(name: $0.name, value: $0.value.settingValue) }))
        case .proxy, .store: .null
        }
    }
}

/// A checked mapping.
struct CheckedSection {
    struct Member {
        var name: String
        var mark: Mark
        var value: CheckedValue
    }

    var mark: Mark
    /// The members in file order; absent and faulty ones are left out.
    var members: [Member] = []
    /// The names the file writes, whether or not their values are right.
    var written: Set<String> = []
    /// Those of them that came to nothing without being wrong, as null and an empty expansion do.
    var absent: Set<String> = []
    /// Those of them with something wrong in or below them.
    var wrong: Set<String> = []

    /// Whether a written member came to nothing without being wrong.
    func isAbsent(_ name: String) -> Bool { absent.contains(name) }
    /// Whether something in or below a member has been reported.
    func faulty(_ name: String) -> Bool { wrong.contains(name) }

    subscript(name: String) -> CheckedValue? { members.first { $0.name == name }?.value }

    func bool(_ name: String) -> Bool? { if case .bool(let value)? = self[name]?.content { value } else { nil } }
    func int(_ name: String) -> Int? { if case .int(let value)? = self[name]?.content { value } else { nil } }
    func double(_ name: String) -> Double? {
        if case .double(let value)? = self[name]?.content { value } else { nil }
    }
    func string(_ name: String) -> String? {
        if case .string(let value)? = self[name]?.content { value } else { nil }
    }
    func secret(_ name: String) -> Secret? {
        if case .secret(let value)? = self[name]?.content { value } else { nil }
    }
    func duration(_ name: String) -> Duration? {
        if case .duration(let value)? = self[name]?.content { value } else { nil }
    }
    func object(_ name: String) -> SettingMap? {
        if case .object(let value)? = self[name]?.content { value } else { nil }
    }
    func section(_ name: String) -> CheckedSection? {
        if case .section(let value)? = self[name]?.content { value } else { nil }
    }
    func list(_ name: String) -> [CheckedValue]? {
        if case .list(let value)? = self[name]?.content { value } else { nil }
    }
    func strings(_ name: String) -> [String]? {
        list(name)?.compactMap { if case .string(let value) = $0.content { value } else { nil } }
    }
    func choice<Choice: RawRepresentable<String>>(_ name: String, _: Choice.Type = Choice.self) -> Choice? {
        string(name).flatMap(Choice.init(rawValue:))
    }
    func choices<Choice: RawRepresentable<String>>(_ name: String, _: Choice.Type = Choice.self) -> [Choice]? {
        strings(name)?.compactMap(Choice.init(rawValue:))
    }
    /// Header fields, environment variables: names with secret values, in file order.
    func headers(_ name: String) -> [HeaderSettings]? {
        section(name)?.members.compactMap { member in
            if case .secret(let value) = member.value.content {
                HeaderSettings(name: member.name, value: value)
            } else {
                nil
            }
        }
    }
}
