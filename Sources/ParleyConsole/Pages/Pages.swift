// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import ParleyCore
import ParleyProviders

/// The pages, plain enough to need no script.
enum Pages {
    /// A provider that signs its user in, and how things are with it.
    struct Row: Sendable {
        var name: String
        var vendor: String
        /// Where its pages are.
        var path: String
        var status = SignInStatus(isSignedIn: false)

        var json: JSONValue {
            [
                "name": .string(name), "vendor": .string(vendor), "signed_in": .bool(status.isSignedIn),
                "user": status.user.map { .string($0) } ?? .null,
                "ends": status.ends.map { .number(String($0)) } ?? .null,
                "problem": status.problem.map { .string($0) } ?? .null, "login": .string(path + "/login"),
            ]
        }
    }

    static func signIn(next: String, isWrong: Bool) -> HTML {
        let wrong: HTML = isWrong ? "<p class=\"bad\">That is not the admin key.</p>" : ""
        return page(
            "Sign in",
            """
            <h1>Sign in</h1>
            <p>Parley's admin key opens this. The terminal said at the start where it is kept.</p>
            \(wrong)
            <form method="post" action="\(SessionRoutes.signIn)">
            <input type="hidden" name="next" value="\(next)">
            <label for="key">Admin key</label>
            <input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
            <button>Sign in</button>
            </form>
            """)
    }

    static func overview(_ rows: [Row], _ visitor: Visitor?) -> HTML {
        let list: HTML =
            rows.isEmpty
            ? "<p>No provider of the configuration signs its user in.</p>" : HTML(rows.map { card($0, visitor) })
        return page("Sign-ins", "<h1>Sign-ins</h1>\n\(list)\n\(leave(visitor))")
    }

    static func provider(_ row: Row, _ visitor: Visitor?, done: String?) -> HTML {
        let said: HTML = done.map { "<p class=\"good\">Done: \($0).</p>" } ?? ""
        return page(
            row.name,
            """
            <h1>\(row.vendor)</h1>
            \(said)
            \(card(row, visitor))
            <p><a href="\(SessionRoutes.home)">All sign-ins</a></p>
            """)
    }

    static func problem(_ problem: Problem) -> HTML {
        let link: HTML = problem.link.map { "<p><a href=\"\($0.path)\">\($0.text)</a></p>" } ?? ""
        let title = "\(problem.status.code) \(problem.status.reasonPhrase)"
        return page(title, "<h1>\(title)</h1>\n<p class=\"bad\">\(problem.message)</p>\n\(link)")
    }

    static func redirect(to location: String) -> HTML {
        page("Go on", "<p>Go on at <a href=\"\(location)\" rel=\"noreferrer\">the next page</a>.</p>")
    }

    private static func card(_ row: Row, _ visitor: Visitor?) -> HTML {
        let state: HTML =
            row.status.isSignedIn
            ? "<p><b class=\"good\">Signed in</b>\(user(row.status.user))\(ends(row.status.ends))</p>"
            : "<p><b>Not signed in</b></p>"
        let problem: HTML = row.status.problem.map { "<p class=\"bad\">\($0)</p>" } ?? ""
        let change: HTML =
            row.status.isSignedIn
            ? """
            \(form(row.path + "/refresh", "Get new tokens", visitor))
            \(form(row.path + "/logout", "Forget them", visitor))
            """ : ""
        return """
            <section>
            <h2>\(row.name)</h2>
            \(state)
            \(problem)
            <div class="row"><a class="button" href="\(row.path)/login">Sign in at \(row.vendor)</a>
            \(change)</div>
            </section>
            """
    }

    private static func user(_ name: String?) -> HTML { name.map { " as \($0)" } ?? "" }

    private static func ends(_ seconds: Int64?) -> HTML {
        guard let seconds else { return "" }
        return "; the tokens end at \(TimeText.utc(seconds)) and are renewed five minutes before"
    }

    private static func form(_ path: String, _ label: String, _ visitor: Visitor?) -> HTML {
        guard case .browser(let session)? = visitor else { return "" }
        return """
            <form method="post" action="\(path)"><input type="hidden" name="token" value="\(session.formToken)">\
            <button class="quiet">\(label)</button></form>
            """
    }

    private static func leave(_ visitor: Visitor?) -> HTML {
        "<footer>\(form(SessionRoutes.signOut, "Sign out of Parley", visitor))</footer>"
    }

    private static func page(_ title: String, _ body: HTML) -> HTML {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(title) · Parley</title>
        <link rel="stylesheet" href="/oauth/style.css">
        </head>
        <body>
        <header>Parley</header>
        <main>
        \(body)
        </main>
        </body>
        </html>
        """
    }
}
