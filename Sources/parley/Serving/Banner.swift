// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyAccess
import ParleyConfiguration
import ParleyProviders

/// What a person sees when the server has started: where it is, what it found, and a line to paste.
enum Banner {
    /// Printed as soon as connections are taken.
    static func opening(_ startup: Startup, _ addresses: [ListenAddress], _ console: ControlPlane?) {
        let places = addresses.map { url($0, isSecure: startup.settings.server.tls != nil) }
        Output.standard.line("\(Version.text) is listening on \(places.joined(separator: ", "))")
        Output.standard.line("")
        if let path = startup.path { Output.standard.line("  configuration  \(path)") }
        let variables = Catalogue.variablesByProvider
        for provider in startup.snapshot.providers {
            let isFound = startup.assembler.found.contains { $0.name == provider.name }
            let source: String
            if isFound {
                source = variables[provider.name].map { "from \($0)" } ?? "from the environment"
            } else if startup.path != nil, startup.settings.provider(named: provider.name) != nil {
                source = startup.settings.provider(named: provider.name)?.kind ?? ""
            } else {
                source = "built in; set OPENAI_API_KEY or another provider's variable for real models"
            }
            Output.standard.line("  provider       \(provider.name) (\(source))")
        }
        if let (secret, path) = startup.generated {
            Output.standard.line("  key            \(secret.text)")
            Output.standard.line("                 (generated; kept in \(path))")
        } else {
            Output.standard.line("  keys           \(startup.settings.keys.map(\.name).joined(separator: ", "))")
        }
        if let console { self.console(console, places.first ?? "") }
    }

    /// Where the console is and what opens it. A key that was made just now is shown once.
    private static func console(_ console: ControlPlane, _ shared: String) {
        let place = console.address.map { url($0, isSecure: false) } ?? shared
        Output.standard.line("  console        \(place)/oauth")
        switch console.key {
        case .configured: Output.standard.line("  admin key      as the configuration says")
        case .generated(let secret, let path):
            Output.standard.line("  admin key      \(secret.text)")
            Output.standard.line("                 (generated; kept in \(path))")
        case .kept(let path): Output.standard.line("  admin key      kept in \(path)")
        }
    }

    /// Printed when it is known which models there are.
    static func usage(_ startup: Startup, _ address: ListenAddress, model: String?) {
        let key = startup.generated?.secret.text ?? "YOUR_KEY"
        Output.standard.line("")
        Output.standard.line("Try it:")
        Output.standard.line("")
        let isSecure = startup.settings.server.tls != nil
        var target = "\(isSecure ? "-k " : "")\(url(address, isSecure: isSecure))"
        if case .unix(let path) = address { target = "--unix-socket \(path) http://localhost" }
        let content =
            #"{"model": "\#(model ?? "MODEL")", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}"#
        Output.standard.line(
            """
              curl -N \(target)/v1/chat/completions \\
                -H "Authorization: Bearer \(key)" \\
                -H "Content-Type: application/json" \\
                -d '\(content.replacingQuotes)'

            """)
    }

    /// The address as a client types it; an address that means every interface is reached at this machine's own.
    static func url(_ address: ListenAddress, isSecure: Bool) -> String {
        let scheme = isSecure ? "https" : "http"
        switch address {
        case .unix(let path): return "unix:\(path)"
        case .tcp(let host, let port):
            let shown =
                host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "[::1]" : host.contains(":") ? "[\(host)]" : host
            return "\(scheme)://\(shown):\(port)"
        }
    }
}

extension String {
    /// The text for inside single quotes of a shell.
    fileprivate var replacingQuotes: String {
        split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#)
    }
}

extension Catalogue {
    /// The environment variable that made each provider appear.
    fileprivate static var variablesByProvider: [String: String] {
        var names = ["openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"]
        for vendor in vendors {
            for setup in environment(Dictionary(vendor.variables.map { ($0, "x") }) { a, _ in a }) {
                names[setup.name] = vendor.variables.first ?? names[setup.name]
            }
        }
        return names
    }
}
