// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// What a setting's value may be.
public indirect enum SettingType: Sendable, Equatable {
    /// A mapping of known settings: the rows below this one.
    case section
    /// A mapping from names the operator chooses to what the row `*` below says.
    case named
    /// A list of what the row `[]` below says.
    case list
    /// A mapping of known settings, or one value for short.
    case sectionOr(SettingType)
    /// true or false.
    case bool
    /// A whole number within bounds.
    case integer(ClosedRange<Int>)
    /// A number within bounds.
    case number(ClosedRange<Double>)
    /// A share: a number from 0 to 1, or a percentage.
    case share
    /// Text.
    case string
    /// Text that is never shown again.
    case secret
    /// One or more secrets: text, a list, or text with commas.
    case secrets
    /// A number with a unit of time; with `positive`, zero makes no sense.
    case duration(positive: Bool)
    /// A number with a unit of size, in bytes.
    case size
    /// One of these words; the noun is what a message calls them.
    case choice(noun: String, [String])
    /// An address to listen on.
    case listen
    /// An address to listen on, or one of these words.
    case listenOr([String])
    /// A URL with one of these schemes.
    case url([String])
    /// A proxy's URL, which may hold a password.
    case proxy
    /// `sqlite:PATH` or a PostgreSQL URL.
    case store
    /// A day or a moment.
    case date
    /// A SHA-256 in hexadecimal.
    case sha256
    /// The name of a model.
    case model
    /// The name of a model, or a pattern with one `*`.
    case pattern
    /// The name of a provider kind or of a catalogue row.
    case kind
    /// A mapping of free shape, passed on as JSON.
    case object
    /// One value or a list of them.
    case oneOrMany(SettingType)
    /// A list of values.
    case many(SettingType)
    /// A mapping from names the operator chooses to values.
    case map(SettingType)
    /// One value, or a mapping from names to such values.
    case oneOrMap(SettingType)
}

/// One row of the table of settings.
public struct Setting: Sendable, Equatable {
    /// Where it stands: `models.*.of[].weight`. `*` is a name the operator chooses, `[]` an element of a list.
    public var path: String
    /// What it may be.
    public var type: SettingType
    /// What holds when it is absent, as the file would write it; nil: see `doc`.
    public var fallback: String?
    /// What it does, in a sentence or two for operators.
    public var doc: String
    /// Whether the feature is built. If not, the setting is checked, and writing it gives a warning.
    public var built: Bool
    /// The provider kinds that have it; empty: all.
    public var kinds: [String]

    /// The last part of the path.
    public var name: String {
        path.split(separator: ".").last.map(String.init) ?? path
    }

    /// A row without a default of its own.
    init(_ path: String, _ type: SettingType, built: Bool = true, kinds: [String] = [], _ doc: String) {
        self.path = path
        self.type = type
        self.doc = doc
        self.built = built
        self.kinds = kinds
    }

    /// A row with a default.
    init(
        _ path: String, _ type: SettingType, _ fallback: String, built: Bool = true, kinds: [String] = [], _ doc: String
    ) {
        self.init(path, type, built: built, kinds: kinds, doc)
        self.fallback = fallback
    }
}
