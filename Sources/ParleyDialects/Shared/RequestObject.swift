// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// A request's body as the object that it must be.
enum RequestObject {
    /// Reads the body.
    ///
    /// - Parameter noObject: what is thrown for JSON that is no object.
    /// - Throws: `invalid` for what is no JSON, naming the byte at fault.
    static func read(
        _ body: ByteBuffer,
        otherwise noObject: @autoclosure () -> ParleyError = ParleyError(
            .invalid, "The body is not a JSON object.", code: "invalid_json")
    ) throws(ParleyError) -> JSONObject {
        let value: JSONValue
        do {
            value = try JSON.parse(body)
        } catch {
            throw ParleyError(
                .invalid, "The body is not valid JSON: \(error.message) (at byte \(error.offset)).",
                code: "invalid_json")
        }
        guard let object = value.object else { throw noObject() }
        return object
    }
}
