"""Makes pictures of both pages, in both themes, at 1280×720: `make screenshots`.

    screenshots.py --programs FOLDER --to FOLDER [--only relay|central]
"""

import base64
import datetime
import http.server
import json
import math
import os
import random
import struct
import sys
import threading
import time
import zlib

from browser import Station, browser, eventually, programs, report
from explorer_pictures import explorer

NAMES = ["Ada Martin", "Ivo Šimić", "Jade D'Souza", "Мила Ветров", "Tamsin Nguyễn", "小雨 林", "Zoë Åkerlund", "Olu N'Doye"]
WORDS = ["market", "rain", "coffee", "train", "music", "bridge", "school", "concert", "fire", "harbour"]
CENTRE = (48.8566, 2.3522)
LARGEST = 200_000
SILENT_SECONDS = 20


def option(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def moved(place, metres, degrees):
    angle = math.radians(degrees)
    return (place[0] + metres * math.cos(angle) / 111_320,
            place[1] + metres * math.sin(angle) / (111_320 * math.cos(math.radians(place[0]))))


class Fleet:
    """A station's drones: flown minute by minute, some of them silent in the end, one without a fix."""

    SILENT, WITHOUT_FIX = (5, 23), 41

    def __init__(self, drones=64, minutes=9):
        self.chance = random.Random(11)
        self.minute, self.minutes = 0, minutes
        self.begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes + 0.5)
        self.drones = [
            {"place": moved(CENTRE, 5_500 * math.sqrt(self.chance.random()), self.chance.uniform(0, 360)),
             "heading": self.chance.uniform(0, 360), "battery": self.chance.uniform(28, 100),
             "speed": self.chance.uniform(3, 10)} for _ in range(drones)]

    def fly(self, relay):
        for _ in range(self.minutes + 1):
            self.step(relay)

    def step(self, relay):
        """A report of each drone, at once."""
        bodies = []
        is_last = self.minute == self.minutes
        for index, drone in enumerate(self.drones):
            if index in self.SILENT and self.minute > 4:
                continue
            bodies.append(json.dumps(self.report(index, drone, is_last), ensure_ascii=False))
        status, answer = relay.post("/v1/reports", "\n".join(bodies), "application/x-ndjson")
        assert status == 202, answer
        self.minute += 1

    def report(self, index, drone, is_last):
        chance = self.chance
        drone["heading"] = (drone["heading"] + chance.uniform(-35, 35)) % 360
        drone["place"] = moved(drone["place"], drone["speed"] * 60, drone["heading"])
        drone["battery"] = max(20, drone["battery"] - chance.uniform(0.3, 1))
        observed = self.begin + datetime.timedelta(minutes=min(self.minute, self.minutes), milliseconds=index * 311)
        if self.minute > self.minutes:
            observed = datetime.datetime.now(datetime.timezone.utc)
        people = [{"name": chance.choice(NAMES), "peacescore": round(chance.uniform(25, 100), 1), "confidence": 0.9}
                  for _ in range(4)]
        battery = round(drone["battery"])
        if is_last and index % 21 == 4:
            people[1]["peacescore"] = round(chance.uniform(1, 19.9), 1)
        if is_last and index % 17 == 3:
            battery = chance.randint(6, 14)
        has_fix = index != self.WITHOUT_FIX
        words = [chance.choice(WORDS[:8]) for _ in range(12)] + (["fire"] if is_last and index % 13 == 0 else [])
        return report(
            f"pw-{index + 1:06d}", self.minute + 1, "6f1c",
            tuple(round(part, 6) for part in drone["place"]) if has_fix else (0, 0),
            observed.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z", citizens=people, words=words,
            readings={"battery_pct": battery, "ground_speed_mps": round(drone["speed"], 1),
                      "heading_deg": round(drone["heading"], 1), "gps_fix_type": 3 if has_fix else 1,
                      "gps_satellites": chance.randint(8, 17) if has_fix else 2})


class Desk(http.server.BaseHTTPRequestHandler):
    """A webhook's other end: takes every alert."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def desk():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def decide(relay):
    """Some alerts are seen, one is shelved, some are closed: as after an ordinary hour."""
    alerts = relay.get("/v1/alerts?folded=true&limit=1000")["alerts"]
    others = [alert for alert in alerts if alert["severity"] != "critical"]
    critical = [alert for alert in alerts if alert["severity"] == "critical"]
    acts = [("ack", {"by": "officer 7", "note": "calling it home"}), ("ack", {"by": "officer 7", "note": ""}),
            ("shelve", {"by": "officer 3", "note": "known", "for_s": 3600})]
    for alert, (action, body) in zip(others, acts):
        relay.post(f"/v1/alerts/{alert['alert_id']}/{action}", body)
    if len(critical) > 2:
        relay.post(f"/v1/alerts/{critical[-1]['alert_id']}/ack", {"by": "officer 7", "note": "patrol is on its way"})


# A picture's most frequent colours become its palette; the others, of the edges of letters, the nearest of them.
QUANTISE = """async (png) => {
  const blob = new Blob([Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0))], { type: "image/png" });
  const picture = await createImageBitmap(blob);
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, picture.width, picture.height);
  const counts = new Map();
  for (let at = 0; at < data.length; at += 4) {
    const colour = data[at] << 16 | data[at + 1] << 8 | data[at + 2];
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const often = [...counts].sort((a, b) => b[1] - a[1]);
  const palette = [];
  const near = (a, b) => Math.abs((a >> 16) - (b >> 16)) + Math.abs((a >> 8 & 255) - (b >> 8 & 255))
    + Math.abs((a & 255) - (b & 255));
  // First colours that differ, so that rare but strong ones get their place.
  for (const apart of [36, 18, 9]) {
    for (const [colour] of often) {
      if (palette.length < 256 && palette.every((known) => near(known, colour) >= apart)) palette.push(colour);
    }
  }
  const index = new Map();
  for (const [colour] of often) {
    let best = 0;
    palette.forEach((known, at) => { if (near(known, colour) < near(palette[best], colour)) best = at; });
    index.set(colour, best);
  }
  const letters = [];
  for (let at = 0; at < data.length; at += 4) {
    letters.push(String.fromCharCode(index.get(data[at] << 16 | data[at + 1] << 8 | data[at + 2])));
  }
  return { width: picture.width, height: picture.height, palette, pixels: btoa(letters.join("")) };
}"""


def smaller(context, png):
    """The same picture with a palette of at most 256 colours: a third of the size."""
    page = context.new_page()
    picture = page.evaluate(QUANTISE, base64.b64encode(png).decode())
    page.close()
    width, pixels = picture["width"], base64.b64decode(picture["pixels"])
    rows = b"".join(b"\0" + pixels[at:at + width] for at in range(0, len(pixels), width))
    palette = b"".join(colour.to_bytes(3, "big") for colour in picture["palette"])
    header = struct.pack(">IIBBBBB", width, picture["height"], 8, 3, 0, 0, 0)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", palette)
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def shoot(page, folder, name):
    path = f"{folder}/{name}.png"
    with open(path, "wb") as file:
        file.write(smaller(page.context, page.screenshot()))
    size = os.path.getsize(path)
    print(f"{path} {size // 1000} kB{' (too large for git)' if size > LARGEST else ''}")


def console(context, relay, fleet, folder, scheme):
    # Those that are to be ghosts have been silent for longer than silent_s by now; the others report once more.
    time.sleep(SILENT_SECONDS + 1)
    fleet.step(relay)
    page = context.new_page()
    page.goto(relay.url + "/")
    page.locator("html[data-ready='true']").wait_for(state="attached")
    page.wait_for_timeout(1_500)
    shoot(page, folder, f"console-{scheme}")
    fleet.step(relay)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("#detail pre", has_text="peacescore").wait_for()
    page.wait_for_timeout(300)
    shoot(page, folder, f"console-alert-{scheme}")
    page.close()


def main():
    folder, only = option("--to", "docs/pictures"), option("--only")
    os.makedirs(folder, exist_ok=True)
    more = (f"console: {{expected_drones: 66, silent_s: {SILENT_SECONDS}}}, "
            f'alerts: {{webhooks: [{{name: "control-room", url: "http://127.0.0.1:{desk()}/"}}]}}')
    with Station(programs(), central=True, more=more) as station:
        fleet = Fleet()
        fleet.fly(station.relay)
        decide(station.relay)
        eventually("the uplink has sent all", lambda: station.relay.get("/v1/status")["uplink"]["state"] == "up")
        time.sleep(2)
        for scheme in ("dark", "light"):
            with browser(scheme=scheme) as (context, record):
                if only != "central":
                    console(context, station.relay, fleet, folder, scheme)
                if only != "relay":
                    explorer(context, station.central, folder, scheme, shoot)
                record.verdict()


if __name__ == "__main__":
    sys.exit(main())
