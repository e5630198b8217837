// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Crypto
import Glibc

/// The signature that FlowGPT wants with a question.
///
/// Source: the open project flowgpt-2api.
struct FlowGPTSignature {
    /// Seconds since 1970.
    let timestamp: String
    let nonce: String
    /// MD5 of timestamp, nonce and device id as they follow each other.
    let signature: String

    init(timestamp: String, nonce: String, device: String) {
        self.timestamp = timestamp
        self.nonce = nonce
        signature = Self.hexadecimal(Array(Insecure.MD5.hash(data: Array((timestamp + nonce + device).utf8))))
    }

    /// A signature made now.
    init(device: String) {
        let nonce = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        self.init(timestamp: String(time(nil)), nonce: Self.hexadecimal(nonce), device: device)
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
