# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""What the fakes answer, whatever the wire: chosen by the first `#word` in the conversation."""

import base64
import re
from dataclasses import dataclass, field

TEXT = "Hello, wörld 🐟: \"quoted\", \\ and\nlines."
THOUGHT = "Let me think about fish 🐟 first."
SIGNATURE = "c2lnbmF0dXJlOmZpc2g="
CALL_SIGNATURE = "Z2VtaW5pLXNpZw=="
PERSON = '{"name": "Ada", "age": 36}'


class Refused(Exception):
    """The upstream refuses the request."""

    def __init__(self, message, status=400, kind="invalid", headers=None):
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, headers or {}


@dataclass
class View:
    """A request in neutral words, as a fake understood it."""
    model: str = ""
    stream: bool = False
    system: str = ""
    texts: list = field(default_factory=list)          # user texts in order
    images: list = field(default_factory=list)         # "url:…" or "data:<media type>"
    documents: list = field(default_factory=list)
    calls: list = field(default_factory=list)          # (id, name, arguments) of earlier turns
    results: list = field(default_factory=list)        # (id, text) of tools
    tools: list = field(default_factory=list)
    tool_choice: object = None
    schema: object = None
    reasoning: object = None
    signatures: list = field(default_factory=list)
    max_tokens: object = None
    temperature: object = None
    stop: list = field(default_factory=list)
    cache_marks: int = 0
    completes: bool = False                             # a legacy completion
    echo: bool = False

    @property
    def scenario(self):
        found = re.search(r"#([a-z_0-9]+)", " ".join(self.texts))
        return found[1] if found else "plain"


@dataclass
class Answer:
    """What a model says; a wire writes it down."""
    text: str = ""
    reasoning: str = ""
    signature: str = ""
    calls: list = field(default_factory=list)           # (id, name, arguments as JSON text)
    finish: str = "stop"                                # stop, length, tools, filter
    input: int = 21
    cached: int = 8
    output: int = 13
    thought: int = 0
    error_after_text: bool = False
    cut_after_text: bool = False
    pause: float = 0                                    # seconds between two frames


def base64_checked(text):
    """No vendor but Google takes the alphabet for addresses, or base64 without its padding."""
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("Invalid base64 data.") from None


def shown(url):
    """What an image's address is called in a view."""
    if not url.startswith("data:"):
        return f"url:{url}"
    kind, _, data = url.partition(";base64,")
    base64_checked(data)
    return kind


def answer(view):
    """The answer to a request."""
    scenario = view.scenario
    if scenario == "tools":
        return tools(view)
    if scenario == "thinking":
        return Answer(text=TEXT, reasoning=THOUGHT, signature=SIGNATURE, thought=5)
    if scenario == "structured":
        if view.schema is None and "JSON" not in view.system:
            raise Refused("the request carries no schema")
        return Answer(text=PERSON)
    if scenario == "endless":
        return Answer(text="fish " * 4000, pause=0.01)
    if scenario == "length":
        return Answer(text="Cut sho", finish="length")
    if scenario == "filtered":
        return Answer(text="", finish="filter")
    if scenario == "see":
        return Answer(text=f"{len(view.images)} images, {len(view.documents)} documents")
    if scenario == "say_system":
        return Answer(text=view.system)
    if scenario == "midway_error":
        return Answer(text="Half a", error_after_text=True)
    if scenario == "cut":
        return Answer(text="Half a", cut_after_text=True)
    if scenario == "slow_down":
        raise Refused("Slow down, please.", 429, "rate_limit", {"retry-after": "7"})
    if scenario == "too_long":
        raise Refused("prompt is too long", 400, "context")
    if scenario == "unknown_model":
        raise Refused("no such model", 404, "not_found")
    if scenario == "overloaded":
        raise Refused("Overloaded.", 529, "overloaded")
    return Answer(text=TEXT)


def tools(view):
    """Two calls at once; after their results a text made of them, in the order of the calls."""
    if not view.tools:
        raise Refused("the request offers no tools")
    if not view.results:
        return Answer(
            text="", finish="tools",
            calls=[("call_paris1", "get_weather", '{"city": "Paris"}'), ("call_rome22", "get_weather", '{"city":"Rome"}')])
    known = {call[0] for call in view.calls}
    missing = [result[0] for result in view.results if result[0] not in known]
    if missing:
        raise Refused(f"results without a call: {missing}")
    return Answer(text="; ".join(text for _, text in view.results))


def pieces(text, size=5):
    """A text as deltas."""
    return [text[start:start + size] for start in range(0, len(text), size)]
