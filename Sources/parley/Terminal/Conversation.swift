// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// A chat at a terminal, from the first prompt to the last.
struct Conversation {
    let backend: any ChatBackend
    var model: String?
    var system: String?
    var turns: [ChatTurn] = []

    private let output = Output.standard
    private let input = TerminalInput(output: .standard)

    init(backend: any ChatBackend, model: String?, system: String?) {
        self.backend = backend
        self.model = model
        self.system = system
    }

    /// How a chat was left.
    enum Ending {
        case quit, interrupted
    }

    /// Talks until the user leaves.
    mutating func run() async -> Ending {
        let interrupts = Interrupts(restore: input.restore)
        defer { input.restore() }
        let name = model.map { ", model \($0)" } ?? ""
        say("Talking to \(backend.place)\(name). /help lists the commands.")
        var presses = 0
        while true {
            switch input.read(prompt: "> ") {
            case .end:
                return .quit
            case .interrupt:
                presses += 1
                if presses > 1 { return .interrupted }
                say("Press Ctrl-C again to leave.")
                continue
            case .line(let line):
                presses = 0
                guard await follow(ChatInstruction(line), interrupts) else { return .quit }
            }
        }
    }

    /// Does what a line asks for; false to leave.
    private mutating func follow(_ instruction: ChatInstruction, _ interrupts: Interrupts) async -> Bool {
        switch instruction {
        case .nothing: break
        case .quit: return false
        case .help: output.write(ChatInstruction.helpText)
        case .unknown(let name): say("There is no command \(name). /help lists the commands.")
        case .clear:
            turns = []
            say("The conversation is forgotten.")
        case .model(let name?):
            model = name
            say("Asking \(name) from here on.")
        case .model(nil):
            say(model.map { "Asking \($0)." } ?? "The server chooses the model. /models lists them.")
        case .system(let text?):
            system = text
            say("The system prompt is set.")
        case .system(nil):
            say(system ?? "There is no system prompt.")
        case .models: await list(interrupts)
        case .say(let text): await ask(text, interrupts)
        }
        return true
    }

    private func say(_ text: String) {
        output.write(output.dim(output.safe(text)) + "\n")
    }

    private func list(_ interrupts: Interrupts) async {
        let result = await interruptible(interrupts) { [backend] in
            try await backend.models()
        }
        switch result {
        case nil: say("(stopped)")
        case .success(let models):
            output.write(output.safe(table(["MODEL", "FROM"], models.map { [$0.id, $0.owner] })))
        case .failure(let error): say("Error: \(error)")
        }
    }

    private mutating func ask(_ text: String, _ interrupts: Interrupts) async {
        let turn = ChatTurn(speaker: .user, text: text)
        let first = system.map { [ChatTurn(speaker: .system, text: $0)] } ?? []
        let question = ChatQuestion(model: model, turns: first + turns + [turn])
        let spinner = Spinner(.error)
        let result = await interruptible(interrupts, spinner) { [backend, output] in
            var printer = AnswerPrinter(output, showsReasoning: true)
            var failure: (any Error)?
            do {
                try await backend.answer(question) { event in
                    // What was on its way when Ctrl-C came is not shown any more.
                    try Task.checkCancellation()
                    printer.show(event, spinner)
                }
            } catch {
                failure = error
            }
            spinner.stop()
            printer.endLine()
            return (printer, failure)
        }
        guard case .success(let (printer, failure)) = result else { return }
        switch failure {
        case nil: say(printer.summary)
        case is CancellationError: say("(stopped)")
        case let error?: say("Error: \(error)")
        }
        // A question that got no word of an answer is asked again, if at all, as if it had not been asked.
        guard failure == nil || !printer.text.isEmpty else { return }
        turns += [turn, ChatTurn(speaker: .assistant, text: printer.text)]
    }

    /// What one of an interruptible work's tasks came to.
    private enum Step<Value: Sendable>: Sendable {
        case done(Result<Value, any Error>)
        case interrupted, spun
    }

    /// Does something that Ctrl-C cancels, with the spinner turning.
    ///
    /// - Returns: what it came to, which is its own answer to being cancelled, if it has one; else nil.
    private func interruptible<Value: Sendable>(
        _ interrupts: Interrupts, _ spinner: Spinner = Spinner(.error),
        _ work: @escaping @Sendable () async throws -> Value
    ) async -> Result<Value, any Error>? {
        await withTaskGroup(of: Step<Value>.self) { group in
            group.addTask {
                do { return .done(.success(try await work())) } catch { return .done(.failure(error)) }
            }
            group.addTask {
                await interrupts.next()
                return .interrupted
            }
            group.addTask {
                await spinner.run()
                return .spun
            }
            var result: Result<Value, any Error>?
            for await step in group {
                switch step {
                case .done(let value):
                    spinner.stop()
                    result = value
                    group.cancelAll()
                case .interrupted: group.cancelAll()
                case .spun: break
                }
            }
            if case .failure(is CancellationError) = result { return nil }
            return result
        }
    }
}
