// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore
import Subprocess

/// An agent's process that is talked to by other means than its input and output: it is started, looked after and ended.
final class AgentChild: Sendable {
    private let command: AgentCommand
    /// Opened when the process shall end, or has.
    private let over = AgentGate<Bool>()
    private let ended = AgentGate<Bool>()

    /// Starts the process.
    init(_ command: AgentCommand) {
        self.command = command
        Task { await self.live() }
    }

    /// Whether it has ended, or could not be started.
    var hasEnded: Bool { over.isOpen }

    /// Ends it with everything it has started, and waits until it is gone.
    func stop() async {
        over.open(.success(true))
        _ = try? await ended.value(by: .distantFuture, "did not end")
    }

    private func live() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            let result = try await Subprocess.run(
                command.executable, arguments: Arguments(command.arguments), environment: command.environment,
                workingDirectory: command.directory, platformOptions: AgentProcess.options, input: .inputWriter,
                output: .sequence, error: .sequence
            ) { process in
                await look(after: process)
            }
            AgentProcesses.debug("agent \(command.name): ended with \(result.terminationStatus)")
        } catch {
            AgentProcesses.debug("agent \(command.name): \(error)")
        }
        over.open(.success(true))
        ended.open(.success(true))
    }

    private func look(after process: AgentProcess.Running) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await AgentProcess.drain(process.standardOutput, self.command)
                // It has closed its output: as a rule it has ended.
                self.over.open(.success(true))
            }
            group.addTask { await AgentProcess.drain(process.standardError, self.command) }
            _ = try? await over.value(by: .distantFuture, "did not end")
            await AgentProcess.end(process)
        }
    }
}
