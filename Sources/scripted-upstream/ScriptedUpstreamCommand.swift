// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
import FoundationEssentials
import Glibc
import ParleyTestKit

/// Serves scripted answers until it is terminated.
@main
struct ScriptedUpstreamCommand {
    private static let usage =
        "usage: scripted-upstream [--port N] [--loops N] [--tls-cert FILE --tls-key FILE]\n"

    static func main() async {
        do {
            let options = try Options(Array(CommandLine.arguments.dropFirst()))
            raiseFileLimit()
            let upstream = try await ScriptedUpstream.start(
                tls: options.certificate, port: options.port, loops: options.loops)
            write(1, "listening 127.0.0.1:\(upstream.port)\n")
            // SIGTERM and SIGINT end the process as they would any other: there is nothing to put in order.
            await upstream.closed()
        } catch {
            write(2, "scripted-upstream: \(error)\n\(usage)")
            exit(64)
        }
    }

    private static func write(_ descriptor: Int32, _ text: String) {
        var text = text
        text.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    /// Thousands of streams need as many descriptors.
    private static func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// The command line.
private struct Options {
    var port = 0
    var loops = 1
    var certificate: TestCertificate?

    /// A wrong command line.
    struct Wrong: Error, CustomStringConvertible {
        let description: String
    }

    init(_ arguments: [String]) throws {
        var values: [String: String] = [:]
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard ["--port", "--loops", "--tls-cert", "--tls-key"].contains(name), let value = rest.popFirst() else {
                throw Wrong(description: "cannot make sense of \(name)")
            }
            values[name] = value
        }
        port = try Self.number(values["--port"] ?? "0", in: 0...65_535)
        loops = try Self.number(values["--loops"] ?? "1", in: 1...64)
        switch (values["--tls-cert"], values["--tls-key"]) {
        case (let certificate?, let key?):
            self.certificate = TestCertificate(
                certificatePEM: try String(contentsOfFile: certificate, encoding: .utf8),
                privateKeyPEM: try String(contentsOfFile: key, encoding: .utf8))
        case (nil, nil): break
        default: throw Wrong(description: "--tls-cert and --tls-key go together")
        }
    }

    private static func number(_ text: String, in range: ClosedRange<Int>) throws -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw Wrong(description: "\(text) is not within \(range)")
        }
        return number
    }
}
