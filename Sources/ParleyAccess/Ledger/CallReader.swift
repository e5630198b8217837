// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Reads calls as ``CallWriter`` wrote them, field by field in their order. Any bytes will do: what is no call is an error.
public struct CallReader {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    /// Which of the optional numbers there are, and more.
    private let mask: UInt32

    /// Begins to read.
    ///
    /// - Throws: `Malformed` where it is no call, or one of a later version.
    public init(_ bytes: UnsafeRawBufferPointer) throws(CallLayout.Malformed) {
        guard bytes.count >= 5, bytes[0] == CallLayout.version else { throw CallLayout.Malformed() }
        self.bytes = bytes
        mask = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
        at = 5
    }

    /// Whether the answer was a stream.
    public var isStream: Bool { mask & CallLayout.streamBit != 0 }
    /// Whether the tokens are an estimate.
    public var isEstimated: Bool { mask & CallLayout.estimatedBit != 0 }

    // MARK: In their order: the head, the options, the classes of usage, the rest

    /// What every call begins with; see ``CallRecord``. The texts lie in the bytes that are read.
    public struct Head {
        /// The request's id.
        public let id: UnsafeRawBufferPointer
        let operation, dialect: UnsafeRawBufferPointer
        /// How it ended.
        public let outcome: UnsafeRawBufferPointer
        /// The name of the key.
        public let key: UnsafeRawBufferPointer?
        /// The model that was asked for.
        public let model: UnsafeRawBufferPointer?
        let error, finish: UnsafeRawBufferPointer?
        /// The upstream that answered, or that was asked last.
        public let upstream: UnsafeRawBufferPointer?
        let why, route: UnsafeRawBufferPointer?
        /// When it came, in milliseconds since 1970.
        public let time: Int64
        let status, total: Int64
        /// Where the texts behind the id lie, from the operation to the route; the time comes next.
        public let texts: Range<Int>
    }

    /// The head, which comes first.
    ///
    /// - Throws: `Malformed` where there is none.
    public mutating func head() throws(CallLayout.Malformed) -> Head {
        let id = try neededText()
        let texts = at
        let (operation, dialect, outcome) = (try neededText(), try neededText(), try neededText())
        let (key, model, error, finish) = (try text(), try text(), try text(), try text())
        let (upstream, why, route) = (try text(), try text(), try text())
        let end = at
        return Head(
            id: id, operation: operation, dialect: dialect, outcome: outcome, key: key, model: model, error: error,
            finish: finish, upstream: upstream, why: why, route: route, time: try number(), status: try number(),
            total: try number(), texts: texts..<end)
    }

    /// The head of a call of which nothing else is asked; nil where the bytes are none.
    public static func head(of call: UnsafeRawBufferPointer) -> Head? {
        guard var reader = try? CallReader(call) else { return nil }
        return try? reader.head()
    }

    /// The numbers that not every call has.
    public struct Options {
        let first: Int64?
        /// What the call cost, in nanodollars.
        public let cost: Int64?
        /// The place of the attempt that answered.
        public let answer: Int64?
        let began, elapsed: Int64?
        /// What the attempt that answered cost, in nanodollars.
        public let ownCost: Int64?
    }

    /// The options, which come behind the head.
    ///
    /// - Throws: `Malformed` where they are none.
    public mutating func options() throws(CallLayout.Malformed) -> Options {
        let (first, cost, answer) = (try option(0), try option(1), try option(2))
        return Options(
            first: first, cost: cost, answer: answer, began: try option(3), elapsed: try option(4),
            ownCost: try option(5))
    }

    /// Calls `body` with every class of usage that was reported, by its place in `Usage.classNames`; they come behind the
    /// options.
    ///
    /// - Throws: `Malformed` where they are none.
    public mutating func classes(_ body: (Int, Int64) -> Void) throws(CallLayout.Malformed) {
        try classes(of: mask >> CallLayout.usageShift, body)
    }

    private mutating func classes(of mask: UInt32, _ body: (Int, Int64) -> Void) throws(CallLayout.Malformed) {
        for place in 0..<Usage.classNames.count where mask >> UInt32(place) & 1 != 0 { body(place, try number()) }
    }

    private mutating func option(_ place: UInt32) throws(CallLayout.Malformed) -> Int64? {
        mask >> place & 1 != 0 ? try number() : nil
    }

    private mutating func neededText() throws(CallLayout.Malformed) -> UnsafeRawBufferPointer {
        guard let text = try text() else { throw CallLayout.Malformed() }
        return text
    }

    private mutating func text() throws(CallLayout.Malformed) -> UnsafeRawBufferPointer? {
        let length = try varint()
        guard length > 0 else { return nil }
        guard length - 1 <= UInt64(bytes.count - at) else { throw CallLayout.Malformed() }
        let end = at + Int(length - 1)
        defer { at = end }
        return UnsafeRawBufferPointer(rebasing: bytes[at..<end])
    }

    private mutating func number() throws(CallLayout.Malformed) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    private mutating func varint() throws(CallLayout.Malformed) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
            guard shift < 64 else { throw CallLayout.Malformed() }
        }
        throw CallLayout.Malformed()
    }

    // MARK: The rest

    /// What comes last.
    public struct Rest {
        /// See ``CallRecord``.
        public var degraded: [String] = []
        /// See ``CallRecord``.
        public var dropped: [String] = []
        /// The attempts but the one that answered.
        public var attempts: [AttemptRecord] = []
        /// The inner calls.
        public var innerCalls: [InnerCallRecord] = []
    }

    /// The rest, which comes behind the classes; then the call must be over.
    ///
    /// - Throws: `Malformed` where it is something else.
    public mutating func rest() throws(CallLayout.Malformed) -> Rest {
        var rest = Rest()
        if mask & CallLayout.restBit != 0 {
            for _ in 0..<(try length()) { rest.degraded.append(try string()) }
            for _ in 0..<(try length()) { rest.dropped.append(try string()) }
            rest.attempts = try attempts()
            rest.innerCalls = try innerCalls(depth: 1)
        }
        guard at == bytes.count else { throw CallLayout.Malformed() }
        return rest
    }

    /// The length of a list; what is in it takes a byte each, at least.
    private mutating func length() throws(CallLayout.Malformed) -> Int {
        let length = try varint()
        guard length <= UInt64(bytes.count - at) else { throw CallLayout.Malformed() }
        return Int(length)
    }

    private mutating func string() throws(CallLayout.Malformed) -> String { String(try neededText()) }

    private mutating func optionalString() throws(CallLayout.Malformed) -> String? { try text().map { String($0) } }

    private mutating func attempts() throws(CallLayout.Malformed) -> [AttemptRecord] {
        var attempts: [AttemptRecord] = []
        for _ in 0..<(try length()) {
            var attempt = AttemptRecord(upstream: try string())
            attempt.failure = try optionalString()
            attempt.why = try optionalString()
            attempt.route = try optionalString()
            (attempt.began, attempt.elapsed, attempt.cost, attempt.usage) = try part()
            attempts.append(attempt)
        }
        return attempts
    }

    private mutating func innerCalls(depth: Int) throws(CallLayout.Malformed) -> [InnerCallRecord] {
        guard depth <= CallLayout.deepest + 1 else { throw CallLayout.Malformed() }
        var calls: [InnerCallRecord] = []
        for _ in 0..<(try length()) {
            var call = InnerCallRecord(purpose: try string(), model: try string())
            call.failure = try optionalString()
            (call.began, call.elapsed, call.cost, call.usage) = try part()
            call.attempts = try attempts()
            call.innerCalls = try innerCalls(depth: depth + 1)
            calls.append(call)
        }
        return calls
    }

    private mutating func part() throws(CallLayout.Malformed) -> (Int64, Int64?, Int?, Usage) {
        guard bytes.count - at >= 4 else { throw CallLayout.Malformed() }
        let mask = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
        at += 4
        let began = try number()
        var (elapsed, cost): (Int64?, Int?)
        if mask & CallLayout.Part.elapsed != 0 { elapsed = try number() }
        if mask & CallLayout.Part.cost != 0 { cost = Int(try number()) }
        return (began, elapsed, cost, try usage(mask, isEstimated: mask & CallLayout.Part.estimated != 0))
    }

    fileprivate mutating func usage() throws(CallLayout.Malformed) -> Usage {
        try usage(mask >> CallLayout.usageShift, isEstimated: isEstimated)
    }

    private mutating func usage(_ mask: UInt32, isEstimated: Bool) throws(CallLayout.Malformed) -> Usage {
        var values = [Int?](repeating: nil, count: Usage.classNames.count)
        try classes(of: mask) { place, value in values[place] = Int(value) }
        return Usage(classes: values, estimated: isEstimated)
    }
}

extension CallRecord {
    /// The call that ``CallWriter`` wrote.
    ///
    /// - Throws: `Malformed` where it is none.
    public init(_ bytes: UnsafeRawBufferPointer) throws(CallLayout.Malformed) {
        var reader = try CallReader(bytes)
        let head = try reader.head()
        self.init(
            id: String(head.id), time: head.time, operation: String(head.operation), dialect: String(head.dialect))
        (outcome, stream) = (String(head.outcome), reader.isStream)
        (key, model) = (head.key.map { String($0) }, head.model.map { String($0) })
        (error, finish) = (head.error.map { String($0) }, head.finish.map { String($0) })
        (upstream, status, total) = (head.upstream.map { String($0) }, Int(head.status), head.total)
        let options = try reader.options()
        (firstEvent, cost) = (options.first, options.cost.map { Int($0) })
        usage = try reader.usage()
        let rest = try reader.rest()
        (degraded, dropped, attempts, innerCalls) = (rest.degraded, rest.dropped, rest.attempts, rest.innerCalls)
        guard let answer = options.answer, let upstream else { return }
        var own = AttemptRecord(upstream: upstream)
        (own.began, own.elapsed, own.cost) = (options.began ?? 0, options.elapsed, options.ownCost.map { Int($0) })
        (own.why, own.route) = (head.why.map { String($0) }, head.route.map { String($0) })
        own.usage = usage
        attempts.insert(own, at: Int(min(max(0, answer), Int64(attempts.count))))
    }
}

extension String {
    /// The text of a call.
    fileprivate init(_ text: UnsafeRawBufferPointer) { self.init(decoding: text, as: UTF8.self) }
}
