"""What the page tests stand on: servers of our own on free ports, and Debian's chromium that reaches nothing else.

Every page keeps a record: each request it made, each breach of its Content-Security-Policy, each error. A script ends with
`verdict()`, which fails where a request left the machine or a policy was breached.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

SKIPPED = 77
# A machine with two cores that builds something else is slow, not broken.
PATIENCE = 6
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

RULES = """{version: 3, rules: [
  {name: "low-peacescore", severity: "critical", when: {citizen: {peacescore: {below: 20}}}, cooldown_s: 0},
  {name: "battery", severity: "warning", when: {reading: {battery_pct: {below: 15}}}},
  {name: "words", severity: "info", when: {words: {any_of: ["fire"]}}},
]}
"""


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


try:
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    skip("playwright is not in .tools/python; run make deps")
if not CHROMIUM:
    skip("chromium is not installed; run make deps")
expect.set_options(timeout=5_000 * PATIENCE)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def eventually(what, condition, seconds=10):
    deadline = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds * PATIENCE} s: {what}")


class Server:
    """One of our programs, on data and a port that stay over kill() and start()."""

    def __init__(self, program, configuration, url, log):
        self.command = [program, "run", "--config", configuration]
        self.url = url
        self.log = log
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        eventually(f"{self.command[0]} is ready; see {self.log}", self.is_ready, seconds=20)

    def is_ready(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise AssertionError(f"the server ended: {log.read()[-2000:]}")
        try:
            return urllib.request.urlopen(self.url + "/readyz", timeout=2).status == 200
        except OSError:
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def post(self, path, body, kind="application/json", headers=None):
        """(status, answer)"""
        text = body if isinstance(body, (str, bytes)) else json.dumps(body, ensure_ascii=False)
        data = text.encode() if isinstance(text, str) else text
        request = urllib.request.Request(self.url + path, data, {"Content-Type": kind, **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")


class Station:
    """A relay (and, with `central`, a central) in a folder of its own."""

    def __init__(self, programs, central=False, more=""):
        self.folder = tempfile.mkdtemp(prefix="columba-browser.")
        relay, intake, analysts = free_ports(3)
        self.write("rules.json5", RULES)
        upstream = f'"http://127.0.0.1:{intake}"' if central else ""
        self.write("relay.json5", f"""{{relay_id: "north-3", position: {{lat: 48.8566, lon: 2.3522}},
          listen: "127.0.0.1:{relay}", data_dir: "relay", rules: "rules.json5", central: [{upstream}], {more}}}""")
        self.relay = Server(f"{programs}/columba-relay", f"{self.folder}/relay.json5", f"http://127.0.0.1:{relay}",
                            f"{self.folder}/relay.log")
        self.central = None
        if central:
            self.write("central.json5", f"""{{listen: "127.0.0.1:{intake}", analyst_listen: "127.0.0.1:{analysts}",
              data_dir: "central", lake: "lake", vault: "vault", archive: {{max_wait_s: 1}}}}""")
            self.central = Server(f"{programs}/columba-central", f"{self.folder}/central.json5",
                                  f"http://127.0.0.1:{analysts}", f"{self.folder}/central.log")

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def __enter__(self):
        try:
            if self.central:
                self.central.start()
            self.relay.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in (self.relay, self.central):
            if server:
                server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


WATCH = """
globalThis.breaches = [];
addEventListener("securitypolicyviolation", (event) =>
  globalThis.breaches.push(`${event.violatedDirective}: ${event.blockedURI} (${event.sourceFile}:${event.lineNumber})`));
"""


class Record:
    def __init__(self):
        self.requests, self.errors, self.breaches, self.dialogs = [], [], [], []

    def watch(self, page):
        page.add_init_script(WATCH)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self.dialog)
        page.on("console", self.console)

    def dialog(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def console(self, message):
        # Chromium reports breaches of the policy here too, also those before any script ran.
        if "Content Security Policy" in message.text:
            self.breaches.append(message.text)

    def collect(self, page):
        self.breaches += page.evaluate("globalThis.breaches ?? []")

    def verdict(self):
        local = ("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:")
        left = [url for url in self.requests if not url.startswith(local)]
        assert not left, f"requests left the machine: {left[:5]}"
        assert not self.breaches, f"the Content-Security-Policy was breached: {self.breaches[:5]}"
        assert not self.errors, f"errors in the page: {self.errors[:5]}"
        assert not self.dialogs, f"a name opened a dialog: {self.dialogs}"
        return len(self.requests)


@contextlib.contextmanager
def browser(width=1280, height=720, scheme="dark"):
    """A context and the record of all its pages. Names resolve to nothing; only loopback is reached."""
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--disable-background-networking",
                 "--disable-component-update", "--no-first-run", "--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=arguments)
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                       timezone_id="Europe/Paris", locale="en-GB")
        context.set_default_timeout(10_000 * PATIENCE)
        record = Record()
        context.on("page", record.watch)
        try:
            yield context, record
        finally:
            chromium.close()


def report(drone="pw-000001", seq=1, boot="b", location=(48.8606, 2.3376), observed=None, **more):
    """A report as a drone sends it."""
    body = {"drone_id": drone, "boot": boot, "seq": seq,
            "location": {"lat": location[0], "lon": location[1], "alt_m": 80.0}, **more}
    if observed:
        body["observed_at"] = observed
    return body


def programs():
    """--programs FOLDER, where columba-relay and columba-central are."""
    return sys.argv[sys.argv.index("--programs") + 1]


def passed(name, **figures):
    print(json.dumps({"passed": name, **figures}))
