// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// An answer of iFlow that was looked at: what was read of it comes first, then the rest.
final class IFlowAnswer: UpstreamAnswer {
    /// Whole answers up to this size are looked over.
    private static let limit = 1 << 20
    /// How long a whole answer may bring nothing.
    private static let idle = TimeAmount.seconds(60)

    let status: Int
    let headers: HeaderBlock
    private var first: ByteBuffer?
    /// What is still to come; nil where everything was read.
    private let rest: (any UpstreamAnswer)?

    private init(status: Int, _ first: ByteBuffer, of answer: any UpstreamAnswer, isWhole: Bool) {
        self.status = status
        headers = answer.headers
        self.first = first
        rest = isWhole ? nil : answer
    }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        if let first = first.take(), first.readableBytes > 0 { return first }
        return try await rest?.next(by: deadline)
    }

    func cancel() { rest?.cancel() }

    func finish() { rest?.finish() }

    func forward(to receiver: any ArrivalReceiver) { rest?.forward(to: receiver) }

    /// Looks at an answer: a stream passes, JSON is read.
    static func read(
        _ answer: any UpstreamAnswer, _ request: OpenerRequest
    ) async throws(ParleyError) -> any UpstreamAnswer {
        let isGood = (200..<300).contains(answer.status)
        var seen = ByteBuffer()
        var isWhole = false
        while !isWhole, seen.readableBytes <= limit, !isGood || seen.beginning.map({ $0 == UInt8(ascii: "{") }) ?? true
        {
            do throws(ParleyError) {
                guard let bytes = try await answer.next(by: deadline(request, hasBegun: seen.readableBytes > 0)) else {
                    isWhole = true
                    continue
                }
                seen.writeImmutableBuffer(bytes)
            } catch {
                // A refusal that is cut short still has its status.
                if isGood || error.kind == .cancelled { throw error }
                isWhole = true
            }
        }
        guard isWhole else {
            return IFlowAnswer(status: answer.status, seen, of: answer, isWhole: false)
        }
        let told = IFlowVerdict(status: answer.status, body: seen)
        return IFlowAnswer(status: told.status, told.body, of: answer, isWhole: true)
    }

    /// A stream must begin in time; a whole answer has begun with its head.
    private static func deadline(_ request: OpenerRequest, hasBegun: Bool) -> NIODeadline {
        request.stream && !hasBegun ? request.first : min(request.total, .now() + idle)
    }
}

/// What a whole body of iFlow says, as other services would have said it.
struct IFlowVerdict: Equatable {
    var status: Int
    var body: ByteBuffer

    /// The vendor's numbers, from public clients of it.
    private static let statuses = [434: 401, 439: 401, 449: 429, 435: 404]
    private static let zeros = #"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#

    init(status: Int, body: ByteBuffer) {
        self.status = status
        self.body = body
        let isGood = (200..<300).contains(status)
        guard let scan = try? JSONScan(body) else { return }
        if scan.member(named: "choices") != nil, isGood {
            let usage = scan.member(named: "usage")
            if usage == nil || usage.map({ scan.isNull($0) }) == true {
                self.body = scan.applying([.set("usage", json: Self.zeros)])
            }
            return
        }
        var told = JSONObject()
        for name in ["status", "msg", "error", "message"] {
            if let member = scan.member(name) { told[name] = try? scan.value(member) }
        }
        let value = JSONValue.object(told)
        guard !isGood || value["status"] != nil || value["msg"] != nil || value["error"] != nil else { return }
        let number = value["status"].flatMap { $0.int ?? $0.string.flatMap { Int($0) } }
        self.status = Self.status(number, http: status)
        var error: JSONObject = ["message": .string(Self.message(value))]
        if self.status == 404 { error["code"] = "model_not_found" }
        var out = ByteBuffer()
        out.writeJSON(["error": .object(error)])
        self.body = out
    }

    private static func status(_ number: Int?, http: Int) -> Int {
        if let number, let meant = statuses[number] { return meant }
        if !(200..<300).contains(http) { return http >= 500 && http != 503 && http != 504 ? 502 : http }
        guard let number, (400..<600).contains(number) else { return 502 }
        return number >= 500 && number != 503 && number != 504 ? 502 : number
    }

    private static func message(_ value: JSONValue) -> String {
        for said in [
            value["msg"]?.string, value["error"]?["message"]?.string, value["error"]?.string,
            value["message"]?.string,
        ] {
            if let said, !said.isEmpty { return said }
        }
        return "iFlow API Error"
    }
}

extension ByteBuffer {
    /// The first byte that is not white space.
    fileprivate var beginning: UInt8? {
        readableBytesView.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }
    }
}
