// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser
import Glibc
import ParleyAccess
import ParleyConfiguration
import ParleyCore
import ParleyStore
import ParleyWire

/// `parley usage`: what calls took and cost, from the server's store.
struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Sum up what calls took and cost.",
        discussion: """
            Reads the store of the configuration that serve would use; the server may run meanwhile. Costs are in US \
            dollars, as far as prices are known.
            """)

    @Option(name: .shortAndLong, help: "The configuration file.")
    var config: String?

    @Option(help: "The store's file, in place of what the configuration says.")
    var store: String?

    @Option(help: "How far back: a number with m, h or d.")
    var since = "24h"

    @Option(help: "What sums are made by: key, model or upstream.")
    var by = "model"

    @Flag(help: "Print a JSON array.")
    var json = false

    func validate() throws {
        guard UsageReport.Grouping(rawValue: by) != nil else { throw ValidationError("--by is key, model or upstream") }
        guard Self.seconds(since) != nil else { throw ValidationError("--since is a number with m, h or d, e.g. 24h") }
    }

    func run() async throws {
        guard let grouping = UsageReport.Grouping(rawValue: by), let seconds = Self.seconds(since) else { return }
        let path = try self.store ?? storePath()
        guard access(path, F_OK) == 0 else {
            throw Failure("There is no store at \(path): no call was recorded yet.")
        }
        let report: UsageReport
        do throws(ParleyError) {
            let since = Int64(WallClock.seconds()).subtractingReportingOverflow(seconds).partialValue * 1000
            report = try await SQLiteStore(reading: path).report(since: since, by: grouping)
        } catch {
            throw Failure(error.message)
        }
        let output = Output.standard
        if json {
            output.write(Self.array(report, grouping))
        } else if report.rows.isEmpty {
            output.line("No call was recorded in the last \(since).")
        } else {
            output.write(output.safe(Self.text(report, grouping)))
        }
    }

    /// Where the store of the configuration is.
    private func storePath() throws -> String {
        let environment = Startup.environment()
        let file = ConfigurationFile.find(
            explicit: config, environment: environment, workingDirectory: Startup.workingDirectory())
        let setting = try file.map { try Startup.read($0, environment).0.store } ?? nil
        guard let path = try LazyStore.path(of: setting, configuration: file) else {
            throw Failure("store: only SQLite can be read.")
        }
        return path
    }

    // MARK: What is printed

    private static let columns = ["input", "cache_read", "cache_write", "output", "reasoning"]

    private static func text(_ report: UsageReport, _ grouping: UsageReport.Grouping) -> String {
        let counted = grouping == .upstream ? "ATTEMPTS" : "CALLS"
        let heading =
            [grouping.rawValue.uppercased(), counted, "FAILED"]
            + columns.map { $0.uppercased().replacing("_", with: " ") } + ["COST USD", "UNPRICED"]
        let rows = report.rows.map { row -> [String] in
            let classes = Dictionary(zip(Usage.classNames, row.usage.classes)) { first, _ in first }
            return [row.name.isEmpty ? "-" : row.name, String(row.calls), String(row.failed)]
                + columns.map { name in (classes[name] ?? nil).map { String($0) } ?? "-" }
                + [row.cost.map { Money.dollars(nano: $0) } ?? "-", String(row.unpriced)]
        }
        return table(heading, rows)
    }

    private static func array(_ report: UsageReport, _ grouping: UsageReport.Grouping) -> String {
        let rows = report.rows.map { row -> String in
            var object: JSONObject = [grouping.rawValue: row.name.isEmpty ? .null : .string(row.name)]
            object[grouping == .upstream ? "attempts" : "calls"] = .int(row.calls)
            object["failed"] = .int(row.failed)
            object["usage"] = .object(row.usage.json)
            object["cost_usd"] = row.cost.map { .number(Money.dollars(nano: $0)) } ?? .null
            object["unpriced"] = .int(row.unpriced)
            return JSON.text(.object(object))
        }
        return "[\n" + rows.map { "  " + $0 }.joined(separator: ",\n") + (rows.isEmpty ? "]\n" : "\n]\n")
    }

    /// A span of time in seconds.
    private static func seconds(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["m": 60, "h": 3600, "d": 86_400]
        guard let last = text.last, let unit = units[last], let number = Int64(text.dropLast()),
            (0...100_000).contains(number)
        else { return nil }
        return number * unit
    }
}
