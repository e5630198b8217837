// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire

@testable import ParleyDialects

/// What the suites on Gemini share.
enum GeminiRun {
    static let dialect = Gemini()

    /// Decodes a stream given in pieces.
    static func decode(_ pieces: [ArraySlice<UInt8>]) -> Decoded {
        var decoder = dialect.makeStreamDecoder()
        var result = Decoded()
        do throws(ParleyError) {
            for piece in pieces { try decoder.push(ByteBuffer(bytes: piece), into: &result.events) }
            try decoder.finish(into: &result.events)
        } catch {
            result.failure = error
        }
        result.isComplete = decoder.isComplete
        return result
    }

    static func decode(_ text: String) -> Decoded { decode([ArraySlice(text.utf8)]) }

    /// Encodes events as a stream for a client.
    static func encode(_ events: [Event], asArray: Bool = false) -> String {
        var own = context
        own.asArray = asArray
        var encoder = dialect.makeStreamEncoder(own)
        var out = ByteBuffer()
        for event in events { encoder.push(event, into: &out) }
        encoder.finish(into: &out)
        return String(buffer: out)
    }

    /// A request read from Gemini's form.
    static func request(_ body: JSONValue, model: String = "gemini-2.5-flash") throws -> ChatRequest {
        var request = try dialect.decodeRequest(ByteBuffer(string: JSON.text(body)))
        request.model = model
        return request
    }

    /// A request read from OpenAI's form.
    static func openAI(_ body: String, model: String = "gemini-2.5-flash") throws -> ChatRequest {
        var request = try OpenAIChat().decodeRequest(ByteBuffer(string: body))
        request.model = model
        return request
    }

    static func written(
        _ request: ChatRequest, as dialect: Gemini = Gemini(), dropped: inout [String]
    ) throws -> JSONValue {
        try JSON.parse(dialect.encodeRequest(request, dropped: &dropped))
    }

    static func written(_ request: ChatRequest, as dialect: Gemini = Gemini()) throws -> JSONValue {
        var dropped: [String] = []
        return try written(request, as: dialect, dropped: &dropped)
    }

    static func fault(_ body: String) -> ParleyError? {
        do throws(ParleyError) {
            _ = try dialect.decodeRequest(ByteBuffer(string: body))
            return nil
        } catch {
            return error
        }
    }

    static func json(_ text: String) throws -> JSONValue { try JSON.parse(text) }

    /// What a request looks like after it was read and written: names in camel case, schemas in the fields for JSON
    /// Schema, no nulls and no empty objects, levels in upper case, no role where it is the usual one.
    static func normalised(_ value: JSONValue) -> JSONValue {
        guard case .object(let given) = value else { return value }
        var object = GeminiNames.camel(given)
        object["systemInstruction"] = object["systemInstruction"].map { ["parts": content($0)["parts"] ?? []] }
        object["contents"] = .array((object["contents"]?.array ?? []).map(content))
        object["tools"] = object["tools"].map { .array(($0.array ?? []).map(tool)) }
        if case .object(let config)? = object["generationConfig"] {
            var config = GeminiNames.camel(config)
            if case .object(let thinking)? = config["thinkingConfig"] {
                var thinking = GeminiNames.camel(thinking)
                if let level = thinking["thinkingLevel"]?.string {
                    thinking["thinkingLevel"] = .string(level.uppercased())
                }
                config["thinkingConfig"] = .object(thinking)
            }
            if let schema = config.remove("responseSchema") {
                config["responseJsonSchema"] = GeminiSchema.jsonSchema(schema)
            }
            object["generationConfig"] = config.isEmpty ? nil : .object(config)
        }
        return .object(object)
    }

    private static func content(_ value: JSONValue) -> JSONValue {
        guard var turn = value.object else { return value }
        turn["parts"] = .array(
            (turn["parts"]?.array ?? []).map { part in
                guard case .object(let part) = part else { return part }
                var camel = GeminiNames.camel(part)
                for name in ["inlineData", "fileData", "functionResponse"] {
                    guard case .object(let value)? = camel[name] else { continue }
                    var inner = GeminiNames.camel(value)
                    if let parts = inner["parts"]?.array {
                        inner["parts"] = content(["parts": .array(parts)])["parts"]
                    }
                    camel[name] = .object(inner)
                }
                return .object(camel)
            })
        // The API refuses empty parts, at least on Vertex AI.
        if turn["parts"] == [["text": ""]] { turn["parts"] = [["text": " "]] }
        return .object(turn)
    }

    private static func tool(_ value: JSONValue) -> JSONValue {
        guard case .object(let given) = value else { return value }
        var tool = GeminiNames.camel(given)
        if let functions = tool["functionDeclarations"]?.array {
            tool["functionDeclarations"] = .array(
                functions.map { function in
                    var function = GeminiNames.camel(function.object ?? [:])
                    function.members.removeAll { $0.value.isNull }
                    if let schema = function.remove("parameters") {
                        function["parametersJsonSchema"] = GeminiSchema.jsonSchema(schema)
                    }
                    return .object(function)
                })
        }
        return .object(tool)
    }
}

/// An exchange with Gemini on disk.
struct GeminiExchange: Sendable {
    let name: String
    let path: String
    let request: JSONValue?
    let status: Int
    let body: [UInt8]
    let expect: JSONValue?

    var isStream: Bool { path.contains(":stream") }
    var model: String {
        let last = path.split(separator: "/").last ?? ""
        return String(last.prefix { $0 != ":" })
    }

    /// Those below `root` that ask a model for an answer.
    static func all(below root: URL) -> [GeminiExchange] {
        var list: [GeminiExchange] = []
        for provider in ["gemini", "vertex"] {
            let folder = root.appending(path: provider)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            for name in names.sorted() {
                func data(_ file: String) -> Data? { try? Data(contentsOf: folder.appending(path: "\(name)/\(file)")) }
                func json(_ file: String) -> JSONValue? {
                    data(file).flatMap { try? JSON.parse(ByteBuffer(bytes: $0)) }
                }
                guard let request = json("request.json"), let head = json("response.headers.json"),
                    let path = request["path"]?.string, path.contains("enerateContent"),
                    let body = data("response.body")
                else { continue }
                list.append(
                    GeminiExchange(
                        name: "\(provider)/\(name)", path: path, request: request["body"],
                        status: head["status"]?.int ?? 0, body: Array(body), expect: json("case.json")?["expect"]))
            }
        }
        return list
    }

    static let own: [GeminiExchange] = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return all(below: root.appendingPathComponent("Transcripts"))
    }()

    static let recorded: [GeminiExchange] = {
        guard let root = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"] else { return [] }
        return all(below: URL(fileURLWithPath: root))
    }()

    /// What the answer came to.
    func answer() -> Decoded {
        let bytes = ByteBuffer(bytes: body)
        if status >= 400 {
            return Decoded(
                failure: GeminiRun.dialect.decodeFailure(status: status, headers: HeaderBlock(), body: bytes))
        }
        if isStream { return GeminiRun.decode([body[...]]) }
        var result = Decoded()
        do throws(ParleyError) {
            result.events = EventReplay.events(of: try GeminiRun.dialect.decodeWhole(bytes))
            result.isComplete = true
        } catch {
            result.failure = error
        }
        return result
    }
}
