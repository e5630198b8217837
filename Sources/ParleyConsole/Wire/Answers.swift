// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import Hummingbird
import NIOCore
import ParleyCore
import ParleyWire

/// Something a visitor did that cannot be done, as a page or as JSON.
struct Problem: Error, Sendable {
    var status: HTTPResponse.Status
    var message: String
    /// A word for programs.
    var code: String?
    /// Seconds after which another try is of use.
    var retryAfter: Int?
    /// Where to go from here: what the link says, and its path.
    var link: (text: String, path: String)?

    init(
        _ status: HTTPResponse.Status, _ message: String, code: String? = nil, retryAfter: Int? = nil,
        link: (text: String, path: String)? = nil
    ) {
        self.status = status
        self.message = message
        self.code = code
        self.retryAfter = retryAfter
        self.link = link
    }

    /// The problem as the visitor can read it.
    func response(to request: Request) -> Response {
        var response =
            request.wantsPage
            ? Answer.page(Pages.problem(self), status: status)
            : Answer.json(
                ["error": ["message": .string(message), "code": code.map { .string($0) } ?? .null]], status: status)
        if let retryAfter { response.set("retry-after", String(retryAfter)) }
        if status == .unauthorized { response.set("www-authenticate", "Bearer realm=\"parley\"") }
        return response
    }
}

/// Whole answers.
enum Answer {
    static func page(_ page: HTML, status: HTTPResponse.Status = .ok) -> Response {
        whole(page.text, "text/html; charset=utf-8", status)
    }

    static func style(_ text: String) -> Response { whole(text, "text/css; charset=utf-8", .ok) }

    static func json(_ value: JSONValue, status: HTTPResponse.Status = .ok) -> Response {
        var body = ByteBuffer()
        body.writeJSON(value)
        return whole(String(buffer: body), "application/json", status)
    }

    /// Sends a browser elsewhere; the body says it too, for whoever does not follow.
    static func redirect(to location: String, for request: Request) -> Response {
        var response =
            request.wantsPage
            ? page(Pages.redirect(to: location), status: .seeOther)
            : json(["location": .string(location)], status: .seeOther)
        response.set("location", location)
        return response
    }

    private static func whole(_ text: String, _ type: String, _ status: HTTPResponse.Status) -> Response {
        var response = Response(status: status, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        response.set("content-type", type)
        return response
    }
}

extension Response {
    /// Gives a header its value, by its lower-case name.
    mutating func set(_ name: String, _ value: String) {
        guard let name = HTTPField.Name(name) else { return }
        headers[name] = value
    }

    /// Whether a header is there.
    func has(_ name: String) -> Bool { HTTPField.Name(name).map { headers.contains($0) } ?? false }
}
