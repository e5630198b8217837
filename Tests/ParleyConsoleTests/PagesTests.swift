// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import HTTPTypes
import ParleyAccess
import ParleyProviders
import Testing

@testable import ParleyConsole

@Suite struct PagesTests {
    @Test func `text is escaped wherever it goes into a page`() {
        let evil = "<script>'\"&"
        let page: HTML = "<p title=\"\(evil)\">\(evil)</p>"
        #expect(page.text == "<p title=\"&lt;script&gt;&#39;&quot;&amp;\">&lt;script&gt;&#39;&quot;&amp;</p>")
        var row = Pages.Row(name: evil, vendor: evil, path: "/oauth/x")
        row.status = SignInStatus(isSignedIn: true, user: evil, ends: 1_800_000_000, problem: evil)
        for text in [
            Pages.overview([row], .tool).text, Pages.provider(row, nil, done: evil).text,
            Pages.problem(Problem(.badRequest, evil, link: (evil, "/x"))).text,
            Pages.signIn(next: evil, isWrong: true).text, Pages.redirect(to: evil).text,
        ] {
            #expect(!text.contains("<script"))
            #expect(text.contains("&lt;script&gt;"))
        }
    }

    @Test func `only a browser's own session gets forms, with its token in them`() {
        let session = AdminSession(id: KeyDigest(of: "id"), formToken: "the-token", ends: 9)
        var row = Pages.Row(name: "flow", vendor: "iFlow", path: "/oauth/flow")
        row.status.isSignedIn = true
        #expect(Pages.overview([row], .browser(session)).text.contains("value=\"the-token\""))
        #expect(!Pages.overview([row], .tool).text.contains("<form"))
        #expect(!Pages.overview([row], nil).text.contains("<form"))
    }

    @Test(arguments: [
        ("/oauth/flow/login?x=1", "/oauth/flow/login?x=1"), ("//evil.example/", "/oauth"), ("/oauthx", "/oauth"),
        ("https://evil.example", "/oauth"), ("/oauth/\r\nx: 1", "/oauth"), ("/oauth\\evil", "/oauth"),
    ])
    func `after the sign-in the browser goes to a page of ours`(asked: String, gets: String) {
        #expect(SessionRoutes.safe(asked) == gets)
        #expect(SessionRoutes.safe(nil) == "/oauth")
    }

    @Test func `fields of forms are decoded, and what is no escape stays`() {
        let fields = FormFields("a=1%2B+2&b=%zz%4&c&=x&a=second&d=%C3%A9")
        #expect(fields["a"] == "1+ 2")
        #expect(fields["b"] == "%zz%4")
        #expect(fields["c"] == nil)
        #expect(fields["d"] == "\u{e9}")
        #expect(fields["nothing"] == nil)
    }

    @Test func `times are written as people read them`() {
        #expect(TimeText.utc(0) == "1970-01-01 00:00 UTC")
        #expect(TimeText.utc(1_795_283_101) == "2026-11-21 17:45 UTC")
        #expect(TimeText.utc(.max) == "9999-12-31 23:59 UTC")
        #expect(TimeText.utc(.min) == "1970-01-01 00:00 UTC")
    }
}
