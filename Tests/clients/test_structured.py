# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Libraries built on the client libraries: typed answers and tools through every kind of upstream."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.output import NativeOutput
from pydantic_ai.profiles.anthropic import anthropic_model_profile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from test_matrix import UPSTREAMS


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(params=list(UPSTREAMS))
def model(request):
    return UPSTREAMS[request.param]


def langchain(library, matrix, model):
    if library == "openai":
        return ChatOpenAI(base_url=matrix.url, api_key=matrix.key, model=model, max_retries=0)
    return ChatAnthropic(base_url=matrix.origin, api_key=matrix.key, model=model, max_retries=0, max_tokens=1024)


@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_langchain_talks_streams_and_calls_tools(library, matrix, model):
    chat = langchain(library, matrix, model)
    assert "Hello" in chat.invoke("#plain").text
    assert "Hello" in "".join(piece.text for piece in chat.stream("#plain"))
    tool = {"name": "get_weather", "description": "The weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
    calls = chat.bind_tools([tool]).invoke("#tools").tool_calls
    assert [call["args"] for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]


@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_langchain_reads_typed_answers(library, matrix, model):
    chat = langchain(library, matrix, model)
    assert chat.with_structured_output(Person, method="json_schema").invoke("#structured") == Person(name="Ada", age=36)


@pytest.mark.parametrize("library", ["chat", "responses", "anthropic"])
def test_pydantic_ai_runs_an_agent_with_tools_and_reads_typed_answers(library, matrix, model):
    provider = OpenAIProvider(base_url=matrix.url, api_key=matrix.key)
    spoken = {
        "chat": lambda: OpenAIChatModel(model, provider=provider),
        "responses": lambda: OpenAIResponsesModel(model, provider=provider),
        "anthropic": lambda: AnthropicModel(
            model, provider=AnthropicProvider(base_url=matrix.origin, api_key=matrix.key),
            # It knows Claude by names without a provider's before them.
            profile=anthropic_model_profile("claude-sonnet-4-5")),
    }[library]()
    agent = Agent(spoken)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        return {"Paris": "18 °C", "Rome": "21 °C"}[city]

    assert agent.run_sync("#tools").output == "18 °C; 21 °C"
    typed = Agent(spoken, output_type=NativeOutput(Person))
    assert typed.run_sync("#structured").output == Person(name="Ada", age=36)


INSTRUCTOR = """
import json, sys, anthropic, instructor, openai
from pydantic import BaseModel
class Person(BaseModel):
    name: str
    age: int
origin, key, library, model = sys.argv[1:]
if library == "openai":
    client = instructor.from_openai(openai.OpenAI(base_url=origin + "/v1", api_key=key), mode=instructor.Mode.JSON_SCHEMA)
else:
    client = instructor.from_anthropic(anthropic.Anthropic(base_url=origin, api_key=key), mode=instructor.Mode.ANTHROPIC_JSON)
person = client.chat.completions.create(
    model=model, max_tokens=512, messages=[{"role": "user", "content": "#structured"}], response_model=Person)
print(json.dumps(person.model_dump()))
"""


@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_instructor_reads_typed_answers(library, matrix, model):
    """It wants an older `openai` than the other suites, so it lives in an environment of its own."""
    python = Path(os.environ.get("PARLEY_INSTRUCTOR_PYTHON") or Path(sys.prefix).parent / "venv-instructor/bin/python")
    assert python.exists(), "run script/bootstrap test"
    made = subprocess.run(
        [python, "-c", INSTRUCTOR, matrix.origin, matrix.key, library, model], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr[-2000:]
    assert json.loads(made.stdout) == {"name": "Ada", "age": 36}
