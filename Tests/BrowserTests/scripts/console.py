"""The operator's console in a real Chromium against a real relay. Prints a line for each promise it saw kept.

    console.py --programs FOLDER
"""

import json
import math
import signal
import statistics
import sys

from browser import PATIENCE, Station, browser, eventually, expect, passed, programs, report

HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


def low(seq, name="Ada Martin", drone="pw-000001", **more):
    return report(drone=drone, seq=seq, citizens=[{"name": name, "peacescore": 12.5, "confidence": 0.9}], **more)


def open_console(context, relay):
    page = context.new_page()
    page.goto(relay.url + "/")
    page.locator("html[data-ready='true']").wait_for(state="attached")
    return page


def alert_is_shown_at_once(page, relay):
    """From the relay's raised_at to the row in the page, both on this machine's clock. The printed figure is what counts."""
    page.evaluate("""() => {
      globalThis.seen = new Map();
      const look = () => document.querySelectorAll("#alert-rows [data-alert]").forEach((row) => {
        const id = row.dataset.alert;
        if (!globalThis.seen.has(id)) globalThis.seen.set(id, performance.timeOrigin + performance.now());
      });
      new MutationObserver(look).observe(document.querySelector("#alert-rows"),
        { subtree: true, childList: true, attributes: true, attributeFilter: ["data-alert"] });
      look();
    }""")
    times = []
    for seq in range(1, 11):
        status, _ = relay.post("/v1/reports", low(seq, name=f"Person {seq}"))
        assert status == 202, status
        alert = next(a for a in relay.get("/v1/alerts")["alerts"] if a["seq"] == seq)
        shown = eventually("the alert is a row", lambda: page.evaluate(
            "(id) => globalThis.seen.get(id) ?? null", alert["alert_id"]))
        times.append(shown - page.evaluate("(time) => Date.parse(time)", alert["raised_at"]))
    median = statistics.median(times)
    assert median < 1_000, f"an alert took {median} ms to the screen"
    passed("an alert appears by itself", median_ms=round(median, 1), most_ms=round(max(times), 1))


def emergency_survives_reload(page, relay):
    expect(page.locator("#banner")).to_be_visible()
    expect(page.locator("#banner-count")).to_contain_text("10 emergencies")
    page.reload()
    expect(page.locator("#banner-count")).to_contain_text("10 emergencies")
    expect(page.locator("#alert-rows .alert-row:visible").first).to_contain_text("low-peacescore")
    passed("an emergency survives a reload")


def acknowledge_by_keyboard(page, relay):
    page.keyboard.press("j")
    chosen = page.locator("#alert-rows [aria-selected=true]")
    expect(chosen).to_have_count(1)
    alert_id = chosen.get_attribute("data-alert")
    page.keyboard.press("a")
    expect(page.locator("dialog[open]")).to_be_visible()
    page.keyboard.type("officer 7")
    page.keyboard.press("Tab")
    page.keyboard.type("on my way")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_have_count(0)
    known = relay.get(f"/v1/alerts/{alert_id}")
    assert (known["state"], known["by"], known["note"]) == ("acknowledged", "officer 7", "on my way"), known
    expect(page.locator("#banner-count")).to_contain_text("9 emergencies")
    passed("an alert is acknowledged by keyboard alone")


def shelve_and_close(page, relay):
    page.keyboard.press("j")
    alert_id = page.locator("#alert-rows [aria-selected=true]").get_attribute("data-alert")
    page.keyboard.press("s")
    expect(page.locator("dialog[open]")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert relay.get(f"/v1/alerts/{alert_id}")["state"] == "shelved"
    page.keyboard.press("3")
    page.locator(f"[data-alert='{alert_id}']").click()
    page.keyboard.press("c")
    page.get_by_text("False alarm", exact=True).click()
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_have_count(0)
    known = relay.get(f"/v1/alerts/{alert_id}")
    assert known["state"] == "closed" and known["outcome"] == "false_alarm", known
    assert [change["state"] for change in known["changes"]] == ["shelved", "closed"], known["changes"]
    page.keyboard.press("1")
    passed("an alert is shelved, then closed with an outcome; both decisions are kept")


def detail_has_report_and_timeline(page, relay):
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    detail = page.locator("#detail")
    expect(detail.locator(".timeline")).to_contain_text("Alert raised and pushed")
    expect(detail.locator("pre")).to_contain_text('"peacescore": 12.5')
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    passed("a row opens with its timeline and the report as it came")


def hostile_names_stay_text(page, relay):
    status, _ = relay.post("/v1/reports", low(100, name=HOSTILE, drone="pw-000666"))
    assert status == 202
    row = page.locator(".alert-row", has_text="onerror").first
    expect(row).to_contain_text("<script>alert(2)</script>")
    row.dblclick()
    expect(page.locator("#detail dl")).to_contain_text("<img src=x")
    expect(page.locator("#detail pre")).to_contain_text("onerror")
    assert page.locator("img[src='x']").count() == 0
    page.keyboard.press("Escape")
    passed("a hostile name stays text")


def unlocated_drone_is_flagged(page, relay):
    relay.post("/v1/reports", report(drone="pw-nofix", seq=1, location=(0, 0),
                                     readings={"gps_fix_type": 1, "battery_pct": 50}))
    expect(page.locator(".drone-row.unlocated")).to_contain_text("pw-nofix")
    expect(page.locator("#map-note")).to_contain_text("1 drone without a position")
    names = "columba.map.visible.map(({ drone }) => drone.drone_id)"
    drawn = page.evaluate(f"(columba.map.map.setView([0, 0], 8, {{ animate: false }}), {names})")
    assert drawn == [], drawn
    page.locator("#map-fit").click()
    eventually("the drones with a position are drawn", lambda: "pw-000001" in page.evaluate(names))
    passed("0/0 without a fix is flagged and not drawn")


def other_sites_cannot_write(relay):
    alert_id = relay.get("/v1/alerts")["alerts"][0]["alert_id"]
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        status, answer = relay.post(f"/v1/alerts/{alert_id}/ack", {"by": "x"}, headers=headers)
        assert status == 403 and answer["code"] == "cross_site_request", (status, answer)
    status, _ = relay.post(f"/v1/alerts/{alert_id}/ack", {"by": "x"}, headers={"Sec-Fetch-Site": "same-origin"})
    assert status == 200, status
    passed("another site's page changes nothing")


def lost_relay_is_shouted(page, relay):
    relay.kill()
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("#stale-text")).to_contain_text("No word from the relay")
    before = page.evaluate("columba.model.alerts.size")
    passed("a killed relay: the whole page says that it is stale")
    relay.start()
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("body")).not_to_have_class("stale")
    eventually("the list is back", lambda: page.evaluate("columba.model.alerts.size") == before)
    relay.post("/v1/reports", low(200, name="After Restart"))
    expect(page.locator(".alert-row", has_text="After Restart").first).to_be_visible()
    expect(page.locator("#banner")).to_be_visible()
    passed("a relay started again: the page recovers by itself, with what it knew")


def repeats_are_one_row(page, relay):
    """The same person at the same drone again: one situation, counted, not one more emergency."""
    before = page.locator("#banner-count").inner_text()
    for seq in (201, 202):
        relay.post("/v1/reports", low(seq, name="After Restart"))
    row = page.locator(".alert-row", has_text="After Restart")
    expect(row.locator(".times").first).to_have_text("×3")
    expect(row).to_have_count(1)
    assert page.locator("#banner-count").inner_text() == before
    page.reload()
    expect(page.locator(".alert-row", has_text="After Restart").locator(".times").first).to_have_text("×3")
    passed("repeats are one row with a counter, also after a reload")


def silent_relay_is_shouted(page, relay):
    """A relay that hangs: the connection stands, nothing comes, no error is reported."""
    relay.process.send_signal(signal.SIGSTOP)
    try:
        expect(page.locator("#stale")).to_be_visible()
    finally:
        relay.process.send_signal(signal.SIGCONT)
    expect(page.locator("#stale")).to_be_hidden()
    passed("a relay that hangs: the page says so, and recovers with it")


def many_alerts_scroll(page, relay):
    """5,000 alerts: few rows in the page, and scrolling draws within a frame or two."""
    post_all(relay, [low(1, name=f"Person {n}", drone=f"many-{n:05d}", location=spread(n)) for n in range(5_000)])
    eventually("all are known", lambda: page.evaluate("columba.model.alerts.size") >= 5_000)
    rows = page.evaluate("document.querySelectorAll('.alert-row').length")
    assert rows < 80, f"{rows} rows are elements"
    milliseconds = page.evaluate("""async () => {
      const list = document.querySelector("#alert-rows");
      const times = [];
      for (let step = 0; step < 40; step += 1) {
        list.scrollTop += 2000;
        const began = performance.now();
        columba.alerts.rows.draw();
        times.push(performance.now() - began);
        await new Promise(requestAnimationFrame);
      }
      list.scrollTop = 0;
      return times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
    }""")
    assert milliseconds < 100, milliseconds
    passed("5,000 alerts scroll", rows=rows, draw_ms=round(milliseconds, 2))


def spread(n):
    """So many drones on a spiral of some 20 km around the station."""
    angle, radius = n * 2.399963, 0.18 * math.sqrt(n / 10_000)
    return (48.8566 + radius * math.sin(angle), 2.3522 + 1.5 * radius * math.cos(angle))


def post_all(relay, reports):
    lines = [json.dumps(body) for body in reports]
    for first in range(0, len(lines), 1_000):
        status, _ = relay.post("/v1/reports", "\n".join(lines[first:first + 1_000]), "application/x-ndjson")
        assert status == 202, status


def many_drones_pan(page, relay):
    """10,000 drones: frames while the map moves and all is drawn at each step, near (each drone drawn) and far (bins)."""
    post_all(relay, [report(drone=f"more-{n:05d}", location=spread(n), readings={"heading_deg": n % 360})
                     for n in range(10_000)])
    eventually("all drones are known", lambda: page.evaluate("columba.model.drones.size") >= 10_000)
    figures = {}
    for name, zoom in (("near", 13), ("far", 10)):
        figures[name] = page.evaluate("""async (zoom) => {
          const map = columba.map.map;
          map.setView([48.8566, 2.3522], zoom, { animate: false });
          await new Promise(requestAnimationFrame);
          const began = performance.now();
          for (let step = 0; step < 40; step += 1) {
            map.panBy(step < 20 ? [12, 4] : [-12, -4], { animate: false, noMoveStart: true });
            await new Promise(requestAnimationFrame);
          }
          const drawn = columba.map.visible.length;
          return { fps: Math.round(40_000 / (performance.now() - began)), drawn, draw_ms: columba.map.drones.milliseconds };
        }""", zoom)
        figures[name]["draw_ms"] = round(figures[name]["draw_ms"], 1)
        assert figures[name]["fps"] >= 3, figures
    passed("10,000 drones: the map can be moved", **figures)


def first_paint(context, relay):
    page = open_console(context, relay)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 1_000 * PATIENCE, paint
    page.close()
    passed("the page is painted soon", first_paint_ms=round(paint))


def main():
    with Station(programs()) as station, browser() as (context, record):
        relay = station.relay
        page = open_console(context, relay)
        alert_is_shown_at_once(page, relay)
        emergency_survives_reload(page, relay)
        acknowledge_by_keyboard(page, relay)
        shelve_and_close(page, relay)
        detail_has_report_and_timeline(page, relay)
        hostile_names_stay_text(page, relay)
        unlocated_drone_is_flagged(page, relay)
        other_sites_cannot_write(relay)
        lost_relay_is_shouted(page, relay)
        repeats_are_one_row(page, relay)
        silent_relay_is_shouted(page, relay)
        first_paint(context, relay)
        many_alerts_scroll(page, relay)
        many_drones_pan(page, relay)
        record.collect(page)
        passed("no request left the machine, no policy was breached", requests=record.verdict())


if __name__ == "__main__":
    sys.exit(main())
