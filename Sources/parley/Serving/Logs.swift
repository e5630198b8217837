// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Logging
import ParleyConfiguration
import ParleyGateway

/// Where the server's log goes.
struct Logs: Sendable {
    let sink: LogSink
    let logger: Logger

    /// Opens the log as configured.
    ///
    /// - Throws: `Failure` when the file cannot be opened.
    static func start(_ settings: LogSettings) throws -> Logs {
        let destination: LogSink.Destination
        if let file = settings.file {
            destination = .file(path: file.path, rotate: file.rotate, keep: file.keep)
        } else {
            destination = .standardError
        }
        do {
            let sink = try LogSink(destination, format: settings.format == .json ? .json : .text)
            let level = Logger.Level(rawValue: settings.level.rawValue) ?? .info
            let logger = Logger(label: "parley") { _ in ParleyLogHandler(sink: sink, level: level) }
            return Logs(sink: sink, logger: logger)
        } catch {
            throw Failure("log.file: \(error)")
        }
    }
}
