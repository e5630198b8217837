// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// Reads a stream of Gemini's: server-sent events, or one JSON array where `alt=sse` was not heard.
///
/// There is no terminator: a stream is complete when its body ends and every choice has a finish reason.
struct GeminiStreamDecoder: StreamDecoder {
    private enum Form {
        case unknown, events, array
    }

    private var form = Form.unknown
    private var frames = ServerSentEvents()
    private var elements = JSONArrayFrames()
    private var reader = GeminiAnswerReader()
    /// Bytes read so far, for messages.
    private var count = 0
    private(set) var isComplete = false

    mutating func push(_ bytes: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        count = count.clampedSum(bytes.readableBytes)
        if form == .unknown { form = Self.form(of: bytes) }
        switch form {
        case .unknown: break
        case .events:
            frames.push(bytes)
            while let frame = try frames.next() { try read(frame.data, into: &events) }
        case .array:
            elements.push(bytes)
            while let element = try elements.next() { try read(element, into: &events) }
        }
    }

    mutating func finish(into events: inout [Event]) throws(ParleyError) {
        guard !isComplete else { return }
        if form == .events, let frame = frames.finish() { try read(frame.data, into: &events) }
        guard reader.isFinished, form != .array || elements.isComplete else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended before its answer was complete.")
        }
        reader.end(into: &events)
        isComplete = true
    }

    /// What the first byte that is no space begins.
    private static func form(of bytes: ByteBuffer) -> Form {
        switch bytes.readableBytesView.first(where: { $0 > 0x20 }) {
        case nil: .unknown
        case UInt8(ascii: "[")?, UInt8(ascii: "{")?: .array
        default: .events
        }
    }

    private mutating func read(_ frame: ByteBuffer, into events: inout [Event]) throws(ParleyError) {
        let value: JSONValue
        do {
            value = try JSON.parse(frame)
        } catch {
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a stream event that is not JSON (before byte \(count) of the stream).")
        }
        guard let object = value.object else {
            throw ParleyError(
                .upstreamUnavailable,
                "The upstream sent a stream event that is no object (before byte \(count) of the stream).")
        }
        try reader.read(object, into: &events)
    }
}

/// Takes a JSON array apart into its elements, which must be objects, as their bytes arrive.
struct JSONArrayFrames {
    private var held = ByteBuffer()
    /// Bytes of `held` that were looked at.
    private var searched = 0
    /// Where the open element begins in `held`.
    private var start: Int?
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private let budget: Int
    /// Whether the array's end was seen, or an object that stands alone.
    private(set) var isComplete = false
    private var isInArray = false

    init(budget: Int = 32 << 20) {
        self.budget = budget
    }

    mutating func push(_ bytes: ByteBuffer) {
        if held.readableBytes == 0 { held = bytes } else { held.writeImmutableBuffer(bytes) }
    }

    /// The next whole element; nil when more bytes are needed.
    ///
    /// - Throws: `upstreamUnavailable` for an element over the budget.
    mutating func next() throws(ParleyError) -> ByteBuffer? {
        let end = held.withUnsafeReadableBytes { scan($0) }
        if let end, let start {
            let element = held.getSlice(at: held.readerIndex + start, length: end - start)
            held.moveReaderIndex(forwardBy: end)
            searched = 0
            self.start = nil
            if !isInArray { isComplete = true }
            return element
        }
        if start == nil {
            held.moveReaderIndex(forwardBy: searched)
            searched = 0
        }
        guard held.readableBytes <= budget else {
            throw ParleyError(.upstreamUnavailable, "The upstream sent an event of more than \(budget) bytes.")
        }
        return nil
    }

    /// Looks on from where the last look ended; returns the end of the element where it was found.
    private mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Int? {
        while searched < bytes.count {
            let byte = bytes[searched]
            searched += 1
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\"") where start != nil: isInString = true
            case UInt8(ascii: "{"):
                if depth == 0 { start = searched - 1 }
                depth += 1
            case UInt8(ascii: "}") where depth > 0:
                depth -= 1
                if depth == 0 { return searched }
            case UInt8(ascii: "[") where depth == 0: isInArray = true
            case UInt8(ascii: "]") where depth == 0: isComplete = true
            default: break
            }
        }
        return nil
    }
}
