// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import Hummingbird
import ParleyCore

/// The form a browser signs in with, and the way out.
struct SessionRoutes: Sendable {
    static let signIn = "/oauth/sign-in"
    static let signOut = "/oauth/sign-out"
    static let home = "/oauth"

    let door: Doorkeeper

    func add(to router: Router<ConsoleContext>) {
        router.get("/oauth/style.css") { _, _ in
            var response = Answer.style(Style.text)
            response.set("cache-control", "max-age=3600")
            return response
        }
        router.get("/oauth/sign-in") { request, _ in
            Answer.page(Pages.signIn(next: Self.safe(request.queryFields["next"]), isWrong: false))
        }
        router.post("/oauth/sign-in") { request, context in try await enter(request, context) }
        router.group().add(middleware: Admission(door: door)).post("/oauth/sign-out") { request, context in
            try Admission.checkForm(try await request.formFields(), context.visitor)
            if case .browser(let session)? = context.visitor { door.end(session) }
            var response = Answer.redirect(to: Self.signIn, for: request)
            response.set("set-cookie", Self.cookie("", seconds: 0, context))
            return response
        }
    }

    /// The address of the form, from which the browser comes back to `path`.
    static func form(returningTo path: String) -> String {
        path == home ? signIn : signIn + "?next=" + escaped(path)
    }

    private func enter(_ request: Request, _ context: ConsoleContext) async throws -> Response {
        try Self.checkOrigin(request, context)
        let fields = try await request.formFields()
        switch door.check(fields["key"] ?? "", from: context.peer) {
        case .right: break
        case .wait(let seconds): throw Admission.tooMany(seconds)
        case .wrong:
            guard request.wantsPage else { throw Admission.wrongKey }
            return Answer.page(Pages.signIn(next: Self.safe(fields["next"]), isWrong: true), status: .unauthorized)
        }
        var response = Answer.redirect(to: Self.safe(fields["next"]), for: request)
        response.set("set-cookie", Self.cookie(door.begin(), seconds: door.session.components.seconds, context))
        return response
    }

    /// Refuses a form that another site's page sends: nobody is to be signed in without knowing.
    private static func checkOrigin(_ request: Request, _ context: ConsoleContext) throws(Problem) {
        let refusal = Problem(.forbidden, "This form came from another site.", code: "foreign_form")
        if let site = request.header("sec-fetch-site"), site != "same-origin", site != "none" { throw refusal }
        guard let origin = request.header("origin") else { return }
        // A proxy in front may speak TLS without saying so: the scheme is left out of account.
        let host = origin.split(separator: "/", omittingEmptySubsequences: true).last.map(String.init)
        guard let host, host.lowercased() == request.host?.lowercased() else { throw refusal }
    }

    /// Only pages of ours are gone back to.
    static func safe(_ path: String?) -> String {
        guard let path, path == home || path.hasPrefix(home + "/"),
            path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "\"") })
        else { return home }
        return path
    }

    private static func cookie(_ id: String, seconds: Int64, _ context: ConsoleContext) -> String {
        // Lax, not Strict: a vendor's page sends the browser back, and it must still be known then.
        "\(Doorkeeper.cookie)=\(id); Path=/; Max-Age=\(seconds); HttpOnly; SameSite=Lax"
            + (context.isSecure ? "; Secure" : "")
    }

    /// A text as a value of a query.
    static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
