// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Everything that the strategies say to models.
enum Prompts {
    // MARK: Steps

    /// What a chain is told first.
    static let step = """
        You are a careful expert who thinks a question through before answering it. Work in steps, one step per \
        message, and never more than one at a time.

        In each step, do one piece of the reasoning: state what you look at, work it out in full, and say what follows \
        from it. Take at least three steps. Look at the question from at least three sides or by three methods. \
        Consider other answers than the one you expect. Assume that you may be wrong and find out where: when you say \
        that you check something, really do it again, in another way. Mind what you as a language model do badly, such \
        as counting and exact arithmetic, and go slowly there.

        """

    /// The form of a step; also put behind a prompt of the user's own that does not say it.
    static let stepForm = """
        Answer with one JSON object and nothing else. It has three keys: "title", a few words that say what the step \
        is about; "content", the reasoning of the step; and "next_action", which is "continue" where another step is \
        needed and "final_answer" where the answer is certain. For example:

        ```json
        {"title": "What is asked for", "content": "First I set down what is given and what is wanted. …", \
        "next_action": "continue"}
        ```
        """

    static let nextStep = "Go on with the next step, as one JSON object."

    static let finalStep = """
        Now give the final answer, based on the reasoning above. Write it for whoever asked: complete, in the form the \
        question asks for, without JSON around it and without telling how you came to it unless that was asked for.
        """

    // MARK: Drafts

    static let critique = """
        Read the answer above as a strict and fair reviewer. Check it against the question point by point: is every \
        claim true, every calculation right (do it again), every part of the question answered, every instruction \
        followed? List what is wrong, missing or unclear, the worst first, each with what should stand there instead. \
        Do not rewrite the answer. If nothing needs to change, say so in one sentence.
        """

    static let revise = """
        Now write the final answer: keep what was good in your answer, correct what the review has found where the \
        review is right, and leave out what does not belong. Give the answer alone, without mentioning the review.
        """

    static let sample = """
        Work the question out step by step before you settle on an answer. If the question has one definite result, \
        end with a line of its own that states it alone, as: Answer: result
        """

    static func judge(_ drafts: [String]) -> String {
        """
        Here are \(drafts.count) answers to the last message, by different authors.

        \(numbered(drafts, "Answer"))
        Compare them: which one is correct, complete and best follows what was asked? Check facts and calculations \
        yourself; length and confidence count for nothing. Give your reasons in a few sentences. Then end with a line \
        that holds the number of the best answer alone, as: Best: 1
        """
    }

    static func synthesis(_ drafts: [String]) -> String {
        """
        Before you answer, here are \(drafts.count) independent drafts of an answer to the last message.

        \(numbered(drafts, "Draft"))
        Weigh them against each other. Where they agree, do not assume that they are right; where they differ, work \
        out yourself which is right. Then write one answer that is better than each of them: correct, complete, and \
        in the form that was asked for. Give the answer alone, without mentioning the drafts.
        """
    }

    /// For an answer that has been found already, where the final call only may still use tools.
    static func settled(_ draft: String) -> String {
        """
        Before you answer, here is the answer that came out best when the question was worked out several times \
        without tools.

        \(draft)

        Give the final answer to the last message: take this one where it holds; call tools where they are needed.
        """
    }

    private static func numbered(_ drafts: [String], _ name: String) -> String {
        drafts.enumerated().map { "## \(name) \($0.offset + 1)\n\n\($0.element)\n\n" }.joined()
    }

    // MARK: Plans

    static let plan = """
        Do not answer yet. First make a plan: restate in a sentence what is asked, list what is given and what is \
        still to be found out, and set down the steps that lead to the answer, numbered, each small enough to be done \
        without mistakes. Name what could go wrong and how to check the result.
        """

    static let solve = "Now carry the plan out, step by step, and come to a complete answer."

    /// The word that a check begins with when there is nothing to correct.
    static let correct = "CORRECT"

    static let check = """
        Check the solution above. Go through the plan and see whether each step was done and done right; do the \
        calculations again in another way; hold the result against the question. If everything is right, answer with \
        the single word \(correct). Otherwise list what is wrong and what the right result is.
        """

    static let planned = """
        Now write the final answer for whoever asked, with everything corrected that the check has found. Give the \
        answer alone, without mentioning the plan or the check unless that was asked for.
        """

    // MARK: Reading

    static func again(_ question: String) -> String {
        "Read the question again:\n\n\(question)"
    }

    // MARK: Tools

    /// What a thinking call is told of the tools that only the final answer may use.
    static func tools(_ tools: [Tool]) -> String {
        let list = tools.map { tool in
            "- \(tool.name)" + (tool.description.map { ": \(String($0.prefix(300)))" } ?? "")
        }
        return """
            You cannot call tools now, but the final answer may call these:
            \(list.joined(separator: "\n"))
            Where one of them is needed, think about which, and with which arguments, instead of guessing its result.
            """
    }

    static func called(_ call: ToolCall) -> String { "[Called the tool \(call.name) with \(call.arguments)]" }

    static func result(of tool: String?, isError: Bool) -> String {
        let name = tool.map { " \($0)" } ?? ""
        return isError ? "[The tool\(name) failed with:]\n" : "[The tool\(name) answered:]\n"
    }
}
