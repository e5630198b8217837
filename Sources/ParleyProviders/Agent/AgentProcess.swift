// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore
import ParleyWire
import Subprocess
import SystemPackage

/// An agent as a child process that speaks on its standard input and output, a message per line.
///
/// It gets a session (and so a process group) of its own, and goes with everything it has started: SIGTERM to the group,
/// SIGKILL after five seconds. Where the gateway is killed the agent finds its input closed, which is how agents are told
/// to end; the kernel's own means for that (`PR_SET_PDEATHSIG`) is bound to the thread that made the process, and threads
/// come and go here.
struct AgentProcess: AgentTransport {
    /// The longest message of an agent.
    private static let longestLine = 32 << 20
    /// How long an agent may take to end when it is told to.
    static let grace = Duration.seconds(5)

    let command: AgentCommand

    var isOnLoop: Bool { false }

    func run(_ link: AgentLink, through connector: any Connector) async -> ParleyError {
        // Writing to an agent that is gone must be an error, not the end of the gateway.
        signal(SIGPIPE, SIG_IGN)
        do {
            let result = try await Subprocess.run(
                command.executable, arguments: Arguments(command.arguments), environment: command.environment,
                workingDirectory: command.directory, platformOptions: Self.options, input: .inputWriter,
                output: .sequence, error: .sequence
            ) { process in
                await converse(process, link)
            }
            AgentProcesses.debug("agent \(command.name): ended with \(result.terminationStatus)")
            return ParleyError(.upstreamUnavailable, "the agent's process ended", status: 503)
        } catch {
            AgentProcesses.debug("agent \(command.name): \(error)")
            return ParleyError(
                .upstreamUnavailable, "the agent's command could not be run; is it installed?", status: 503)
        }
    }

    static var options: PlatformOptions {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: grace)]
        return options
    }

    typealias Running = Execution<CustomWriteInput, SequenceOutput, SequenceOutput>

    /// Talks with the agent until one side has had enough, then ends it.
    private func converse(_ process: Running, _ link: AgentLink) async {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await listen(to: process.standardOutput, link)
                return true
            }
            group.addTask {
                await speak(to: process.standardInputWriter, link)
                return true
            }
            group.addTask {
                await Self.drain(process.standardError, command)
                return false
            }
            while let isOver = await group.next(), !isOver {}
            link.close(ParleyError(.upstreamUnavailable, "the agent's process ended", status: 503))
            await Self.end(process)
        }
    }

    /// Ends a process with everything it has started.
    static func end(_ process: Running) async {
        await process.teardown(using: options.teardownSequence)
        // What it has started and left behind. Nobody has reaped the process yet, so its number is still its own.
        try? process.send(signal: .kill, toProcessGroup: true)
    }

    private func listen(to output: SubprocessOutputSequence, _ link: AgentLink) async {
        var lines = JSONLines(budget: Self.longestLine)
        do {
            for try await piece in output {
                lines.push(piece.withUnsafeBytes { ByteBuffer(bytes: $0) })
                while let line = try lines.next() {
                    if let slow = link.receive(line) { await slow.keepUp() }
                }
            }
        } catch {
            AgentProcesses.debug("agent \(command.name): \(error)")
        }
    }

    private func speak(to input: StandardInputWriter, _ link: AgentLink) async {
        while let messages = try? await link.outbox.next(by: .distantFuture) {
            var bytes: [UInt8] = []
            for message in messages {
                bytes += message.readableBytesView
                bytes.append(UInt8(ascii: "\n"))
            }
            guard let written = try? await input.write(bytes), written == bytes.count else { return }
        }
    }

    /// Reads what is only of interest to somebody who looks for a fault.
    static func drain(_ output: SubprocessOutputSequence, _ command: AgentCommand) async {
        var errors = AgentErrors(command)
        do {
            for try await piece in output {
                for line in errors.lines(in: piece.withUnsafeBytes { Array($0) }) {
                    AgentProcesses.debug("agent \(command.name): \(line)")
                }
            }
        } catch {
            return
        }
    }
}

/// What an agent writes to its error output, line by line, without what is secret.
struct AgentErrors {
    private static let longest = 2000

    private let secrets: [String]
    private var rest: [UInt8] = []

    init(_ command: AgentCommand) {
        secrets = command.secrets
    }

    /// The lines that are complete with these bytes; of a long one only its beginning.
    mutating func lines(in bytes: [UInt8]) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                lines.append(plain(rest))
                rest = []
            } else if rest.count < Self.longest {
                rest.append(byte)
            }
        }
        return lines
    }

    private func plain(_ bytes: [UInt8]) -> String {
        var text = String(decoding: bytes, as: UTF8.self)
        for secret in secrets {
            text = text.split(separator: secret, omittingEmptySubsequences: false).joined(separator: "***")
        }
        return String(text.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F })
    }
}
