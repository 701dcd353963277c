"""The analyst's explorer in a real Chromium against a real central. Prints a line for each promise it saw kept.

    explorer.py --programs FOLDER
"""

import csv
import datetime
import io
import json
import random
import re
import sys

from browser import Station, browser, eventually, expect, passed, programs, report

HOSTILE_WORD = '<img src=x onerror="alert(1)">'
HOSTILE_NAME = "<script>alert(2)</script>"
FORMULA = '=HYPERLINK("x")'
COUNT = 3_000
STATISTICS = 12
WORDS = ["market", "rain", "train", "music", "bridge", "marble"]


def reports():
    """Three hours of twelve drones: most come late, for they are sent now."""
    chance = random.Random(7)
    now = datetime.datetime.now(datetime.timezone.utc)
    found = []
    for index in range(COUNT):
        at = now - datetime.timedelta(seconds=3 * 3600 * (1 - index / COUNT))
        words = chance.sample(WORDS, 3) + ([HOSTILE_WORD, FORMULA] if index % 50 == 0 else [])
        people = [{"name": f"Person {chance.randint(1, 60)}", "peacescore": round(chance.uniform(10, 100), 1),
                   "confidence": 0.9} for _ in range(3)]
        if index % 100 == 0:
            people[0]["name"] = HOSTILE_NAME
        found.append(report(
            f"pw-{index % 12:06d}", index // 12 + 1, "b1",
            (48.80 + chance.random() / 10, 2.25 + chance.random() / 5), at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            citizens=people, words=words,
            readings={"battery_pct": 20 + index % 80, "ground_speed_mps": 4.5, "gps_satellites": 11}))
    return found


def fill(station):
    sent = reports()
    for start in range(0, COUNT, 1000):
        body = "\n".join(json.dumps(one) for one in sent[start:start + 1000])
        status, answer = station.relay.post("/v1/reports", body, "application/x-ndjson")
        assert status == 202, answer
    # The same once more: a duplicate that is counted apart.
    station.relay.post("/v1/reports", "\n".join(json.dumps(one) for one in sent[:20]), "application/x-ndjson")
    eventually("all is archived", lambda: station.central.get("/v1/status")["archive"]["reports"] == COUNT, 30)
    return sent


def open_explorer(context, central, address=""):
    page = context.new_page()
    page.goto(central.url + "/" + address)
    page.wait_for_function("() => document.documentElement.dataset.histogramMilliseconds")
    return page


def counted(page, count):
    expect(page.locator("#readout")).to_contain_text(f"{count:,} reports")


def tab(page, name):
    page.locator(f"#tab-{name}").click()
    expect(page.locator(f"#panel-{name}")).to_be_visible()


def first_look(page, sent):
    counted(page, COUNT)
    assert page.locator("svg.histogram path.bar").count() >= 2
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    expect(page.locator("#box")).to_contain_text("3,000")
    expect(page.locator("#box")).to_contain_text("20")
    expect(page.locator('[data-field="words"]')).to_contain_text("full")
    expect(page.locator('[data-field="extra"]')).to_contain_text("100 % empty")
    expect(page.locator("#panel-map .readout")).to_contain_text("3,000 reports")
    histogram = page.evaluate("() => document.documentElement.dataset.histogramMilliseconds")
    passed("a first look shows histogram, fields, map and the archive's state", first_paint_ms=round(painted),
           histogram_ms=int(histogram))


def filter_to_csv(page, sent):
    """Filter → histogram → table → SQL → CSV, each about the same reports."""
    wanted = sum(1 for one in sent if "market" in one["words"] and "rain" in one["words"])
    page.fill("#filter-words", "market rain")
    page.keyboard.press("Enter")
    counted(page, wanted)
    assert "words=market+rain" in page.url and "?" not in page.url, page.url
    tab(page, "table")
    rows = page.locator("#panel-table tbody tr")
    expect(rows).to_have_count(100)
    expect(rows.first).to_contain_text("market")
    page.locator("#panel-table button", has_text="Next").click()
    expect(page.locator("#panel-table [role=status]").first).to_contain_text("101 to 200")
    page.locator("#panel-table button", has_text="Show SQL").click()
    expect(page.locator("#twin-text")).to_contain_text("list_contains(words, 'market')")
    for kind, text in (("curl", "--data-urlencode 'words=market rain'"), ("pandas", "pd.read_csv"), ("spark", "array_contains(words, 'rain')")):
        page.locator(f'[data-kind="{kind}"]').click()
        expect(page.locator("#twin-text")).to_contain_text(text)
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.locator(".over-time button", has_text="CSV").click()
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert sum(int(line["reports"]) for line in lines) == wanted, lines[:3]
    page.go_back()
    page.go_back()
    counted(page, COUNT)
    page.go_forward()
    counted(page, wanted)
    page.reload()
    counted(page, wanted)
    page.locator("#clear").click()
    counted(page, COUNT)
    passed("filter, histogram, table, SQL and CSV are about the same reports; back and forward work", rows=wanted)


def zoom(page, sent):
    box = page.locator("svg.histogram").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50, steps=5)
    expect(page.locator("#readout")).to_contain_text("late")
    page.mouse.up()
    page.wait_for_function("() => location.hash.includes('from=') && location.hash.includes('to=')")
    found = dict(part.split("=") for part in page.evaluate("decodeURIComponent(location.hash.slice(1))").split("&"))
    # Without the Z, texts of any precision compare as times.
    begin, end = found["from"][:-1], found["to"][:-1]
    wanted = sum(1 for one in sent if begin <= one["observed_at"][:-1] < end)
    assert 0 < wanted < COUNT
    counted(page, wanted)
    # And the same by keyboard: two intervals, into them, and out again.
    page.locator("svg.histogram").focus()
    before = page.url
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("(before) => location.href !== before", arg=before)
    page.keyboard.press("-")
    page.locator("#clear").click()
    counted(page, COUNT)
    passed("dragging and the keyboard zoom into a time")


def gaps_are_hatched(page):
    """The page is told of a hole and of a relay that has said nothing for ten minutes; the histogram shows both."""
    def tell(route):
        answer = route.fetch()
        body = answer.json()
        now = datetime.datetime.fromisoformat(body["now"].replace("Z", "+00:00"))
        past = lambda minutes: (now - datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        relay = body["relays"][0]
        relay["gaps"] = [{"epoch": "0" * 32, "first": 5, "last": 9, "state": "missing", "received_after": past(90),
                          "received_before": past(60)}]
        relay.update(gap_count=1, complete_through=past(90), last_report=past(10), last_contact=past(10))
        route.fulfill(response=answer, json=body)

    page.route("**/v1/completeness", tell)
    page.locator("#refresh").click()
    expect(page.locator("rect.gap.strong title", has_text="5 records missing")).to_have_count(1)
    expect(page.locator("rect.gap.strong title", has_text="known through")).to_have_count(1)
    # The histogram is drawn anew when its answer comes.
    box = eventually("the hole has a width", lambda: page.locator("rect.gap.strong").first.bounding_box())
    whole = page.locator("svg.histogram").bounding_box()
    # Half an hour of about three.
    assert 0.1 < box["width"] / (whole["width"] - 126) < 0.25, (box, whole)
    page.unroute("**/v1/completeness")
    passed("what is not complete is hatched")


def fields(page, sent):
    words = page.locator('[data-field="words"] .field-head')
    words.click()
    values = page.locator('[data-field="words"] .value')
    expect(values.first).to_be_visible()
    expect(page.locator('[data-field="words"]')).to_contain_text(HOSTILE_WORD)
    page.locator('[data-field="words"] .value', has_text="marble").click()
    counted(page, sum(1 for one in sent if "marble" in one["words"]))
    page.locator("#clear").click()
    page.locator('[data-field="citizens"] .field-head').click()
    expect(page.locator('[data-field="citizens"] .value').first).to_contain_text("10 – 20")
    page.locator('[data-field="rule"] .field-head').click()
    page.locator('[data-field="rule"] .value', has_text="low-peacescore").click()
    low = sum(1 for one in sent if any(person["peacescore"] < 20 for person in one["citizens"]))
    counted(page, low)
    page.locator("#clear").click()
    counted(page, COUNT)
    passed("a field's values are counted, and filter")


def hostile(page, sent):
    """Words that would be markup are text, everywhere; the names are nowhere."""
    tab(page, "table")
    page.fill("#filter-words", FORMULA.split("(")[0] + "*")
    page.keyboard.press("Enter")
    counted(page, COUNT // 50)
    expect(page.locator("#panel-table tbody")).to_contain_text(HOSTILE_WORD)
    page.locator("#panel-table tbody tr").first.click()
    expect(page.locator("#report")).to_contain_text(HOSTILE_WORD)
    assert page.locator("img[src=x]").count() == 0
    page.keyboard.press("Escape")
    everything = page.content()
    assert "alert(2)" not in everything and "Person 1" not in everything, "names are kept apart"
    assert not re.search(r"person_id=|[0-9a-f]{32}", page.url)
    page.locator("#clear").click()
    passed("hostile words stay text, and no name is on the page")


def type_statement(page, text):
    page.locator(".CodeMirror").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def sql(page, sent):
    tab(page, "sql")
    expect(page.locator(".CodeMirror")).to_be_visible()
    expect(page.locator(".schema")).to_contain_text("observed_at")
    type_statement(page, "SELECT drone_id,\n  nope FROM reports")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".fault-mark")).to_have_text("nope")
    expect(page.locator(".editor-fault")).to_contain_text("line 2, column 3")
    type_statement(page, "SELECT bucket('10 minutes', observed_at) AS t, count(*) AS n FROM reports GROUP BY 1 ORDER BY 1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#panel-sql .figure svg.plot path.line")).to_be_attached()
    expect(page.locator("#panel-sql .fault-mark")).to_have_count(0)
    total = sum(int(cell) for cell in page.locator("#panel-sql tbody td.number").all_inner_texts())
    assert total == COUNT, total
    type_statement(page, "SELECT range AS n FROM range(400)")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#panel-sql .pager")).to_contain_text("1–50 of 400")
    page.locator("#panel-sql .pager button", has_text="Next").click()
    expect(page.locator("#panel-sql tbody tr").first).to_contain_text("50")
    with page.expect_download() as download:
        page.locator("#panel-sql button", has_text="Parquet").click()
    with open(download.value.path(), "rb") as file:
        assert file.read(4) == b"PAR1"
    passed("SQL: an error at its place, rows in pages, a plot, a file")


def cancel(page, station):
    tab(page, "sql")
    type_statement(page, "SELECT count(*) FROM range(100000000000) a, range(1000) b")
    page.keyboard.press("Control+Enter")
    eventually("it runs", lambda: station.central.get("/v1/status")["queries"]["running"] >= 1)
    page.locator("#panel-sql button", has_text="Cancel").click()
    expect(page.locator("#panel-sql [role=status]").first).to_contain_text("Cancelled")
    eventually("its process has ended", lambda: station.central.get("/v1/status")["queries"]["running"] == 0)
    passed("a cancelled statement ends at central")


def statistics(page, sent):
    tab(page, "stats")
    names = eventually("the list", lambda: page.locator("[data-statistic]").evaluate_all(
        "(buttons) => buttons.filter((b) => b.tagName === 'BUTTON').map((b) => b.dataset.statistic)"))
    assert len(names) == STATISTICS, names
    for name in names:
        page.locator(f'button[data-statistic="{name}"]').click()
        drawn = page.locator(f'figure[data-statistic="{name}"] svg.plot')
        expect(drawn, name).to_be_attached()
        shapes = page.locator(f'figure[data-statistic="{name}"] svg.plot :is(rect.bar-shape, path.line, .ramp, path.mark-shape)')
        assert shapes.count() > 0, f"{name} has axes and nothing between them"
    for kind, head in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as download:
            page.locator("#panel-stats .twin button", has_text=kind).click()
        with open(download.value.path(), "rb") as file:
            picture = file.read()
        assert picture.startswith(head) and b"var(--" not in picture, picture[:200]
    page.locator('button[data-statistic="top-words"]').click()
    page.locator('.parameters input[name="top"]').fill("3")
    page.keyboard.press("Enter")
    expect(page.locator("#panel-stats tbody tr")).to_have_count(3)
    passed("every prepared statistic draws a plot, also as a picture", statistics=len(names))


def map_and_points(page, sent):
    tab(page, "map")
    readout = page.locator("#panel-map .readout")
    expect(readout).to_contain_text("3,000 reports in")
    page.select_option("#panel-map select", "peacescore")
    expect(readout).to_contain_text("sightings in")
    expect(page.locator(".map-key")).to_contain_text("mean peacescore")
    page.select_option("#panel-map select", "")
    expect(readout).to_contain_text("reports in")
    for _ in range(6):
        page.locator(".leaflet-control-zoom-in").click()
        page.wait_for_timeout(250)
    expect(readout).to_contain_text("each where it was observed")
    page.locator("#panel-map button", has_text="Filter to this view").click()
    expect(page.locator("#chips")).to_contain_text("box")
    page.locator("#clear").click()
    passed("the map has cells counted by central, and reports when it is near")


def charts(page, sent):
    tab(page, "charts")
    expect(page.locator("#panel-charts svg.plot path.line").first).to_be_attached()
    page.select_option('#panel-charts select[aria-label="Over"]', "word")
    expect(page.locator("#panel-charts svg.plot rect.bar-shape").first).to_be_attached()
    expect(page.locator("#panel-charts svg.plot")).to_contain_text(HOSTILE_WORD)
    page.select_option('#panel-charts select[aria-label="Measure"]', "reading_mean")
    expect(page.locator("#panel-charts tbody tr").first).to_be_visible()
    passed("charts over time and words")


def other_tabs(page, station):
    tab(page, "live")
    expect(page.locator("#panel-live .chip").first).to_have_text("live")
    expect(page.locator("#panel-live .tiles")).to_contain_text("reports, last minute")
    expect(page.locator("#panel-live")).to_contain_text("low-peacescore")
    tab(page, "export")
    expect(page.locator("#panel-export [role=status]")).to_contain_text("3,000 reports")
    expect(page.locator("#panel-export tbody tr").first).to_contain_text("KiB")
    link = page.locator("#panel-export a").nth(1).get_attribute("href")
    with page.expect_download() as download:
        page.locator("#panel-export a").nth(1).click()
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == COUNT, link
    tab(page, "archive")
    expect(page.locator("#relays tbody tr")).to_have_count(1)
    expect(page.locator("#relays tbody tr")).to_contain_text("north-3")
    passed("live figures, export with its size, the archive's state")


def keyboard_and_names(page):
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 5, "y": 5})
    for number, name in ((4, "sql"), (2, "table"), (1, "map")):
        page.locator("#tab-map").focus()
        page.keyboard.press(str(number))
        expect(page.locator(f"#tab-{name}")).to_have_attribute("aria-selected", "true")
    page.locator("#tab-map").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-table")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#filter-words")).to_be_focused()
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, a, input, select")].filter((control) =>
      control.checkVisibility() && !(control.textContent.trim() || control.title || control.ariaLabel || control.labels?.length))
      .map((control) => control.outerHTML.slice(0, 120))""")
    assert not nameless, nameless
    passed("everything is reached by keyboard and has a name")


def tablet(context, central):
    page = context.new_page()
    page.set_viewport_size({"width": 820, "height": 1180})
    page.goto(central.url + "/")
    counted(page, COUNT)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{wide} pixels beyond the screen"
    page.close()
    passed("a tablet held upright shows everything without scrolling sideways")


def other_site(station):
    status, answer = station.central.post("/v1/sql", {"sql": "select 1"}, headers={"Origin": "https://elsewhere.example"})
    assert status == 403 and answer["code"] == "cross_site_request", answer
    passed("a statement from another site's page is refused")


def main():
    with Station(programs(), central=True) as station:
        sent = fill(station)
        with browser() as (context, record):
            page = open_explorer(context, station.central)
            for check in (first_look, filter_to_csv, zoom, fields, hostile, map_and_points, charts, statistics, sql):
                check(page, sent)
            cancel(page, station)
            other_tabs(page, station)
            keyboard_and_names(page)
            tablet(context, station.central)
            other_site(station)
            gaps_are_hatched(page)
            record.collect(page)
            requests = record.verdict()
        passed("no request left the machine, no policy was breached", requests=requests)


if __name__ == "__main__":
    sys.exit(main())
