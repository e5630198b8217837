# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""`parley import`: other projects' files through the real binary, and what their users saw, afterwards with Parley."""

import collections
import json
import os
import re
import sqlite3
import stat
import subprocess

import openai
import pytest
import yaml
from conftest import Server, chat, clean_environment

CHAT = "/v1/chat/completions"


def entry(token, kind, **config):
    return {"token": token, "type": kind, "config": config}


class Tool:
    """The command, run in a folder of its own."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.env = clean_environment(folder)

    def run(self, *arguments, stdin=None, env=None):
        stdin = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run([self.binary, *map(str, arguments)], input=stdin, capture_output=True, cwd=self.folder,
                              env=self.env | (env or {}), timeout=60)
        assert done.returncode >= 0, done
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def check(self, *arguments, env=None):
        return self.run("check", *arguments, env=env)

    def variables(self, path):
        """The variables of a file as a shell reads them."""
        shell = subprocess.run(["sh", "-c", 'set -a; . "$0"; env -0', str(path)], capture_output=True, env={}, check=True)
        pairs = [item.partition("=") for item in shell.stdout.decode().split("\0") if item]
        return {name: value for name, _, value in pairs if name not in ("PWD", "_", "OLDPWD", "SHLVL")}


@pytest.fixture
def tool(parley_binary, tmp_path):
    return Tool(parley_binary, tmp_path)


@pytest.fixture
def moved(tool, start, upstream, tmp_path):
    """Imports a list of openai-style-api's entries and serves the result: moved(entries) -> Server."""

    def one(entries, as_python=False):
        source = tmp_path / ("model_config.py" if as_python else "models.json")
        text = json.dumps(entries, indent=2)
        source.write_text(f"import os\nMODEL_CONFIGS = {entries!r}\n" if as_python else text)
        code, out, err = tool.run("import", source, "--env", tmp_path / "parley.env", "--output", tmp_path / "moved.yaml")
        assert code == 0 and out == "", err
        variables = tool.variables(tmp_path / "parley.env")
        code, out, _ = tool.check("--strict", tmp_path / "moved.yaml", env=variables)
        assert code == 0, out
        config = (tmp_path / "moved.yaml").read_text()
        return start(config, env=clean_environment(tmp_path / "home") | variables)

    return one


def ask(server, token, model="whatever", **more):
    return server.client(api_key=token).chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hi"}], **more)


# What openai-style-api's users saw.


def test_openai_style_api_a_key_alone_decides_the_model(moved, upstream):
    server = moved([entry("tok-a", "proxy", api_base=upstream.url + "/", api_key="up", model="first"),
                    entry("tok-b", "proxy", api_base=upstream.url, api_key="up", model="second"),
                    entry("tok-c", "proxy", api_base=upstream.url, api_key="up")])
    for token, asked in [("tok-a", "gpt-4"), ("tok-b", "gpt-4"), ("tok-c", "gpt-4"), ("tok-c", "other/one")]:
        ask(server, token, asked)
    assert [one["model"] for one in upstream.log()] == ["first", "second", "gpt-4", "other/one"]
    assert {one["headers"]["authorization"] for one in upstream.log()} == {"Bearer up"}
    with pytest.raises(openai.AuthenticationError):
        ask(server, "tok-unknown")
    status, _, text = server.request(
        "POST", CHAT, {"messages": chat()["messages"]}, {"Authorization": "Bearer tok-c"}, key=False)
    assert status == 400 and "names no model" in json.loads(text)["error"]["message"]


def test_openai_style_api_what_the_key_sets_overrides_the_client(moved, upstream):
    server = moved([entry("tok-a", "proxy", api_base=upstream.url, api_key="up", model="m", temperature=0.8, top_p=0.5,
                          stop=["END"])], as_python=True)
    ask(server, "tok-a", temperature=0.1, max_tokens=7)
    body = upstream.log()[0]["body"]
    body = json.loads(body) if isinstance(body, str) else body
    assert (body["temperature"], body["top_p"], body["stop"], body["max_tokens"]) == (0.8, 0.5, ["END"], 7)


@pytest.mark.parametrize("strategy", ["round-robin", "random"])
def test_openai_style_api_router_spreads_over_its_targets(moved, upstream, strategy):
    names = ["one", "two", "three"]
    entries = [entry("tok-" + name, "proxy", api_base=upstream.url, api_key="up", model=name) for name in names]
    tokens = [one["token"] for one in entries]
    server = moved(entries + [entry("tok-r", "router", router_strategy=strategy, token_pool=tokens)])
    for _ in range(60):
        ask(server, "tok-r")
    counts = collections.Counter(one["model"] for one in upstream.log())
    assert set(counts) == set(names) and sum(counts.values()) == 60
    if strategy == "round-robin":
        assert set(counts.values()) == {20}
        assert [one["model"] for one in upstream.log()][:6] == names * 2
    else:
        assert min(counts.values()) >= 5  # fewer has a chance of about 1 in 200,000


def test_openai_style_api_router_takes_along_what_its_targets_set_and_the_clients_model(moved, upstream):
    server = moved([entry("tok-a", "proxy", api_base=upstream.url, api_key="up", model="fixed", temperature=0.25),
                    entry("tok-b", "proxy", api_base=upstream.url, api_key="up"),
                    entry("tok-r", "router", router_strategy="round-robin", token_pool=["tok-a", "tok-b"])])
    for _ in range(4):
        ask(server, "tok-r", "mine", temperature=1)
    seen = []
    for one in upstream.log():
        body = json.loads(one["body"]) if isinstance(one["body"], str) else one["body"]
        seen.append((one["model"], body["temperature"]))
    assert seen == [("fixed", 0.25), ("mine", 1)] * 2


def test_openai_style_api_router_goes_on_where_a_target_is_down(moved, upstream):
    server = moved([entry("tok-a", "proxy", api_base="http://127.0.0.1:1/v1", api_key="up", model="dead"),
                    entry("tok-b", "proxy", api_base=upstream.url, api_key="up", model="alive"),
                    entry("tok-r", "router", router_strategy="round-robin", token_pool=["tok-a", "tok-b"])])
    for _ in range(3):
        assert ask(server, "tok-r").choices
    assert [one["model"] for one in upstream.log()] == ["alive"] * 3


def test_openai_style_api_parallel_becomes_race(moved, upstream):
    server = moved([entry("tok-a", "proxy", api_base=upstream.url, api_key="up", model="first"),
                    entry("tok-b", "proxy", api_base="http://127.0.0.1:1/v1", api_key="up", model="dead"),
                    entry("tok-r", "router", router_strategy="parallel", token_pool=["tok-b", "tok-a"])])
    for _ in range(3):
        assert ask(server, "tok-r").choices
    assert [one["model"] for one in upstream.log()] == ["first"] * 3


def test_openai_style_api_model_name_router_with_a_default(moved, upstream):
    server = moved([entry("tok-a", "proxy", api_base=upstream.url, api_key="up", model="first"),
                    entry("tok-b", "proxy", api_base=upstream.url, api_key="up"),
                    entry("tok-n", "model-name-router", **{"model-2-token": {"smart": "tok-a", "default": "tok-b"}}),
                    entry("tok-o", "model-name-router", **{"model-2-token": {"smart": "tok-b"}})])
    ask(server, "tok-n", "smart")
    ask(server, "tok-n", "anything")
    # The other router means something else by the same name; its clients need not know.
    ask(server, "tok-o", "smart")
    assert [one["model"] for one in upstream.log()] == ["first", "anything", "smart"]
    with pytest.raises(openai.PermissionDeniedError):
        ask(server, "tok-o", "anything")
    assert [model.id for model in server.client(api_key="tok-o").models.list()] == ["smart"]
    assert "smart" in [model.id for model in server.client(api_key="tok-n").models.list()]


def test_openai_style_api_streams_and_lists_models_under_a_key_of_its_own(moved, upstream):
    server = moved([entry("tok-a", "proxy", api_base=upstream.url, api_key="up", model="first")])
    text = "".join(piece.choices[0].delta.content or "" for piece in ask(server, "tok-a", stream=True) if piece.choices)
    assert text
    assert [model.id for model in server.client(api_key="tok-a").models.list()] == ["127.0.0.1/first"] or \
        [model.id for model in server.client(api_key="tok-a").models.list()] == ["local/first"]


# The other kinds, as far as the result can be tried.


def test_litellm_pools_and_fallbacks_answer(tool, start, upstream, tmp_path):
    config = {
        "model_list": [
            {"model_name": "gpt", "litellm_params": {"model": "openai/a", "api_base": upstream.url, "api_key": "k1", "weight": 1}},
            {"model_name": "gpt", "litellm_params": {"model": "openai/b", "api_base": upstream.url, "api_key": "k2", "weight": 0}},
            {"model_name": "dead", "litellm_params": {"model": "openai/x", "api_base": "http://127.0.0.1:1/v1", "api_key": "k"}},
        ],
        "router_settings": {"fallbacks": [{"dead": ["gpt"]}], "num_retries": 0},
        "general_settings": {"master_key": "sk-1234"},
    }
    source = tmp_path / "config.yaml"
    source.write_text(yaml.safe_dump(config))
    code, out, err = tool.run("import", source, "--env", "all.env")
    assert code == 0, err
    variables = tool.variables(tmp_path / "all.env")
    server = start(out, env=clean_environment(tmp_path / "home") | variables, key="sk-1234")
    for name in ["gpt", "gpt", "dead"]:
        assert server.request("POST", CHAT, chat(name))[0] == 200
    assert [one["model"] for one in upstream.log()] == ["a", "a", "a"]


def test_one_api_pools_by_priority(tool, start, upstream, tmp_path):
    root = upstream.url.removesuffix("/v1")
    row = {"type": 8, "status": 1, "models": "m", "weight": 0}
    rows = [row | {"name": "low", "key": "k1", "base_url": root, "priority": 0, "model_mapping": '{"m": "low"}'},
            row | {"name": "high", "key": "k2\nk3", "base_url": root, "priority": 5, "model_mapping": '{"m": "high"}'}]
    code, out, err = tool.run("import", "-", "--env", "all.env", stdin=json.dumps({"data": rows}))
    assert code == 0, err
    variables = tool.variables(tmp_path / "all.env")
    server = start(out + "keys: [{name: t, key: sk-t-0123456789}]\n", env=clean_environment(tmp_path / "home") | variables,
                   key="sk-t-0123456789")
    for _ in range(4):
        assert server.request("POST", CHAT, chat("m"))[0] == 200
    assert [one["model"] for one in upstream.log()] == ["high"] * 4
    assert {one["headers"]["authorization"] for one in upstream.log()} == {"Bearer k2", "Bearer k3"}


ENTRIES = [
    entry("a", "openai", api_key="k", model="m"), entry("b", "proxy", api_base="https://h.example/v1", api_key="k", top_p=1),
    entry("c", "azure", api_base="https://x.openai.azure.com/", deployment_id="d", api_version="2023-05-15", api_key="k"),
    entry("d", "claude", **{"api_key": "k", "anthropic-version": "2023-06-01"}),
    entry("e", "claude-web", cookie="sessionKey=sk-ant-sid01-abc", proxies={"https": "http://localhost:7890"},
          prompt="{newMessage}"),
    entry("f", "zhipu-api", api_key="id.secret", model="chatglm_turbo", prompt="Obey {system}"),
    entry("g", "xunfei-spark-api", app_id="a", api_key="k", api_secret="s", api_model_version="v2.0"),
    entry("h", "gemini", api_key="k"),
    entry("i", "router", router_strategy="random", token_pool=["a", "b", "e", "f", "g"]),
    entry("j", "model-name-router", **{"model-2-token": {"x": "i", "default": "b"}})]
PARAMS = [
    {"model": "openai/x"}, {"model": "azure/x", "api_base": "https://x.openai.azure.com", "api_version": "2024-10-21"},
    {"model": "anthropic/x"}, {"model": "gemini/x"}, {"model": "groq/x"}, {"model": "ollama/x"}, {"model": "cohere/x"},
    {"model": "bedrock/x", "aws_region_name": "us-east-1", "aws_access_key_id": "A", "aws_secret_access_key": "S"}]
# Those without a kind of their own need a base_url, and Vertex a real service account.
TYPES = set(range(1, 52)) - {2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 19, 21, 22, 34, 38, 42, 43, 46}
BASES = {3: "https://x.openai.azure.com", 8: "https://h.example", 50: "https://h.example"}
PARTS = {15: "a|b", 16: "id.secret", 18: "a|b|c", 33: "a|b|us-east-1"}
FILES = {
    "openai-style-api": (json.dumps(ENTRIES), True),
    "fitten-code-api": ("[Main]\nusername = me\npassword = p;w\napi_key = sk-fitten\n", True),
    "flowgpt-2api": ("API_MASTER_KEY=sk\nNGINX_PORT=8088\nFLOWGPT_BEARER_TOKEN=t\nFLOWGPT_DEVICE_ID=d\n"
                     "REQUEST_TIMEOUT=180\nDEFAULT_MODEL_ID=a\nMODEL_MAP={\"a\": \"b\"}\n", True),
    "iflow": ("apiKey=k\nworker_auth_token=w\nmodelName=qwen3\nbaseUrl=https://apis.iflow.cn/v1\n", True),
    "litellm": (yaml.safe_dump({"model_list": [
        {"model_name": f"m{number}", "litellm_params": {"api_key": "k"} | params} for number, params in enumerate(PARAMS)],
        "general_settings": {"master_key": "sk-1234"}}), False),
    "one-api": (json.dumps([
        {"type": number, "name": f"channel {number}", "models": f"m{number},shared", "base_url": BASES.get(number, ""),
         "status": 1, "key": PARTS.get(number, "k"),
         "config": json.dumps({"user_id": "acc", "api_version": "2024-10-21"})} for number in sorted(TYPES)]), True),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_result_passes_check(tool, tmp_path, kind):
    text, strict = FILES[kind]
    (tmp_path / "source").write_text(text)
    code, _, err = tool.run("import", "source", "--env", "all.env", "--output", "parley.yaml")
    assert code == 0 and f"--from {kind})" in err, err
    variables = tool.variables(tmp_path / "all.env")
    missing = dict.fromkeys(re.findall(r"^# (\w+)=$", (tmp_path / "all.env").read_text(), re.M), "x")
    code, out, _ = tool.check(*(["--strict"] if strict else []), "parley.yaml", env=missing | variables)
    assert code == 0, out + (tmp_path / "parley.yaml").read_text()


def test_o1_api_passes_check(tool, tmp_path):
    (tmp_path / "config.yaml").write_text(
        "api_bearer_token: sk-o1\nmodel_provider_api_key: sk-up\ndefault_model: gpt-4o\nuse_regex_processing: true\n"
        "default_api_url: https://api.example.com/v1/chat/completions\n")
    code, out, err = tool.run("import", "config.yaml")
    assert code == 0 and "--from o1-api" in err and "warning" not in err
    (tmp_path / "out.yaml").write_text(out)
    variables = {"EXAMPLE_API_KEY": "x", "O1_KEY": "y"}
    code, said, _ = tool.check("out.yaml", env=variables)
    assert code == 0 and "warning" not in said
    assert tool.check("--strict", "out.yaml", env=variables)[0] == 0


def test_iflow_tokens_go_to_the_store_and_nowhere_else(tool, tmp_path):
    (tmp_path / "keys.json").write_text(json.dumps({
        "apiKey": "api-secret", "oauth_access_token": "access-secret", "oauth_refresh_token": "refresh-secret",
        "oauth_expires_at": 1763000000000, "selectedAuthType": "oauth-iflow", "worker_auth_token": "worker-secret"}))
    code, out, err = tool.run("import", "keys.json", "--env", "all.env")
    assert code == 0, err
    assert "secret" not in (out + err).replace("CLIENT_SECRET", "").replace("client_secret", "")
    assert (tmp_path / "all.env").read_text().count("-secret") == 1
    path = tmp_path / "state" / "parley" / "parley.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(path) as database:
        [(provider, value)] = database.execute("SELECT provider, value FROM credentials").fetchall()
    kept = json.loads(value)
    assert provider == "iflow" and kept["oauth_refresh_token"] == "refresh-secret" and kept["apiKey"] == "api-secret"
    assert tool.run("import", "keys.json")[0] == 0
    # Newer tokens are not overwritten with old ones.
    with sqlite3.connect(path) as database:
        database.execute("UPDATE credentials SET value = ?", [json.dumps(kept | {"oauth_access_token": "newer"})])
    code, _, err = tool.run("import", "keys.json")
    assert code == 1 and "already" in err
    assert tool.run("import", "keys.json", "--store", "other.db")[0] == 0 and (tmp_path / "other.db").exists()


# The command.


def test_secrets_are_printed_only_on_demand_and_files_never_overwritten(tool, tmp_path):
    source = tmp_path / "list.json"
    source.write_text(json.dumps([entry("tok-secret", "openai", api_key="it's a $SECRET-value", model="m")]))
    code, out, err = tool.run("import", source, "--env", "a.env", "--output", "a.yaml")
    assert code == 0 and out == "" and "secret" not in err.lower().replace("secrets", "")
    assert stat.S_IMODE(os.stat(tmp_path / "a.env").st_mode) == 0o600
    assert tool.variables(tmp_path / "a.env") == {"OPENAI_API_KEY": "it's a $SECRET-value", "OPENAI_M_KEY": "tok-secret"}
    text = (tmp_path / "a.yaml").read_text()
    assert "SECRET-value" not in text and "tok-secret" not in text
    assert re.search(r"^# +OPENAI_API_KEY ", text, re.M)
    for arguments in (["--output", "a.yaml"], ["--env", "a.env"]):
        code, out, err = tool.run("import", source, *arguments)
        assert code == 1 and "not overwritten" in err and out == ""
    assert (tmp_path / "a.yaml").read_text() == text
    code, out, _ = tool.run("import", source, "--show-secrets")
    assert code == 0 and "tok-secret" in out


def test_faults_say_the_line_and_leave_nothing_behind(tool, tmp_path):
    cases = [("a: [", "litellm"), ("[{\"type\": 1,}]", "one-api"), ("MODEL_CONFIGS = [\n  f()]", "openai-style-api"),
             (b"\xff\xfe", "o1-api"), ("[" * 100_000, "one-api"), ("a: &a [*a, *a]", "litellm"), ("x" * (5 << 20), "o1-api")]
    for text, kind in cases:
        code, out, err = tool.run("import", "-", "--from", kind, "--output", "never.yaml", stdin=text)
        assert code == 1 and out == "" and "standard input" in err and "error: " in err, (kind, code, err)
        assert not (tmp_path / "never.yaml").exists()
    code, _, err = tool.run("import", "-", stdin="hello: world\n")
    assert code == 1 and "--from" in err
    code, _, err = tool.run("import", "missing.json")
    assert code == 1 and "No such file" in err
    code, _, err = tool.run("import", "missing.json", "--from", "nonsense")
    assert code == 64 and "litellm" in err


def test_notes_stand_in_the_file_and_on_standard_error_with_their_place(tool):
    text = "model_list:\n- {model_name: a, litellm_params: {model: openai/a, api_key: k}}\nrouter_settings:\n  redis_host: h\n"
    code, out, err = tool.run("import", "-", stdin=text)
    assert code == 0
    for said in (out, err):
        assert "standard input:4: router_settings.redis_host: not carried over" in said
