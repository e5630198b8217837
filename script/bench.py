# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Parley beside nginx as a plain reverse proxy: CPU, memory and start time, on one upstream in one run.

CPU is user + system time of the process tree from /proc, divided by the requests answered in that time. Runs are
interleaved (nginx, Parley, nginx, …) and the median is reported, so that a busy machine hurts both alike. Paced streams,
which leave the machine idle, run through both at the same time: what waking from idle costs changes from minute to minute.
"""

import argparse
import http.client
import json
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEY = "sk-parley-bench-0123456789abcdef"
TICK = os.sysconf("SC_CLK_TCK")
# What the design asks for: ratio to nginx, or a plain number.
TARGETS = {"json-1k": 1.5, "json-50k": 1.5, "stream-100": 0.7, "paced": 1.2, "memory": 20.0, "idle": 40.0, "start": 150.0,
           "event": 2.0, "event-paced": 1.3, "whole-1k": 30.0, "whole-100k": 300.0, "route": 1.1}
# Routes whose cost is measured beside that of an alias.
ROUTES = ("fallback", "weighted", "fastest")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid):
    """The process and all its descendants."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                waiting += [int(child) for child in Path(f"/proc/{one}/task/{task}/children").read_text().split()]
        except OSError:
            pass
    return found


def cpu(pid):
    """Seconds of CPU the process tree has used."""
    total = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / TICK


def rss(pid):
    """Resident KB of the process tree."""
    total = 0
    for one in tree(pid):
        try:
            found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text(), re.M)
            total += int(found[1]) if found else 0
        except OSError:
            pass
    return total


class Process:
    """A program started for the run, ended by its own id."""

    def __init__(self, command, log, env=None):
        self.log = log
        with open(log, "wb") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env)
        self.pid = self.child.pid

    def wait_for(self, pattern, seconds=20):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            found = re.search(pattern, Path(self.log).read_text(errors="replace"))
            if found:
                return found
            if self.child.poll() is not None:
                break
            time.sleep(0.002)
        sys.exit(f"{self.child.args[0]} did not start:\n{Path(self.log).read_text(errors='replace')[-3000:]}")

    def wait_for_port(self, port, seconds=20):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        sys.exit(f"nothing listens on {port}:\n{Path(self.log).read_text(errors='replace')[-3000:]}")

    def stop(self, patience=5):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


NGINX = """
daemon off; worker_processes {workers}; pid {folder}/{name}.pid; error_log {folder}/{name}-error.log warn;
worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{
    access_log {folder}/{name}-access.log;
    client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
    fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;
    client_body_buffer_size 128k; keepalive_requests 100000000; keepalive_timeout 300s;
    upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off; proxy_read_timeout 300s;
        }}
    }}
}}
"""


def nginx(folder, name, upstream, workers):
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        sys.exit("nginx is not here: script/bootstrap bench installs it")
    port = free_port()
    conf = folder / f"{name}.conf"
    conf.write_text(NGINX.format(folder=folder, name=name, upstream=upstream, port=port, workers=workers))
    process = Process([program, "-c", str(conf), "-p", str(folder)], folder / f"{name}.log")
    process.wait_for_port(port)
    return process, port


def parley_environment(folder):
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}
    return env | {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "SWIFT_BACKTRACE": "enable=no"}


def parley(program, folder, upstream, wrapper=()):
    config = folder / "parley.yaml"
    routes = ", ".join(f"{kind}: {{route: {kind}, of: [bench/bench-json, bench/bench-twin]}}" for kind in ROUTES)
    config.write_text(f"""
server: {{listen: "127.0.0.1:0"}}
log: {{file: {{path: {folder}/parley-access.log}}, access: true}}
providers:
  bench: {{kind: openai-compatible, base_url: "http://127.0.0.1:{upstream}/v1", api_key: x, discover: false, models: {{bench-json: bench-json, bench-twin: bench-json, bench-stream: bench-stream, bench-paced: bench-paced}}}}
  claude: {{kind: anthropic, base_url: "http://127.0.0.1:{upstream}", api_key: x, discover: false, models: {{bench-claude-json: bench-claude-json, bench-claude-stream: bench-claude-stream, bench-claude-paced: bench-claude-paced}}}}
models: {{bench-json: bench/bench-json, bench-stream: bench/bench-stream, bench-paced: bench/bench-paced, bench-claude-json: claude/bench-claude-json, bench-claude-stream: claude/bench-claude-stream, bench-claude-paced: claude/bench-claude-paced, {routes}}}
keys:
  - {{name: bench, key: {KEY}}}
""")
    process = Process(
        [*wrapper, program, "serve", "--config", str(config)], folder / "parley.log", parley_environment(folder))
    return process, int(process.wait_for(r"http://127\.0\.0\.1:(\d+)", 120)[1])


def instructions(program, folder, upstream, model, requests):
    """Instructions of a whole life that answers so many requests, as callgrind counts them."""
    counts = folder / "callgrind.out"
    (folder / "parley.log").unlink(missing_ok=True)
    process, port = parley(program, folder, upstream, (
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", "--log-file=/dev/null"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    text = body(model, 1024, False)
    for _ in range(requests):
        connection.request("POST", "/v1/chat/completions", text,
                           {"content-type": "application/json", "authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        if answer.read() and answer.status != 200:
            sys.exit(f"{model} answered {answer.status}")
    connection.close()
    process.stop(60)
    return int(re.search(r"^(?:summary|totals): (\d+)", counts.read_text(), re.M)[1])


def route(options, folder, upstream):
    """What routes add to a relayed request, in instructions: name -> (per request, per request of an alias)."""
    few, many = (20, 60) if options.quick else (100, 600)

    def each(model):
        return (instructions(options.parley, folder, upstream, model, many)
                - instructions(options.parley, folder, upstream, model, few)) / (many - few)

    alias = each("bench-json")
    found = {kind: (each(kind), alias) for kind in ROUTES}
    for kind, (count, _) in found.items():
        print(f"route: {kind} {count:.0f}, alias {alias:.0f} instructions per request", file=sys.stderr, flush=True)
    return found


def body(model, size, stream):
    """A chat request of about that many bytes."""
    value = {"model": model, "messages": [{"role": "user", "content": ""}], "temperature": 0.5}
    if stream:
        value["stream"] = True
    value["messages"][0]["content"] = "x" * max(1, size - len(json.dumps(value)))
    return json.dumps(value)


def wrk(port, text, connections, seconds, folder):
    """Loads the port; returns (requests, requests per second)."""
    script = folder / "load.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.path = "/v1/chat/completions"\n'
        f'wrk.headers["content-type"] = "application/json"\nwrk.headers["authorization"] = "Bearer {KEY}"\n'
        f"wrk.body = [==[{text}]==]\n"
        "done = function(s) io.write(string.format('\\nRESULT %d %d %d\\n', s.requests, s.errors.status, "
        "s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout)) end\n")
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), f"http://127.0.0.1:{port}"],
        capture_output=True, text=True, check=False)
    found = re.search(r"RESULT (\d+) (\d+) (\d+)", done.stdout)
    if not found or not int(found[1]):
        sys.exit(f"wrk failed on port {port}:\n{done.stdout}{done.stderr}")
    requests, refused, broken = (int(part) for part in found.groups())
    if refused or broken:
        sys.exit(f"{refused} answers were errors and {broken} connections broke on port {port}: nothing to compare")
    return requests


class Streams:
    """Many open streams, read by one small loop; several lots of them by one where they share a selector."""

    def __init__(self, port, count, model, selector=None):
        self.selector = selector or selectors.DefaultSelector()
        self.sockets, self.events, self.closed = [], 0, 0
        text = body(model, 1000, True)
        request = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}").encode()
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), 10)
            client.setblocking(False)
            client.sendall(request)
            self.selector.register(client, selectors.EVENT_READ, self)
            self.sockets.append(client)
            self.read(0)

    def read(self, seconds):
        """Reads for so long and counts the events that came, for each lot those of its own."""
        limit = time.monotonic() + seconds
        while True:
            for entry, _ in self.selector.select(max(0, min(0.2, limit - time.monotonic()))):
                try:
                    data = entry.fileobj.recv(65536)
                except (BlockingIOError, ConnectionError):
                    data = None
                if data:
                    entry.data.events += data.count(b"data: ")
                elif data == b"":
                    entry.data.closed += 1
                    self.selector.unregister(entry.fileobj)
            if time.monotonic() >= limit:
                return

    def close(self):
        for client in self.sockets:
            client.close()
        self.selector.close()


def paced(sides, count, seconds):
    """CPU µs per event with `count` streams of one event per second each, through all sides at the same time.

    A side is a process, its port and the model to ask for.
    """
    selector = selectors.DefaultSelector()
    lots = [Streams(port, count, model, selector) for _, port, model in sides]

    def now():
        return [(cpu(process.pid), lot.events) for (process, _, _), lot in zip(sides, lots)]

    lots[0].read(2)
    before = now()
    lots[0].read(seconds)
    found = [(used - used_before, events - events_before)
             for (used, events), (used_before, events_before) in zip(now(), before)]
    for lot in lots:
        lot.close()
    for lot, (_, events) in zip(lots, found):
        if lot.closed or events < count * seconds * 0.5:
            sys.exit(f"{lot.closed} of {count} paced streams ended, {events} events came: nothing to compare")
    return [used / events * 1e6 for used, events in found]


def memory(process, port, count):
    """KB of resident memory per open stream."""
    before = rss(process.pid)
    streams = Streams(port, count, "bench-paced")
    streams.read(4)
    after = rss(process.pid)
    streams.close()
    if streams.closed:
        sys.exit(f"{streams.closed} of {count} streams ended early: nothing to compare")
    return (after - before) / count


def start_time(program, folder):
    """Milliseconds from spawning Parley, with no configuration at all, to the end of the first answer of `demo`."""
    state = folder / f"start-{time.monotonic_ns()}"
    state.mkdir()
    port = free_port()
    began = time.monotonic()
    process = Process([program, "serve", "--listen", f"127.0.0.1:{port}"], state / "log", parley_environment(state))
    try:
        key = process.wait_for(r"sk-parley-[\w-]+", 10)[0]
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("POST", "/v1/chat/completions", body("demo", 200, False),
                                   {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                break
            except ConnectionRefusedError:
                if time.monotonic() - began > 10:
                    sys.exit("parley serve did not answer within 10 s")
                time.sleep(0.001)
        taken = (time.monotonic() - began) * 1000
        if answer.status != 200:
            sys.exit(f"the first answer was {answer.status}: {text[:500]!r}")
        return taken
    finally:
        process.stop()


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    kernel = os.uname()
    version = subprocess.run([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-v"],
                             capture_output=True, text=True, check=False).stderr.strip().rpartition("/")[2]
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return (f"{os.cpu_count()} cores, {model[1] if model else kernel.machine}, {system[1] if system else kernel.sysname}, "
            f"Linux {kernel.release.split('-')[0]}, nginx {version}, {time.strftime('%Y-%m-%d')}")


def arguments():
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run of each: a smoke test, not a measurement")
    parser.add_argument("--write", metavar="FILE", help="put the table between the bench markers of this file")
    parser.add_argument("--parley", metavar="PATH", default=str(ROOT / ".build/release/parley"),
                        help="the binary to measure, or 'nginx' to try the bench itself with a second nginx")
    parser.add_argument("--upstream", metavar="PATH", default=str(ROOT / ".build/release/scripted-upstream"))
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=4, help="length of one run under load")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="nginx worker processes")
    parser.add_argument("--only", help="comma list of json-1k json-50k stream-100 paced memory idle start "
                        "event event-paced whole-1k whole-100k route")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers as JSON")
    return parser.parse_args()


def measure(options, folder):
    """All numbers: name -> (parley, nginx or None)."""
    wanted = set(options.only.split(",")) if options.only else set(TARGETS)
    stand_in = options.parley == "nginx"
    if options.quick:
        options.seconds, options.runs = 1, 1
    upstream = Process([options.upstream, "--port", "0"], folder / "upstream.log")
    started = [upstream]
    numbers = {}
    try:
        upstream_port = int(upstream.wait_for(r"listening 127\.0\.0\.1:(\d+)")[1])
        reference = nginx(folder, "nginx", upstream_port, options.workers)
        started.append(reference[0])
        ours = (nginx(folder, "second", upstream_port, options.workers) if stand_in
                else parley(options.parley, folder, upstream_port))
        started.append(ours[0])
        if "idle" in wanted:
            numbers["idle"] = (rss(ours[0].pid) / 1024, rss(reference[0].pid) / 1024)
        loads = {"json-1k": body("bench-json", 1024, False), "json-50k": body("bench-json", 51200, False),
                 "stream-100": body("bench-stream", 1024, True)}

        def interleaved(name, run):
            if name not in wanted:
                return
            found = {reference: [], ours: []}
            for turn in range(options.runs):
                sides = (reference, ours) if turn % 2 == 0 else (ours, reference)
                for side, number in zip(sides, run(sides)):
                    found[side].append(number)
            numbers[name] = (statistics.median(found[ours]), statistics.median(found[reference]))
            print(f"{name}: parley {numbers[name][0]:.1f}, nginx {numbers[name][1]:.1f} "
                  f"(runs {' '.join(f'{x:.1f}' for x in found[ours])} | {' '.join(f'{x:.1f}' for x in found[reference])})",
                  file=sys.stderr, flush=True)

        # Memory first: a process that served a load before keeps its peak.
        if "memory" in wanted:
            count = 300 if options.quick else 2000
            numbers["memory"] = (memory(*ours, count), memory(*reference, count))
            print(f"memory: parley {numbers['memory'][0]:.1f}, nginx {numbers['memory'][1]:.1f}", file=sys.stderr, flush=True)

        def loaded(text):
            def run(process, port):
                wrk(port, text, options.connections, 1, folder)
                used = cpu(process.pid)
                requests = wrk(port, text, options.connections, options.seconds, folder)
                return (cpu(process.pid) - used) / requests * 1e6
            return run

        for name, text in loads.items():
            one = loaded(text)
            interleaved(name, lambda sides, one=one: [one(*side) for side in sides])
        streams, seconds = (200, 3) if options.quick else (1000, 15)
        interleaved("paced", lambda sides: paced([(*side, "bench-paced") for side in sides], streams, seconds))
        if not stand_in:
            twin = None
            if "event-paced" in wanted:
                (folder / "twin").mkdir()
                twin = parley(options.parley, folder / "twin", upstream_port)
                started.append(twin[0])
            translated(options, wanted, numbers, ours, twin, loaded, streams, seconds)
            if "route" in wanted:
                numbers |= {f"route-{kind}": pair for kind, pair in route(options, folder, upstream_port).items()}
    finally:
        for process in reversed(started):
            process.stop()
    if "start" in wanted and not stand_in:
        times = [start_time(options.parley, folder) for _ in range(1 if options.quick else 5)]
        numbers["start"] = (statistics.median(times), None)
    return numbers


def translated(options, wanted, numbers, ours, twin, loaded, streams, seconds):
    """What a translation from Anthropic's Messages costs a client of OpenAI's, beside the same answer relayed."""
    def beside(name, run, together=False):
        """CPU of the relayed and of the translated kind, interleaved: (translated, relayed)."""
        if name not in wanted:
            return
        found = {"bench": [], "bench-claude": []}
        for turn in range(options.runs):
            kinds = sorted(found, reverse=turn % 2 == 1)
            for kind, number in zip(kinds, run(kinds) if together else map(run, kinds)):
                found[kind].append(number)
        numbers[name] = (statistics.median(found["bench-claude"]), statistics.median(found["bench"]))
        print(f"{name}: translated {numbers[name][0]:.1f}, relayed {numbers[name][1]:.1f}", file=sys.stderr, flush=True)

    beside("event", lambda kind: loaded(body(f"{kind}-stream", 1024, True))(*ours) / 100)
    beside("whole-1k", lambda kind: loaded(body(f"{kind}-json", 1024, False))(*ours))
    beside("whole-100k", lambda kind: loaded(body(f"{kind}-json", 102400, False))(*ours))
    # Each through a Parley of its own, whose CPU can be told apart.
    beside("event-paced", lambda kinds: paced(
        [(*side, f"{kind}-paced") for side, kind in zip((ours, twin), kinds)], streams, seconds), together=True)


ROWS = [
    ("json-1k", "CPU per request, 1 KB in, 500 B out", "µs", "ratio"),
    ("json-50k", "CPU per request, 50 KB in, 500 B out", "µs", "ratio"),
    ("stream-100", "CPU per stream of 100 chunks", "µs", "ratio"),
    ("paced", "CPU per event, 1,000 streams of one event per second", "µs", "ratio"),
    ("memory", "memory per open stream, 2,000 streams", "KB", "most"),
    ("idle", "idle memory", "MB", "most"),
    ("start", "start to first answer", "ms", "most"),
]


def table(numbers, options):
    lines = ["| | Parley | nginx | ratio | target |", "|---|---|---|---|---|"]
    for name, title, unit, kind in ROWS:
        if name not in numbers:
            continue
        ours, theirs = numbers[name]
        ratio = f"{ours / theirs:.2f}" if theirs else ""
        target = f"{TARGETS[name]:g}x nginx" if kind == "ratio" else f"{TARGETS[name]:g} {unit}"
        met = (ours / theirs if kind == "ratio" else ours) <= TARGETS[name]
        lines.append(f"| {title} | {ours:.1f} {unit} | {f'{theirs:.1f} {unit}' if theirs else ''} | {ratio} "
                     f"| {target}{'' if met else ' (not met)'} |")
    how = "one short run: not a measurement" if options.quick else f"medians of {options.runs} interleaved runs"
    lines += ["", f"{machine()}; {options.connections} connections, {options.workers} nginx workers, {how}; both with an "
                  "access log, Parley with a key; paced events through both at the same time. Made by `script/bench`."]
    if any(name in numbers for name, *_ in TRANSLATED):
        lines += ["", "OpenAI's client, Anthropic's upstream, beside the same answer relayed by Parley:", "",
                  "| | translated | relayed | | target |", "|---|---|---|---|---|"]
    for name, title, kind in TRANSLATED:
        if name not in numbers:
            continue
        ours, theirs = numbers[name]
        value, said, target = {
            "most": (ours, "", f"{TARGETS[name]:g} µs"),
            "ratio": (ours / theirs, f"{ours / theirs:.2f}", f"{TARGETS[name]:g}x relayed"),
            "more": (ours - theirs, f"+{ours - theirs:.1f} µs", f"+{TARGETS[name]:g} µs"),
        }[kind]
        lines.append(f"| {title} | {ours:.2f} µs | {theirs:.2f} µs | {said} | {target}"
                     f"{'' if value <= TARGETS[name] else ' (not met)'} |")
    if any(f"route-{kind}" in numbers for kind in ROUTES):
        lines += ["", "Instructions of a relayed request of 1 KB through a route of two members, beside an alias "
                  "(callgrind):", "", "| | route | alias | ratio | target |", "|---|---|---|---|---|"]
    for kind in ROUTES:
        if f"route-{kind}" in numbers:
            ours, theirs = numbers[f"route-{kind}"]
            lines.append(f"| `{kind}` | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} | {TARGETS['route']:g}x alias"
                         f"{'' if ours / theirs <= TARGETS['route'] else ' (not met)'} |")
    return "\n".join(lines)


TRANSLATED = [
    ("event", "CPU per event of a burst of 100, all of the stream's cost included", "most"),
    ("event-paced", "CPU per event, 1,000 streams of one event per second", "ratio"),
    ("whole-1k", "CPU per whole answer, 1 KB in, 500 B out", "more"),
    ("whole-100k", "CPU per whole answer, 100 KB in, 500 B out", "more"),
]


def main():
    options = arguments()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        os.chmod(folder, 0o755)
        numbers = measure(options, Path(folder))
    text = table(numbers, options)
    print(text)
    if options.json:
        Path(options.json).write_text(json.dumps({name: {"parley": a, "nginx": b} for name, (a, b) in numbers.items()}) + "\n")
    if options.write:
        path = Path(options.write)
        old = path.read_text()
        new, count = re.subn(r"(<!-- bench:start -->\n).*?(<!-- bench:end -->)",
                             lambda found: f"{found[1]}{text}\n{found[2]}", old, flags=re.S)
        if count != 1:
            sys.exit(f"{path} has no block between <!-- bench:start --> and <!-- bench:end -->")
        path.write_text(new)


main()
