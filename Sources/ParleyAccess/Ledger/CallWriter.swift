// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// Writes calls as bytes, one at a time, always into the same memory; see ``CallLayout``.
///
/// Every event loop has its own, and so a call costs no allocation.
public final class CallWriter {
    private var base = UnsafeMutablePointer<UInt8>.allocate(capacity: 1024)
    private var capacity = 1024
    private var count = 0
    private var prices = PriceCache()

    /// A writer.
    public init() {}

    deinit { base.deallocate() }

    /// The call that was written last; good until the next one.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// What the upstream takes for these tokens, in nanodollars; nil where its price or the tokens are not known.
    public func cost(of usage: Usage, at upstream: String, in book: PriceBook) -> Int? {
        prices.cost(of: usage, at: upstream, in: book)
    }

    // MARK: Calls

    /// The numbers of a call; see ``CallRecord``.
    public struct Numbers {
        /// When it came, in milliseconds since 1970.
        public var time: Int64
        /// The status answered.
        public var status: Int
        /// Microseconds from the request to the end.
        public var total: Int64
        /// Microseconds from the request to the first event of the answer.
        public var firstEvent: Int64?
        /// What it cost, in nanodollars.
        public var cost: Int?
        /// Whether the answer was a stream.
        public var stream: Bool

        /// All of them.
        public init(time: Int64, status: Int, total: Int64, firstEvent: Int64?, cost: Int?, stream: Bool) {
            (self.time, self.status, self.total) = (time, status, total)
            (self.firstEvent, self.cost, self.stream) = (firstEvent, cost, stream)
        }
    }

    /// Writes a call that made at most one attempt.
    ///
    /// The texts come one by one, since a record of them would retain each. See ``CallRecord`` for what they are.
    /// - Parameters:
    ///   - usage: the tokens of the answer.
    ///   - arrived: when the call came.
    public func write(
        id: String, operation: String, dialect: String, outcome: String, key: String?, model: String?, error: String?,
        finish: String?, _ call: Numbers, _ plain: borrowing CallTrace.Plain, usage: borrowing Usage,
        arrived: NIODeadline
    ) {
        begin()
        text(id)
        text(operation)
        text(dialect)
        text(outcome)
        text(key)
        text(model)
        text(error)
        text(finish)
        text(plain.upstream)
        let isAnswered = plain.isAnswered
        if isAnswered {
            text(plain.why)
            text(plain.route)
        } else {
            byte(0)
            byte(0)
        }
        numbers(call)
        var mask: UInt32 = call.stream ? CallLayout.streamBit : 0
        option(call.firstEvent, 0, &mask)
        option(call.cost, 1, &mask)
        if isAnswered {
            option(Int64(0), 2, &mask)
            option(arrived.microseconds(to: plain.began), 3, &mask)
            option(plain.elapsed.map { $0.nanoseconds / 1000 }, 4, &mask)
            option(call.cost, 5, &mask)
        }
        mask |= classes(usage) << CallLayout.usageShift
        if usage.estimated { mask |= CallLayout.estimatedBit }
        if !isAnswered, let attempt = plain.attempt(after: arrived) {
            mask |= CallLayout.restBit
            rest(attempt)
        }
        end(mask)
    }

    /// Writes any call.
    public func write(_ call: CallRecord) {
        begin()
        // The answering attempt lies in the call itself.
        let answer = call.attempts.lastIndex { $0.failure == nil && $0.elapsed != nil }
        let own = answer.map { call.attempts[$0] }
        for text in [call.id, call.operation, call.dialect, call.outcome] { self.text(text) }
        for text in [call.key, call.model, call.error, call.finish, call.upstream, own?.why, own?.route] {
            self.text(text)
        }
        numbers(
            Numbers(
                time: call.time, status: call.status, total: call.total, firstEvent: call.firstEvent, cost: call.cost,
                stream: call.stream))
        var mask: UInt32 = call.stream ? CallLayout.streamBit : 0
        option(call.firstEvent, 0, &mask)
        option(call.cost, 1, &mask)
        option(answer, 2, &mask)
        option(own?.began, 3, &mask)
        option(own?.elapsed, 4, &mask)
        option(own?.cost, 5, &mask)
        mask |= classes(call.usage) << CallLayout.usageShift
        if call.usage.estimated { mask |= CallLayout.estimatedBit }
        let others = call.attempts.indices.lazy.filter { $0 != answer }.map { call.attempts[$0] }
        if !others.isEmpty || !call.innerCalls.isEmpty || !call.degraded.isEmpty || !call.dropped.isEmpty {
            mask |= CallLayout.restBit
            list(call.degraded)
            list(call.dropped)
            list(others.count, others) { attempt($0) }
            list(call.innerCalls.count, call.innerCalls) { inner($0, depth: 1) }
        }
        end(mask)
    }

    @inline(__always)
    private func numbers(_ call: Numbers) {
        // Room for all numbers of the call itself.
        reserve(24 * 10)
        number(call.time)
        number(Int64(call.status))
        number(call.total)
    }

    // MARK: The rest

    private func rest(_ failed: AttemptRecord) {
        list([])
        list([])
        list(1, CollectionOfOne(failed)) { attempt($0) }
        list([])
    }

    private func attempt(_ attempt: AttemptRecord) {
        text(attempt.upstream)
        text(attempt.failure)
        text(attempt.why)
        text(attempt.route)
        part(attempt.began, attempt.elapsed, attempt.cost, attempt.usage)
    }

    private func inner(_ call: InnerCallRecord, depth: Int) {
        text(call.purpose)
        text(call.model)
        text(call.failure)
        part(call.began, call.elapsed, call.cost, call.usage)
        list(call.attempts.count, call.attempts) { attempt($0) }
        let deeper = depth < CallLayout.deepest ? call.innerCalls : []
        list(deeper.count, deeper) { inner($0, depth: depth + 1) }
    }

    private func part(_ began: Int64, _ elapsed: Int64?, _ cost: Int?, _ usage: Usage) {
        reserve(20 * 10)
        let start = count
        count += 4
        number(began)
        if let elapsed { number(elapsed) }
        if let cost { number(Int64(cost)) }
        var mask = classes(usage)
        if usage.estimated { mask |= CallLayout.Part.estimated }
        if elapsed != nil { mask |= CallLayout.Part.elapsed }
        if cost != nil { mask |= CallLayout.Part.cost }
        store(mask, at: start)
    }

    private func list(_ texts: [String]) {
        list(texts.count, texts) { text($0) }
    }

    private func list<Element>(_ length: Int, _ elements: some Sequence<Element>, _ write: (Element) -> Void) {
        reserve(10)
        varint(UInt64(length))
        for element in elements { write(element) }
    }

    // MARK: Bytes

    private func begin() {
        base[0] = CallLayout.version
        // The mask comes when it is known.
        count = 5
    }

    private func end(_ mask: UInt32) { store(mask, at: 1) }

    private func store(_ mask: UInt32, at place: Int) {
        UnsafeMutableRawPointer(base + place).storeBytes(of: mask.littleEndian, as: UInt32.self)
    }

    private func reserve(_ room: Int) {
        if count + room > capacity { grow(room) }
    }

    @inline(never)
    private func grow(_ room: Int) {
        let larger = max(capacity * 2, count + room)
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        memory.update(from: base, count: count)
        base.deallocate()
        (base, capacity) = (memory, larger)
    }

    private func byte(_ value: UInt8) {
        reserve(1)
        base[count] = value
        count += 1
    }

    @inline(__always)
    private func text(_ value: String?) {
        if let value { text(value) } else { byte(0) }
    }

    @inline(__always)
    private func text(_ value: String) {
        let isDone: Void? = value.utf8.withContiguousStorageIfAvailable { raw($0) }
        if isDone == nil { Array(value.utf8).withUnsafeBufferPointer { raw($0) } }
    }

    private func raw(_ text: UnsafeBufferPointer<UInt8>) {
        var length = text.count
        if length > CallLayout.longestText {
            length = CallLayout.longestText
            // Not in the middle of a character.
            while length > 0, text[length] & 0xC0 == 0x80 { length -= 1 }
        }
        reserve(length + 10)
        varint(UInt64(length + 1))
        if length > 0, let start = text.baseAddress { (base + count).update(from: start, count: length) }
        count += length
    }

    /// Appends a number; there must be room for ten bytes.
    @inline(__always)
    private func number(_ value: Int64) {
        varint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    @inline(__always)
    private func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            base[count] = UInt8(truncatingIfNeeded: rest) | 0x80
            count += 1
            rest >>= 7
        }
        base[count] = UInt8(truncatingIfNeeded: rest)
        count += 1
    }

    @inline(__always)
    private func option(_ value: Int64?, _ bit: UInt32, _ mask: inout UInt32) {
        guard let value else { return }
        mask |= 1 << bit
        number(value)
    }

    @inline(__always)
    private func option(_ value: Int?, _ bit: UInt32, _ mask: inout UInt32) {
        option(value.map { Int64($0) }, bit, &mask)
    }

    /// Appends the classes that were reported.
    ///
    /// - Returns: which they are, in the order of `Usage.classes`.
    private func classes(_ usage: borrowing Usage) -> UInt32 {
        var mask: UInt32 = 0
        option(usage.input, 0, &mask)
        option(usage.cacheRead, 1, &mask)
        option(usage.cacheWrite, 2, &mask)
        option(usage.cacheWriteHour, 3, &mask)
        option(usage.inputAudio, 4, &mask)
        option(usage.output, 5, &mask)
        option(usage.reasoning, 6, &mask)
        option(usage.outputAudio, 7, &mask)
        option(usage.acceptedPrediction, 8, &mask)
        option(usage.rejectedPrediction, 9, &mask)
        option(usage.statedTotal, 10, &mask)
        return mask
    }
}

extension CallTrace.Plain {
    /// The attempt as a record, where there was one.
    fileprivate func attempt(after arrived: NIODeadline) -> AttemptRecord? {
        guard let upstream else { return nil }
        var record = AttemptRecord(upstream: upstream)
        record.began = arrived.microseconds(to: began)
        record.elapsed = elapsed.map { $0.nanoseconds / 1000 }
        record.failure = failure?.rawValue
        (record.why, record.route) = (why, route)
        return record
    }
}

extension NIODeadline {
    /// Whole microseconds to a later moment.
    func microseconds(to other: NIODeadline) -> Int64 { max(0, (other - self).nanoseconds / 1000) }
}
