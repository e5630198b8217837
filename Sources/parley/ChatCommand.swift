// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ArgumentParser
import Glibc
import ParleyProviders

/// `parley chat`: talk to a model from a terminal, or ask one question in a pipe.
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talk to any model from a terminal.",
        discussion: """
            At a terminal this is a conversation; /help lists its commands. With --message, or with a question on \
            standard input, the answer alone is printed: echo "Hello" | parley chat
            """)

    @Argument(help: "The model to ask. Without it the server chooses.")
    var model: String?

    @OptionGroup
    var connection: ConnectionOptions

    @Option(help: ArgumentHelp("The system prompt.", valueName: "text"))
    var system: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("Ask this one question and print the answer.", valueName: "text"))
    var message: String?

    func run() async throws {
        do {
            try await talk()
        } catch {
            await AgentProcesses.stopAll()
            throw error
        }
        await AgentProcesses.stopAll()
    }

    private func talk() async throws {
        let backend = try await connection.reach()
        if let message {
            try await answer(message, backend)
        } else if isatty(STDIN_FILENO) == 1, Output.standard.isTerminal {
            // Asked first, so that a server that is not there is noticed before a question is typed.
            _ = try await backend.models()
            var conversation = Conversation(backend: backend, model: model, system: system)
            if await conversation.run() == .interrupted { throw ExitCode(130) }
        } else {
            try await answer(try Self.standardInput(), backend)
        }
    }

    /// Asks one question and prints the answer alone.
    private func answer(_ message: String, _ backend: any ChatBackend) async throws {
        guard !message.trimmed.isEmpty else { throw ClientError("the question is empty") }
        let first = system.map { [ChatTurn(speaker: .system, text: $0)] } ?? []
        let question = ChatQuestion(model: model, turns: first + [ChatTurn(speaker: .user, text: message)])
        var printer = AnswerPrinter(.standard, showsReasoning: false)
        let spinner = Spinner(.error)
        // Cancelled at the function's end, before which `stop` has taken it off the screen.
        async let _: Void = spinner.run()
        // On any way out, an error's message begins a line of its own.
        defer {
            spinner.stop()
            printer.endLine()
        }
        try await backend.answer(question) { printer.show($0, spinner) }
        printer.endLine()
        if Output.standard.isTerminal { Output.error.line(Output.error.dim(printer.summary)) }
    }

    /// Everything that comes in, which must be UTF-8.
    private static func standardInput() throws(ClientError) -> String {
        let limit = 64 << 20
        var all: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        while all.count <= limit {
            let count = read(STDIN_FILENO, &bytes, bytes.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                guard let text = String(validating: all, as: UTF8.self) else {
                    throw ClientError("standard input is not UTF-8 text")
                }
                return text
            }
            all += bytes.prefix(count)
        }
        throw ClientError("standard input is larger than \(limit >> 20) MB")
    }
}
