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
    /// Whether lists, other attempts or inner calls follow.
    public var hasRest: Bool { mask & CallLayout.restBit != 0 }
    /// Whether there is the optional number of that place in `CallLayout.options`.
    public func has(_ option: Int) -> Bool { mask >> UInt32(truncatingIfNeeded: option) & 1 != 0 }

    /// The next text; it lies in the bytes that are read.
    ///
    /// - Throws: `Malformed` where there is none.
    public mutating func text() throws(CallLayout.Malformed) -> UnsafeRawBufferPointer? {
        let length = try varint()
        guard length > 0 else { return nil }
        guard length - 1 <= UInt64(bytes.count - at) else { throw CallLayout.Malformed() }
        let end = at + Int(length - 1)
        defer { at = end }
        return UnsafeRawBufferPointer(rebasing: bytes[at..<end])
    }

    /// The next number.
    ///
    /// - Throws: `Malformed` where there is none.
    public mutating func number() throws(CallLayout.Malformed) -> Int64 {
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

    /// What comes behind the numbers.
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

    /// What comes behind the numbers, where `hasRest` says so; then the call must be over.
    ///
    /// - Throws: `Malformed` where it is something else.
    public mutating func rest() throws(CallLayout.Malformed) -> Rest {
        var rest = Rest()
        if hasRest {
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

    fileprivate mutating func string() throws(CallLayout.Malformed) -> String {
        guard let text = try optionalString() else { throw CallLayout.Malformed() }
        return text
    }

    fileprivate mutating func optionalString() throws(CallLayout.Malformed) -> String? {
        try text().map { String(decoding: $0, as: UTF8.self) }
    }

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
        var classes: [Int?] = []
        for place in Usage.classNames.indices {
            classes.append(mask >> UInt32(place) & 1 != 0 ? Int(try number()) : nil)
        }
        return Usage(classes: classes, estimated: isEstimated)
    }
}

extension CallRecord {
    /// The call that ``CallWriter`` wrote.
    ///
    /// - Throws: `Malformed` where it is none.
    public init(_ bytes: UnsafeRawBufferPointer) throws(CallLayout.Malformed) {
        var reader = try CallReader(bytes)
        let (id, operation) = (try reader.string(), try reader.string())
        let (dialect, outcome) = (try reader.string(), try reader.string())
        self.init(id: id, time: 0, operation: operation, dialect: dialect)
        self.outcome = outcome
        stream = reader.isStream
        key = try reader.optionalString()
        model = try reader.optionalString()
        error = try reader.optionalString()
        finish = try reader.optionalString()
        upstream = try reader.optionalString()
        let (why, route) = (try reader.optionalString(), try reader.optionalString())
        time = try reader.number()
        status = Int(try reader.number())
        total = try reader.number()
        var options: [Int64?] = []
        for place in 0..<6 { options.append(reader.has(place) ? try reader.number() : nil) }
        firstEvent = options[0]
        cost = options[1].map { Int($0) }
        usage = try reader.usage()
        let rest = try reader.rest()
        (degraded, dropped, attempts, innerCalls) = (rest.degraded, rest.dropped, rest.attempts, rest.innerCalls)
        guard let answer = options[2], let upstream else { return }
        var own = AttemptRecord(upstream: upstream)
        own.began = options[3] ?? 0
        (own.elapsed, own.cost) = (options[4], options[5].map { Int($0) })
        (own.why, own.route, own.usage) = (why, route, usage)
        attempts.insert(own, at: Int(min(max(0, answer), Int64(attempts.count))))
    }
}
