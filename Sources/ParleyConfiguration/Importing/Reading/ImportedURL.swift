// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// Base URLs as other projects write them.
enum ImportedURL {
    /// The URL without slashes at its end and without the path of a request.
    static func base(_ value: ImportValue) -> ImportValue {
        guard case .text(let text) = value else { return value }
        return self.value(base(text))
    }

    /// The URL without slashes at its end and without the path of a request.
    static func base(_ text: String) -> String {
        var text = trimmed(text)
        func dropSlashes() { while text.hasSuffix("/") { text.removeLast() } }
        dropSlashes()
        for ending in ["/chat/completions", "/completions", "/messages", "/responses"] where text.hasSuffix(ending) {
            text.removeLast(ending.utf8.count)
            break
        }
        dropSlashes()
        return text
    }

    /// The URL, as a secret where it has a password in it; no base URL may, which the result's check says.
    static func value(_ text: String) -> ImportValue {
        text.contains("@") ? .secret(text, hint: "base-url") : .text(text)
    }

    /// Whether a base URL is one that the configuration takes.
    static func isValid(_ text: String) -> Bool {
        !text.contains("?") && (try? ValueParsing.url(text, schemes: ["http", "https"])) != nil
    }

    /// The host, in lower case.
    static func host(_ text: String) -> String? {
        guard let mark = text.firstRange(of: "://") else { return nil }
        let rest = text[mark.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let host = rest.split(separator: "@").last?.prefix { $0 != ":" }
        return host.map { $0.lowercased() }
    }

    /// Whether there is nothing behind the host.
    static func hasPath(_ text: String) -> Bool {
        guard let mark = text.firstRange(of: "://") else { return false }
        return text[mark.upperBound...].contains("/")
    }

    /// A word for the service at a URL, as in `api.openai-sb.com`: `openai-sb`.
    static func name(_ text: String) -> String? {
        guard let host = host(text), !host.isEmpty else { return nil }
        let isAddress = host.allSatisfy { $0.isNumber || $0 == "." || $0 == ":" }
        if isAddress || host.hasPrefix("[") { return "local" }
        let labels = host.split(separator: ".").map(String.init)
        guard labels.count > 1 else { return host == "localhost" ? "local" : host }
        let second = labels[labels.count - 2]
        let isSuffix = ["com", "co", "net", "org", "edu", "gov"].contains(second) && labels.count > 2
        return isSuffix ? labels[labels.count - 3] : second
    }

    /// An outgoing proxy as the configuration takes it; nil with the reason where it takes none such.
    static func proxy(_ text: String) -> (url: String?, reason: String) {
        let text = trimmed(text)
        let url = text.contains("://") ? text : "http://" + text
        guard url.lowercased().hasPrefix("http://") else {
            return (nil, "not carried over: only proxies with http:// are spoken to")
        }
        guard (try? ValueParsing.proxy(url)) != nil else { return (nil, "not carried over: this is no proxy's URL") }
        return (url, "")
    }
}
