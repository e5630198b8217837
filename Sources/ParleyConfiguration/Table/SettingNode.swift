// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// The table as a tree: a row and the rows below it.
struct SettingNode: Sendable {
    let setting: Setting
    /// The known members, in the table's order. A name occurs once per group of kinds.
    private(set) var members: [SettingNode] = []
    /// What `*` or `[]` stands for.
    private var elements: [SettingNode] = []

    /// The row for each entry of a `named` or `list`.
    var element: SettingNode? { elements.first }

    /// The names of the members that a provider of that kind has.
    func names(kind: String?) -> [String] {
        members.filter { $0.applies(to: kind) }.map(\.setting.name)
    }

    /// The member of that name for a provider of that kind.
    func member(_ name: String, kind: String?) -> SettingNode? {
        members.first { $0.setting.name == name && $0.applies(to: kind) }
    }

    private func applies(to kind: String?) -> Bool {
        guard let kind, !setting.kinds.isEmpty else { return setting.kinds.isEmpty }
        return setting.kinds.contains(kind)
    }

    /// The tree of a table; a row comes after the one it belongs to.
    static func tree(of settings: [Setting]) -> SettingNode {
        var children: [String: [Setting]] = [:]
        for setting in settings {
            children[parent(of: setting.path), default: []].append(setting)
        }
        let root = Setting("", .section, "The whole file.")
        return SettingNode(root, children: children)
    }

    private init(_ setting: Setting, children: [String: [Setting]]) {
        self.setting = setting
        for child in children[setting.path] ?? [] {
            let node = SettingNode(child, children: children)
            if child.path.hasSuffix("[]") || child.path.hasSuffix(".*") {
                elements.append(node)
            } else {
                members.append(node)
            }
        }
    }

    private static func parent(of path: String) -> String {
        if path.hasSuffix("[]") { return String(path.dropLast(2)) }
        guard let dot = path.lastIndex(of: ".") else { return "" }
        return String(path[..<dot])
    }
}
