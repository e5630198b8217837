// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

extension SettingsBuilder {
    /// What belongs to a route, and what to a reasoning chain.
    private static let routeOnly = [
        "of", "retry", "timeout", "breaker", "hedge", "affinity", "on_context_exceeded", "on_content_filter", "resume",
    ]
    private static let reasonOnly = [
        "with", "judge", "show", "whole", "status", "max_steps", "tokens", "attempts", "wait", "temperature",
        "samples", "prompts", "caps",
    ]

    mutating func models(_ section: CheckedSection) -> [ModelSettings] {
        section.members.compactMap { member in
            let path = "models." + Diagnostic.plain(member.name)
            checkName(member.name, mark: member.mark, path)
            guard let body = body(member, path) else { return nil }
            return ModelSettings(name: member.name, position: position(member.mark), body: body)
        }
    }

    private mutating func checkName(_ name: String, mark: Mark, _ path: String) {
        if name.isEmpty {
            report.error(mark, path, "a model's name must not be empty")
        } else if name.count(where: { $0 == "*" }) > 1 {
            report.error(mark, path, "a model's name may hold one * only")
        } else if name.contains(where: \.isWhitespace) {
            report.error(mark, path, "a model's name must hold no spaces")
        } else if let colon = name.firstIndex(of: ":"),
            let strategy = ReasonSettings.Strategy(rawValue: String(name[..<colon]))
        {
            report.error(
                mark, path, "names that begin with `\(strategy.rawValue):` are reserved for reasoning strategies")
        }
    }

    private mutating func body(_ member: CheckedSection.Member, _ path: String) -> ModelSettings.Body? {
        switch member.value.content {
        case .string(let target):
            return .alias(target)
        case .section(let section):
            let isRoute = section.written.contains("route") && !section.isAbsent("route")
            let isReason = section.written.contains("reason") && !section.isAbsent("reason")
            if isRoute, isReason {
                report.error(section.mark, path, "has both `route` and `reason`; it can be one of them")
                return nil
            }
            guard isRoute || isReason else {
                report.error(section.mark, path, "needs `route` and `of`, or `reason` and `with`")
                return nil
            }
            return isRoute ? route(section, path) : reason(section, path)
        default:
            return nil
        }
    }

    /// Reports members that belong to the other form.
    private mutating func refuse(_ names: [String], in section: CheckedSection, _ path: String, _ form: String) {
        for member in section.members where names.contains(member.name) {
            report.error(member.mark, path + "." + member.name, "belongs to a model with `\(form)`, which this is not")
        }
    }

    private mutating func route(_ section: CheckedSection, _ path: String) -> ModelSettings.Body? {
        refuse(Self.reasonOnly, in: section, path, "reason")
        require(["of"], in: section, path, ", the models to choose from")
        if let values = section.list("of"), values.isEmpty, let mark = section["of"]?.mark, !section.faulty("of") {
            report.error(mark, path + ".of", "needs at least one model")
        }
        guard let strategy = section.choice("route", RouteSettings.Strategy.self) else { return nil }
        var route = RouteSettings(strategy: strategy, of: members(section, path))
        route.retry = Self.retry(section.section("retry"))
        route.timeout = Self.timeout(section.section("timeout"))
        route.breaker = Self.breaker(section.section("breaker"))
        if let hedge = section.section("hedge") {
            var settings = RouteSettings.Hedge()
            settings.after = hedge.duration("after") ?? settings.after
            settings.budget = hedge.double("budget") ?? settings.budget
            route.hedge = settings
        }
        route.affinity = section.choice("affinity") ?? route.affinity
        route.onContextExceeded = section.string("on_context_exceeded")
        route.onContentFilter = section.string("on_content_filter")
        route.resume = section.bool("resume") ?? route.resume
        route.params = section.object("params") ?? route.params
        route.system = section.string("system")
        route.cacheTTL = section.section("cache")?.duration("ttl")
        return .route(route)
    }

    private mutating func members(_ section: CheckedSection, _ path: String) -> [RouteSettings.Member] {
        (section.list("of") ?? []).compactMap { value in
            switch value.content {
            case .string(let model):
                return .init(model: model, position: position(value.mark))
            case .section(let entry):
                require(["model"], in: entry, "\(path).of[\(value.index)]")
                var member = RouteSettings.Member(model: entry.string("model") ?? "", position: position(value.mark))
                member.weight = entry.double("weight") ?? member.weight
                member.priority = entry.int("priority") ?? member.priority
                return member
            default:
                return nil
            }
        }
    }

    private mutating func reason(_ section: CheckedSection, _ path: String) -> ModelSettings.Body? {
        refuse(Self.routeOnly, in: section, path, "route")
        require(["with"], in: section, path, ", the models that think")
        if let values = section.list("with"), values.isEmpty, let mark = section["with"]?.mark, !section.faulty("with")
        {
            report.error(mark, path + ".with", "needs at least one model")
        }
        guard let strategy = section.choice("reason", ReasonSettings.Strategy.self) else { return nil }
        var reason = ReasonSettings(strategy: strategy, with: section.strings("with") ?? [])
        reason.judge = section.string("judge")
        reason.show = section.choice("show") ?? reason.show
        reason.whole = section.choice("whole") ?? reason.whole
        reason.status = section.bool("status") ?? reason.status
        reason.maxSteps = section.int("max_steps") ?? reason.maxSteps
        reason.tokens.step = section.section("tokens")?.int("step") ?? reason.tokens.step
        reason.tokens.final = section.section("tokens")?.int("final") ?? reason.tokens.final
        reason.attempts = section.int("attempts") ?? reason.attempts
        reason.wait = section.duration("wait") ?? reason.wait
        // Drafts and samples are as warm as the client or the model has it, unless the file says otherwise.
        reason.temperature = section.double("temperature") ?? (strategy == .steps ? reason.temperature : nil)
        reason.samples = section.int("samples") ?? reason.samples
        reason.stepPrompt = section.section("prompts")?.string("step")
        reason.finalPrompt = section.section("prompts")?.string("final")
        let caps = section.section("caps")
        reason.caps.calls = caps?.int("calls") ?? reason.caps.calls
        reason.caps.tokens = caps?.int("tokens") ?? reason.caps.tokens
        reason.caps.usd = caps?.double("usd") ?? reason.caps.usd
        reason.caps.time = caps?.duration("time") ?? reason.caps.time
        return .reason(reason)
    }
}
