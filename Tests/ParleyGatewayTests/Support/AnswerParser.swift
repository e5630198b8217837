// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore

/// An answer as a client sees it.
struct ClientAnswer: Sendable {
    var status = 0
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// Bytes of the body, kept or not.
    var bodyCount = 0
    /// Whether the body's framing was finished.
    var isComplete = false

    /// The body as text.
    var text: String { String(decoding: body, as: UTF8.self) }

    /// The value of a header; several joined by a comma.
    subscript(_ name: String) -> String? {
        let values = headers.filter { $0.name == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    /// The body as a JSON object.
    var json: [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:]
    }

    /// The `error` of the body.
    var error: [String: Any] { json["error"] as? [String: Any] ?? [:] }

    /// The error's message.
    var message: String { error["message"] as? String ?? "" }

    /// The data of the events in the body.
    var events: [String] {
        text.replacing("\r\n", with: "\n").components(separatedBy: "\n\n").compactMap { frame in
            let lines = frame.components(separatedBy: "\n").filter { $0.hasPrefix("data:") }
            return lines.isEmpty
                ? nil : lines.map { $0.dropFirst($0.hasPrefix("data: ") ? 6 : 5) }.joined(separator: "\n")
        }
    }

    /// The text that the events' deltas make up.
    var streamedText: String {
        events.map { event in
            let object = (try? JSONSerialization.jsonObject(with: Data(event.utf8))) as? [String: Any]
            let choices = object?["choices"] as? [[String: Any]] ?? []
            return choices.compactMap { ($0["delta"] as? [String: Any])?["content"] as? String }.joined()
        }.joined()
    }

    /// The error in the last event, where that is one and nothing claims that the stream is done.
    var streamError: [String: Any]? {
        guard let last = events.last, !events.contains("[DONE]") else { return nil }
        let object = (try? JSONSerialization.jsonObject(with: Data(last.utf8))) as? [String: Any]
        guard let error = object?["error"] as? [String: Any], error["message"] is String, error["type"] is String,
            error["code"] != nil
        else { return nil }
        return error
    }
}

/// Reads what a server sends as HTTP/1.1 answers, and says so where it is none.
struct AnswerParser: Sendable {
    private enum Phase {
        case head
        case length(Int)
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case trailer
        case untilClose
    }

    /// Complete answers that nobody has taken yet.
    var answers: [ClientAnswer] = []
    /// The answer that is coming in.
    private(set) var current = ClientAnswer()
    /// Answers to come that have no body.
    var bodiless = 0
    /// Why what came is not HTTP.
    private(set) var fault: String?
    private(set) var isClosed = false
    var isReset = false

    private let keepsBodies: Bool
    private var phase = Phase.head
    private var input = ByteBuffer()

    init(keepsBodies: Bool) {
        self.keepsBodies = keepsBodies
    }

    /// What there is, for a failing test's message.
    var summary: String {
        let open = "\(current.status) with \(current.bodyCount) bytes: \(current.text.prefix(300))"
        return
            "\(answers.count) answers, open: \(open), closed: \(isClosed), reset: \(isReset), fault: \(fault ?? "none")"
    }

    mutating func feed(_ bytes: ByteBuffer) {
        guard fault == nil else { return }
        input.writeImmutableBuffer(bytes)
        while step() {}
        input.discardReadBytes()
    }

    mutating func close() {
        isClosed = true
        if case .untilClose = phase { finish() }
    }

    /// Takes one step; false when more bytes are needed.
    private mutating func step() -> Bool {
        guard fault == nil else { return false }
        switch phase {
        case .head: return readHead()
        case .length(let left): return take(left) { $0 == 0 ? nil : .length($0) }
        case .chunkSize:
            guard let line = line() else { return false }
            guard let size = Int(line.prefix { $0 != ";" }, radix: 16) else {
                fault = "chunk size \(line)"
                return false
            }
            phase = size == 0 ? .trailer : .chunk(size)
        case .chunk(let left): return take(left) { $0 == 0 ? .chunkEnd : .chunk($0) }
        case .chunkEnd:
            guard let line = line() else { return false }
            if !line.isEmpty { fault = "chunk end \(line)" }
            phase = .chunkSize
        case .trailer:
            guard let line = line() else { return false }
            if line.isEmpty { finish() }
        case .untilClose: return take(input.readableBytes) { _ in .untilClose }
        }
        return true
    }

    private mutating func readHead() -> Bool {
        let view = input.readableBytesView
        guard view.count >= 4, let end = view.firstRange(of: Array("\r\n\r\n".utf8)) else { return false }
        let text = input.readString(length: end.upperBound - view.startIndex) ?? ""
        let lines = text.components(separatedBy: "\r\n").filter { !$0.isEmpty }
        let words = (lines.first ?? "").split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0] == "HTTP/1.1", let status = Int(words[1]) else {
            fault = "status line \(lines.first ?? "")"
            return false
        }
        current = ClientAnswer(status: status)
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                fault = "header line \(line)"
                return false
            }
            current.headers.append((parts[0].lowercased(), parts[1].trimmingCharacters(in: .whitespaces)))
        }
        enterBody()
        return true
    }

    private mutating func enterBody() {
        let isInterim = current.status < 200
        if isInterim || current.status == 204 || current.status == 304 { return finish() }
        if bodiless > 0 {
            bodiless -= 1
            return finish()
        }
        if current["transfer-encoding"] == "chunked" {
            phase = .chunkSize
        } else if let length = current["content-length"] {
            guard let length = Int(length) else {
                fault = "content-length \(length)"
                return
            }
            phase = .length(length)
            if length == 0 { finish() }
        } else {
            phase = .untilClose
        }
    }

    private mutating func take(_ left: Int, next: (Int) -> Phase?) -> Bool {
        let count = min(left, input.readableBytes)
        guard count > 0, let bytes = input.readSlice(length: count) else { return false }
        current.bodyCount += count
        if keepsBodies { current.body += bytes.readableBytesView }
        if let following = next(left - count) { phase = following } else { finish() }
        return true
    }

    private mutating func line() -> String? {
        let view = input.readableBytesView
        guard let end = view.firstIndex(of: 0x0A) else { return nil }
        let line = input.readString(length: end + 1 - view.startIndex) ?? ""
        return line.trimmingCharacters(in: .newlines)
    }

    private mutating func finish() {
        current.isComplete = true
        answers.append(current)
        current = ClientAnswer()
        phase = .head
    }
}
