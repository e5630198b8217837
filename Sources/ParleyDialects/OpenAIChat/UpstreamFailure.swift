// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// An upstream's error in any of the shapes seen in the field, taken apart.
struct UpstreamFailure {
    /// The HTTP status, where the error came as an answer of its own.
    var status: Int?
    var message = ""
    var type: String?
    /// The code as text, also where the vendor sends a number.
    var code: String?
    var parameter: String?
    /// MiniMax's own status, which comes with HTTP 200.
    var vendorStatus: Int?
    /// Spark's own code, which comes with HTTP 200 as a rule.
    var sparkCode: Int?
    /// Whether it came with the id of a session, which tells Spark from others.
    var hasSparkSession = false
    /// What the vendor's own table says of the code; it goes before every other sign.
    var verdict: FailureVerdict?

    private init() {}

    /// What a frame of Spark says.
    init(spark code: Int, message: String) {
        self.init()
        sparkCode = code
        self.code = String(code)
        self.message = message
    }

    /// Reads an error answer's body: JSON, text, a page, or nothing.
    init(body: ByteBuffer) {
        self.init()
        let text = body.trimmed
        if let value = try? JSON.parse(text) {
            read(value)
        } else if text.looksLikeEvents {
            var frames = ServerSentEvents()
            frames.push(body)
            let frame = (try? frames.next()) ?? frames.finish()
            if let data = frame?.data, let value = try? JSON.parse(data) { read(value) }
        } else {
            let plain = String(decoding: text.readableBytesView.prefix(400), as: UTF8.self)
            let isPage = plain.hasPrefix("<")
            message = isPage ? Self.title(plain) : plain.filter { !$0.isNewline }
        }
    }

    /// Reads an error of any shape.
    init(_ value: JSONValue) {
        self.init()
        read(value)
    }

    /// Reads an error inside an answer or a chunk that came with HTTP 200; nil where there is none.
    init?(embeddedIn object: JSONObject) {
        if Self.isFailure(object) {
            self.init(.object(object))
        } else if let choice = (object["choices"]?.array ?? []).first(where: { Self.says($0["error"]) }) {
            self.init(.object(["error": choice["error"] ?? .null]))
        } else {
            return nil
        }
    }

    private static func isFailure(_ object: JSONObject) -> Bool {
        if says(object["error"]) { return true }
        if let status = object["base_resp"]?["status_code"]?.int, status != 0 { return true }
        guard object["choices"]?.array == nil else { return false }
        let signs = ["message", "msg", "detail", "errors", "error_code", "error_msg", "Response"]
        if signs.contains(where: { says(object[$0]) }) { return true }
        return object["object"]?.string == "error" || object["type"]?.string == "error"
            || (object["code"] != nil && object["usage"] == nil)
    }

    /// Whether a member of this value says that something went wrong.
    private static func says(_ value: JSONValue?) -> Bool {
        switch value {
        case nil, .null?, .bool(false)?: false
        case .string(let text)?: !text.isEmpty
        case .object(let object)?: !object.isEmpty
        case .array(let list)?: !list.isEmpty
        default: true
        }
    }

    private static func title(_ page: String) -> String {
        guard let start = page.firstRange(of: "<title>"), let end = page.firstRange(of: "</title>"),
            start.upperBound <= end.lowerBound
        else { return "" }
        return String(page[start.upperBound..<end.lowerBound].prefix(120))
    }

    // MARK: - Shapes

    private mutating func read(_ value: JSONValue) {
        switch value {
        case .string(let text): message = text
        case .array(let list):
            // A list is read no deeper than its first element.
            if let object = list.first?.object { read(object) } else { message = list.first?.string ?? "" }
        case .object(let object): read(object)
        default: break
        }
    }

    private mutating func read(_ object: JSONObject) {
        readWords(object)
        switch object["error"] {
        case .object(let inner)?:
            readWords(inner)
            if let raw = inner["metadata"]?["raw"]?.string, !raw.isEmpty { message += ": " + raw }
        case .string(let text)?:
            // xAI: the error is text, the code beside it; Qianfan: a word, and the sentence beside it.
            message = object["error_description"]?.string ?? text
        default: break
        }
        if let number = object["code"]?.int ?? object["error"]?["code"]?.int,
            SparkFailure.kind(number, message: message) != nil
        {
            sparkCode = number
            hasSparkSession = (object["sid"] ?? object["Sid"]) != nil
        }
        if let response = object["base_resp"]?.object {
            vendorStatus = response["status_code"]?.int
            code = vendorStatus.map { String($0) }
            message = response["status_msg"]?.string ?? ""
        }
        if let first = object["errors"]?.array?.first {
            let inner = UpstreamFailure(first)
            message = inner.message
            code = inner.code ?? code
        }
        if let error = object["Response"]?["Error"]?.object {
            message = error["Message"]?.string ?? ""
            code = error["Code"]?.string
        }
        if message.isEmpty { message = object["title"]?.string ?? "" }
    }

    /// The members an error object is made of, under the vendors' names.
    private mutating func readWords(_ object: JSONObject) {
        for key in ["message", "msg", "error_msg", "error_message", "detail", "description"] {
            guard let value = object[key], Self.says(value), let text = text(of: value) else { continue }
            message = text
            break
        }
        if let text = object["type"]?.string ?? object["error_type"]?.string, text != "error" { type = text }
        code = word(object["code"]) ?? word(object["error_code"]) ?? code
        if let text = object["param"]?.string, !text.isEmpty { parameter = text }
        // Groq says the status it would have answered with; integer codes are statuses too.
        for key in ["status_code", "status", "code"] {
            if let number = object[key]?.int, (400...599).contains(number), status == nil { status = number }
        }
    }

    private func word(_ value: JSONValue?) -> String? {
        switch value {
        case .string(let text)?: text.isEmpty ? nil : text
        case .number(let text)?: text
        default: nil
        }
    }

    /// A message, or the first of a list of faults as validators write them: `[{loc,msg,type}]`.
    private mutating func text(of value: JSONValue) -> String? {
        switch value {
        case .string(let text): return text
        case .object(let object):
            if let detail = object["detail"] { return text(of: detail) }
            return object["message"]?.string ?? object["msg"]?.string ?? object["error"]?.string
        case .array(let list):
            guard let first = list.first else { return nil }
            guard let fault = first.object else { return first.string }
            var path = (fault["loc"]?.array ?? []).compactMap { word($0) }
            if path.first == "body" { path.removeFirst() }
            if !path.isEmpty { parameter = path.joined(separator: ".") }
            guard let text = fault["msg"]?.string ?? fault["message"]?.string else { return nil }
            return path.isEmpty ? text : "\(path.joined(separator: ".")): \(text)"
        default: return nil
        }
    }
}
