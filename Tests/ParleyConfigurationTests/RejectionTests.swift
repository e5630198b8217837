// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyConfiguration
import Testing

/// A small file and everything that is wrong with it.
struct Rejection: Sendable, CustomTestStringConvertible {
    var text: String
    var errors: [String]

    init(_ text: String, _ errors: String...) {
        self.text = text
        self.errors = errors
    }

    var testDescription: String { text }
}

@Suite("What is refused, and where")
struct RejectionTests {
    @Test("A wrong value is refused at its place", arguments: server + providers + models + keys + shapes)
    func refused(_ rejection: Rejection) {
        #expect(Samples.errors(rejection.text) == rejection.errors)
        #expect(Samples.load(rejection.text).settings == nil)
    }

    static let server: [Rejection] = [
        Rejection("servr: {}", "1:1: servr: unknown setting \"servr\"; did you mean \"server\"?"),
        Rejection(
            "server: {body_limt: 1MB}",
            "1:10: server.body_limt: unknown setting \"body_limt\"; did you mean \"body_limit\"?"),
        Rejection("server: 5", "1:9: server: must be a mapping, not a single value"),
        Rejection("server: []", "1:9: server: must be a mapping, not a list"),
        Rejection("server: {listen: 8080}", "1:18: server.listen: needs a port: host:port, [v6]:port or unix:/path"),
        Rejection(
            "server: {listen: \"host:99999\"}",
            "1:18: server.listen: the port must be a number from 0 to 65535"),
        Rejection("server: {listen: \"host:-1\"}", "1:18: server.listen: the port must be a number from 0 to 65535"),
        Rejection(
            "server: {listen: \"::1:80\"}",
            "1:18: server.listen: an IPv6 address must stand in brackets, as in [::1]:8080"),
        Rejection(
            "server: {listen: \"fe80::1:80\"}",
            "1:18: server.listen: an IPv6 address must stand in brackets, as in [::1]:8080"),
        Rejection(
            "server: {listen: \"unix:\"}",
            "1:18: server.listen: unix: needs a path, as in unix:/run/parley.sock"),
        Rejection("server: {listen: []}", "1:18: server.listen: needs at least one address"),
        Rejection(
            "server: {listen: [\"a:1\", \"a:1\"]}",
            "1:26: server.listen: the address \"a:1\" is already on line 1"),
        Rejection("server: {listen: {a: 1}}", "1:18: server.listen: must be an address or a list, not a mapping"),
        Rejection("server: {tls: {key: k.pem}}", "1:15: server.tls: needs `certificate`"),
        Rejection(
            "server: {cors: \"app.example.com\"}",
            "1:16: server.cors: must be * or an origin such as https://app.example.com"),
        Rejection("server: {body_limit: 32XB}", "1:22: server.body_limit: must be a size such as 64KB, 32MB or 1GB"),
        Rejection("server: {body_limit: -1MB}", "1:22: server.body_limit: must not be negative"),
        Rejection("server: {body_limit: 0}", "1:22: server.body_limit: must be larger than 0"),
        Rejection(
            "server: {body_limit: 99999999999999999999GB}",
            "1:22: server.body_limit: must not be larger than 1024GB"),
        Rejection(
            "server: {header_limit: .nan}",
            "1:24: server.header_limit: must be a size such as 64KB, 32MB or 1GB"),
        Rejection(
            "server: {max_connections: 0}",
            "1:27: server.max_connections: must be a whole number from 1 to 1000000000"),
        Rejection(
            "server: {max_connections: 1.5}",
            "1:27: server.max_connections: must be a whole number from 1 to 1000000000"),
        Rejection(
            "server: {idle: 75}",
            "1:16: server.idle: needs a unit, as in 75s; units are ms, s, m, h, d and y"),
        Rejection(
            "server: {idle: 5 parsecs}",
            "1:16: server.idle: must be a duration such as 250ms, 5s, 10m, 12h or 7d"),
        Rejection(
            "server: {idle: 5w}",
            "1:16: server.idle: has no known unit of time; units are ms, s, m, h, d and y"),
        Rejection("server: {header_timeout: 0s}", "1:26: server.header_timeout: must be longer than 0"),
        Rejection("server: {keepalive_comment: -1s}", "1:29: server.keepalive_comment: must not be negative"),
        Rejection("server: {drain: 101y}", "1:17: server.drain: must not be longer than 100 years"),
        Rejection("server: {drain: 1e400s}", "1:17: server.drain: must not be longer than 100 years"),
        Rejection(
            "server: {compatibility: [biling]}",
            "1:26: server.compatibility[0]: unknown compatibility \"biling\"; did you mean \"billing\"?"),
        Rejection(
            "log: {level: warn}",
            "1:14: log.level: unknown level \"warn\"; known: "
                + "trace, debug, info, notice, warning, error"),
        Rejection("log: {format: jsn}", "1:15: log.format: unknown format \"jsn\"; did you mean \"json\"?"),
        Rejection("log: {access: yes}", "1:15: log.access: must be true or false"),
        Rejection("log: {file: {keep: 3}}", "1:13: log.file: needs `path`"),
        Rejection("log: {file: parley.log}", "1:13: log.file: must be a mapping, not a single value"),
        Rejection("store: mysql://u:p@h/d", "1:8: store: must begin with sqlite: or postgres://"),
        Rejection(
            "console: {listen: sharde}",
            "1:19: console.listen: needs a port: host:port, [v6]:port or unix:/path"),
        Rejection(
            "telemetry: {otlp: {sample: 2}}",
            "1:19: telemetry.otlp: needs `endpoint`",
            "1:28: telemetry.otlp.sample: must be a share from 0 to 1, or a percentage such as 5%"),
        Rejection(
            "capture: {bodies: some}",
            "1:19: capture.bodies: unknown choice \"some\"; known: off, errors, all"),
    ]

    static let providers: [Rejection] = [
        Rejection("providers: [openai]", "1:12: providers: must be a mapping, not a list"),
        Rejection(
            "providers: {a: {kind: opnai}}",
            "1:23: providers.a.kind: unknown kind \"opnai\"; did you mean \"openai\"?"),
        Rejection(
            "providers: {a: {kind: grok}}",
            "1:23: providers.a.kind: unknown kind \"grok\"; did you mean \"groq\"?"),
        Rejection("providers: {a: {}}", "1:13: providers.a: needs `kind`, since its name is none"),
        Rejection(
            "providers: {a: {kind: openai-compatible}}",
            "1:16: providers.a: needs `base_url`, since it is of kind openai-compatible"),
        Rejection(
            "providers: {a/b: {kind: openai}}",
            "1:13: providers.a/b: a provider's name must not hold a /, which ends it in `provider/model`"),
        Rejection("providers: {\"\": {kind: openai}}", "1:13: providers.: a provider's name must not be empty"),
        Rejection("providers:\n  a: {kind: openai}\n  a: {kind: demo}", "3:3: : \"a\" is already set on line 2"),
        Rejection(
            "providers: {a: {kind: openai, base_url: api.example.com}}",
            "1:41: providers.a.base_url: must be a URL such as https://host/path; the scheme is missing"),
        Rejection(
            "providers: {a: {kind: openai, base_url: \"ftp://h\"}}",
            "1:41: providers.a.base_url: must be a URL that begins with http:// or https://"),
        Rejection(
            "providers: {a: {kind: openai, base_url: \"https://me:pw@h/v1\"}}",
            "1:41: providers.a.base_url: must not hold a user or password"),
        Rejection(
            "providers: {a: {kind: openai, base_url: \"https:///v1\"}}",
            "1:41: providers.a.base_url: needs a host before the port; 0.0.0.0 means every address"),
        Rejection(
            "providers: {a: {kind: openai, base_url: \"https://h/v1/chat/completions\"}}",
            "1:41: providers.a.base_url: must end before /chat/completions, which is added to it"),
        Rejection(
            "providers: {a: {kind: openai, base_url: \"https://h:0/\"}}",
            "1:41: providers.a.base_url: port 0 cannot be called"),
        Rejection(
            "providers: {a: {kind: openai, endpoint: \"https://h\"}}",
            "1:31: providers.a.endpoint: a setting of kind azure, not of openai"),
        Rejection(
            "providers: {a: {kind: openai, api_key: {x: y}}}",
            "1:40: providers.a.api_key: must be a secret or a list of them, not a mapping"),
        Rejection(
            "providers: {a: {kind: openai, api_key: \"${NOWHERE}\"}}",
            "1:40: providers.a.api_key: environment variable NOWHERE is not set "
                + "(use ${NOWHERE:-} to allow it to be empty)"),
        Rejection(
            "providers: {a: {kind: openai, headers: {\"a b\": c}}}",
            "1:41: providers.a.headers.a b: is not a header's name"),
        Rejection(
            "providers: {a: {kind: openai, headers: {A: 1, a: 2}}}",
            "1:47: providers.a.headers.a: is given twice; case makes no difference in a header's name"),
        Rejection(
            "providers: {a: {kind: openai, headers: {a: \"x\\ny\"}}}",
            "1:44: providers.a.headers.a: holds a line break or another control character"),
        Rejection(
            "providers: {a: {kind: openai, proxy: \"socks5://h:1\"}}",
            "1:38: providers.a.proxy: must be an HTTP proxy's URL such as http://127.0.0.1:7890"),
        Rejection(
            "providers: {a: {kind: openai, params: [1]}}",
            "1:39: providers.a.params: must be a mapping, not a list"),
        Rejection(
            "providers: {a: {kind: openai, force: {t: .inf}}}",
            "1:42: providers.a.force.t: JSON has no infinity and no NaN"),
        Rejection(
            "providers: {a: {kind: openai, timeout: {connect: soon}}}",
            "1:50: providers.a.timeout.connect: must be a duration such as 250ms, 5s, 10m, 12h or 7d"),
        Rejection(
            "providers: {a: {kind: openai, limits: {concurrent: -1}}}",
            "1:52: providers.a.limits.concurrent: must be a whole number from 1 to 1000000000"),
        Rejection(
            "providers: {a: {kind: openai, models: {x: [y]}}}",
            "1:43: providers.a.models.x: must be text, not a list"),
        Rejection(
            "providers: {a: {kind: openai, discover: maybe}}",
            "1:41: providers.a.discover: must be true or false"),
        Rejection(
            "providers: {d: {kind: demo, fail: 101%}}",
            "1:35: providers.d.fail: must be a share from 0 to 1, or a percentage such as 5%"),
        Rejection(
            "providers: {d: {kind: demo, delay: 5}}",
            "1:36: providers.d.delay: needs a unit, as in 5s; units are ms, s, m, h, d and y"),
    ]

    static let models: [Rejection] = [
        Rejection(
            "providers: {a: {kind: openai, models: {x: }}}",
            "1:43: providers.a.models.x: must be text, not nothing"),
        Rejection(
            "models: {smart: {route: falback, of: [x]}, x: y/z}\nproviders: {y: {kind: demo}}",
            "1:25: models.smart.route: unknown strategy \"falback\"; did you mean \"fallback\"?"),
        Rejection(
            "models: {a: {of: [b]}, b: p/x}\nproviders: {p: {kind: demo}}",
            "1:13: models.a: needs `route` and `of`, or `reason` and `with`"),
        Rejection("models: {a: {route: fallback}}", "1:13: models.a: needs `of`, the models to choose from"),
        Rejection("models: {a: {route: fallback, of: []}}", "1:35: models.a.of: needs at least one model"),
        Rejection("models: {a: {route: fallback, of: [{priority: 1}]}}", "1:36: models.a.of[0]: needs `model`"),
        Rejection(
            "models: {a: {route: fallback, of: [p/x], with: p/x}}\nproviders: {p: {kind: demo}}",
            "1:42: models.a.with: belongs to a model with `reason`, which this is not"),
        Rejection(
            "models: {a: {route: fallback, reason: steps, of: [p/x]}}\nproviders: {p: {kind: demo}}",
            "1:13: models.a: has both `route` and `reason`; it can be one of them"),
        Rejection("models: {a: }", "1:10: models.a: has no value; it must be a model's name or a mapping"),
        Rejection(
            "models: {a: p/x, \"b*c*\": p/x}\nproviders: {p: {kind: demo}}",
            "1:18: models.b*c*: a model's name may hold one * only"),
        Rejection(
            "models: {\"panel:x\": p/x}\nproviders: {p: {kind: demo}}",
            "1:10: models.panel:x: names that begin with `panel:` are reserved for reasoning strategies"),
        Rejection(
            "models: {fast: p/x, a: fsat}\nproviders: {p: {kind: demo}}",
            "1:24: models.a: unknown model \"fsat\"; did you mean \"fast\"?"),
        Rejection(
            "models: {a: opnai/x}\nproviders: {openai: {}}",
            "1:13: models.a: no model is named \"opnai/x\" and no provider \"opnai\"; did you mean \"openai/x\"?"),
        Rejection(
            "models: {a: openai}\nproviders: {openai: {}}",
            "1:13: models.a: \"openai\" is a provider; a model of it is named openai/MODEL"),
        Rejection(
            "models: {a: openai/}\nproviders: {openai: {}}",
            "1:13: models.a: \"openai/\" names a provider, but no model after the /"),
        Rejection(
            "models: {a: openai/*}\nproviders: {openai: {}}",
            "1:13: models.a: \"openai/*\" has a *, but no name it could come from"),
        Rejection("models: {a: a}", "1:10: models.a: leads back to itself: a -> a"),
        Rejection(
            "models:\n  a: b\n  b: {route: fallback, of: [p/x, c]}\n  c: a\nproviders: {p: {kind: demo}}",
            "2:3: models.a: leads back to itself: a -> b -> c -> a"),
        Rejection(
            "models: {a: {route: fallback, of: [p/x], retry: {attempts: 0}}}\nproviders: {p: {kind: demo}}",
            "1:60: models.a.retry.attempts: must be a whole number from 1 to 100"),
        Rejection(
            "defaults: {retry: {on: [unavailable, rate-limit]}}",
            "1:38: defaults.retry.on[1]: unknown failure \"rate-limit\"; did you mean \"rate-limited\"?"),
        Rejection(
            "defaults: {model: smrt}\nmodels: {smart: p/x}\nproviders: {p: {kind: demo}}",
            "1:19: defaults.model: unknown model \"smrt\"; did you mean \"smart\"?"),
        Rejection("models: {a: {reason: steps, with: []}}", "1:35: models.a.with: needs at least one model"),
        Rejection(
            "models: {a: {reason: panel, with: [p/x, zz]}}\nproviders: {p: {kind: demo}}",
            "1:41: models.a.with[1]: unknown model \"zz\""),
    ]

    static let digest = String(repeating: "0", count: 63)

    static let keys: [Rejection] = [
        Rejection("keys: {name: x}", "1:7: keys: must be a list, not a mapping"),
        Rejection("keys: [{key: abc}]", "1:8: keys[0]: needs `name`"),
        Rejection("keys: [{name: x}]", "1:8: keys[0]: needs `key` or `sha256`; what is given is empty or absent"),
        Rejection(
            "keys: [{name: x, key: \"${EMPTY:-}\"}]",
            "1:8: keys[0]: needs `key` or `sha256`; what is given is empty or absent"),
        Rejection(
            "keys: [{name: x, sha256: \(digest)}]",
            "1:26: keys[0].sha256: must be a SHA-256: 64 hexadecimal digits"),
        Rejection(
            "keys: [{name: x, sha256: \(digest)g}]",
            "1:26: keys[0].sha256: must be a SHA-256: 64 hexadecimal digits"),
        Rejection(
            "keys: [{name: x, key: a, sha256: \(digest)0}]",
            "1:8: keys[0]: has both `key` and `sha256`; give one of them"),
        Rejection(
            "keys:\n- {name: x, key: abc}\n- {name: x, key: abd}",
            "3:10: keys[1].name: the name \"x\" is already used on line 2"),
        Rejection(
            "keys:\n- {name: x, key: abc}\n- {name: y, key: abc}", "3:18: keys[1].key: is the same key as that of \"x\""
        ),
        Rejection(
            "keys:\n- {name: x, key: abc}\n"
                + "- {name: y, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}",
            "3:21: keys[1].sha256: is the same key as that of \"x\""),
        Rejection("keys: [{name: x, key: \"a b\"}]", "1:23: keys[0].key: must hold no spaces or control characters"),
        Rejection(
            "keys: [{name: x, key: abc, expires: 2027-02-29}]",
            "1:37: keys[0].expires: must be a date such as 2027-01-01 or 2027-01-01T12:00:00Z"),
        Rejection(
            "keys: [{name: x, key: abc, expires: tomorrow}]",
            "1:37: keys[0].expires: must be a date such as 2027-01-01 or 2027-01-01T12:00:00Z"),
        Rejection(
            "keys: [{name: x, key: abc, models: [\"a*b*\"]}]",
            "1:37: keys[0].models[0]: may hold one * only"),
        Rejection(
            "keys: [{name: x, key: abc, model: fsat}]\nmodels: {fast: p/x}\nproviders: {p: {kind: demo}}",
            "1:35: keys[0].model: unknown model \"fsat\"; did you mean \"fast\"?"),
        Rejection(
            "keys: [{name: x, key: abc, team: reserch}]\nteams: [{name: research}]",
            "1:34: keys[0].team: unknown team \"reserch\"; did you mean \"research\"?"),
        Rejection(
            "keys: [{name: x, key: abc, budget: {per: fortnight}}]",
            "1:36: keys[0].budget: needs `usd`",
            "1:42: keys[0].budget.per: unknown period \"fortnight\"; known: day, week, month, total"),
        Rejection(
            "keys: [{name: x, key: abc, strategies: [panle]}]",
            "1:41: keys[0].strategies[0]: unknown strategy \"panle\"; did you mean \"panel\"?"),
        Rejection("teams: [{name: a}, {name: a}]", "1:27: teams[1].name: the name \"a\" is already used on line 1"),
        Rejection("jwt: {issuer: \"https://i\"}", "1:6: jwt: needs `audience`", "1:6: jwt: needs `jwks`"),
        Rejection(
            "prices: {a/b: {input: -1, output: 2}}",
            "1:23: prices.a/b.input: must be a number from 0 to 1000000000"),
    ]

    static let shapes: [Rejection] = [
        Rejection("- a", "1:1: : the file must be a mapping of settings, not a list"),
        Rejection("hello", "1:1: : the file must be a mapping of settings, not a single value"),
        Rejection("server: {}\n---\nlog: {}", "2:1: : a second document begins here; the file must hold one"),
        Rejection(
            "server: {idle: *nope}",
            "1:16: : an alias without an anchor before it; text that begins with * needs quotes"),
        Rejection("server: {? [a] : b}", "1:12: : a key must be a single word, not a list"),
        Rejection(
            "server: {idle: !when 5s}", "1:16: : tags have no meaning here; text that begins with ! needs quotes"),
        Rejection("log:\n  level: info\n  level: debug", "3:3: : \"level\" is already set on line 2"),
        Rejection("log: {level: \"${\"}", "1:14: log.level: ${ is not closed; write $${ for a plain ${"),
        Rejection(
            "log: {level: \"${a b}\"}",
            "1:14: log.level: what stands between ${ and } is not a variable's name; write $${ for a plain ${"),
        Rejection(
            "log: {level: \"${file:gone.txt}\"}",
            "1:14: log.level: file \"gone.txt\" cannot be read: No such file or directory"),
        Rejection("log: {level: \"\"}", "1:14: log.level: must not be empty"),
    ]
}
