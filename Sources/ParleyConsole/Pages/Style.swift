// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// How the pages look: the browser's own fonts, light or dark as the visitor has it.
enum Style {
    static let text = """
        :root { color-scheme: light dark; --line: #d5d9e0; --ink: #1c2430; --soft: #5b6675; --back: #f6f7f9; \
        --card: #fff; --good: #12744a; --bad: #b3261e; --key: #2456c8 }
        @media (prefers-color-scheme: dark) { :root { --line: #333b47; --ink: #e6eaf0; --soft: #9aa5b4; \
        --back: #14181e; --card: #1c222b; --good: #55c894; --bad: #ff8a80; --key: #8ab0ff } }
        * { box-sizing: border-box }
        body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
        header { padding: 1rem; border-bottom: 1px solid var(--line); background: var(--card); font-weight: 650; \
        text-align: center; letter-spacing: .02em }
        main { max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
        h1 { font-size: 1.4rem; margin: 0 0 1rem }
        h2 { font-size: 1.05rem; margin: 0 }
        a { color: var(--key) }
        section, main > form { background: var(--card); border: 1px solid var(--line); border-radius: 10px; \
        padding: 1.2rem; margin: 0 0 1rem }
        label { display: block; color: var(--soft); margin-bottom: .3rem }
        input[type=password] { width: 100%; padding: .55rem .7rem; font: inherit; color: inherit; \
        background: var(--back); border: 1px solid var(--line); border-radius: 6px; margin-bottom: .8rem }
        button, .button { display: inline-block; padding: .5rem 1rem; font: inherit; border-radius: 6px; cursor: pointer; \
        border: 1px solid transparent; background: #2456c8; color: #fff; text-decoration: none }
        button.quiet { background: none; color: inherit; border-color: var(--line) }
        :focus-visible { outline: 3px solid var(--key); outline-offset: 2px }
        .row { display: flex; flex-wrap: wrap; gap: .6rem; margin-bottom: 0 }
        .row form { margin: 0 }
        .good { color: var(--good) }
        .bad { color: var(--bad) }
        footer { margin-top: 2rem; color: var(--soft) }
        """
}
