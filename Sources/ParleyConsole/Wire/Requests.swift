// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import Hummingbird
import NIOCore

extension Request {
    /// The value of a header, by its lower-case name.
    func header(_ name: String) -> String? {
        HTTPField.Name(name).flatMap { headers[$0] }
    }

    /// What `Host` says, where that can be a host.
    var host: String? {
        guard let host = head.authority ?? header("host"), (1...255).contains(host.utf8.count) else { return nil }
        let isPlain = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: ".-:[]_".utf8.contains(byte)
            }
        }
        return isPlain ? host : nil
    }

    /// Whether the answer is for a person.
    var wantsPage: Bool { header("accept")?.contains("text/html") == true }

    /// The fields of the query.
    var queryFields: FormFields { FormFields(uri.query ?? "") }

    /// The fields of a form that was sent as the body.
    func formFields() async throws(Problem) -> FormFields {
        do {
            return FormFields(String(buffer: try await body.collect(upTo: 64 << 10)))
        } catch {
            throw Problem(.contentTooLarge, "The form is too long.")
        }
    }

    /// The value of a cookie.
    func cookie(_ name: String) -> String? {
        for pair in (header("cookie") ?? "").split(separator: ";") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == name else { continue }
            return String(parts[1])
        }
        return nil
    }
}

/// Fields of a form or a query.
struct FormFields: Sendable {
    private let fields: [(name: String, value: String)]

    /// Reads `a=b&c=d`.
    init(_ text: String) {
        fields = text.split(separator: "&").prefix(100).map { pair -> (name: String, value: String) in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (Self.decoded(parts[0]), parts.count > 1 ? Self.decoded(parts[1]) : "")
        }
    }

    /// The first value of a name; nil where there is none, or an empty one.
    subscript(_ name: String) -> String? {
        fields.first { $0.name == name }.flatMap { $0.value.isEmpty ? nil : $0.value }
    }

    /// Undoes `%xx` and `+`; what is no such escape stays as it is.
    static func decoded(_ text: Substring, plusIsSpace: Bool = true) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let high = digit(rest.first),
                let low = digit(rest.dropFirst().first)
            {
                bytes.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") && plusIsSpace ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8?) -> UInt8? {
        switch byte {
        case let byte? where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte): byte - UInt8(ascii: "0")
        case let byte? where (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte): byte - UInt8(ascii: "a") + 10
        case let byte? where (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
