"""Pictures of the explorer, one for each tab: called by screenshots.py."""

STATEMENT = """-- How the mean battery charge went, relay by relay
SELECT bucket('5 minutes', observed_at) AS time, relay_id,
    avg(readings['battery_pct']) AS battery, count(*) AS reports
FROM reports
WHERE in_circle(lat, lon, 48.8566, 2.3522, 8000)
GROUP BY ALL
ORDER BY time"""


def shots(page):
    """(name, what to do before the picture is taken)"""
    def tab(name):
        return lambda: page.locator(f"#tab-{name}").click()

    def fields():
        page.locator("#tab-map").click()
        page.locator('[data-field="words"] .field-head').click()
        page.locator('[data-field="drone_id"] .field-head').click()

    def sql():
        page.locator("#tab-sql").click()
        page.locator(".CodeMirror").click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(STATEMENT)
        page.keyboard.press("Control+Enter")

    def fault():
        page.locator(".CodeMirror").click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(STATEMENT.replace("avg(readings", "avg(readigns"))
        page.keyboard.press("Control+Enter")

    def statistics(name):
        def show():
            page.locator("#tab-stats").click()
            page.locator(f'button[data-statistic="{name}"]').click()
        return show

    def copy():
        page.locator(".over-time button", has_text="Copy as").click()

    return [("", fields), ("-table", tab("table")), ("-charts", tab("charts")), ("-sql", sql), ("-sql-error", fault),
            ("-statistics", statistics("top-words")), ("-statistics-map", statistics("busiest-cells")), ("-live", tab("live")),
            ("-export", tab("export")), ("-archive", tab("archive")), ("-copy", copy)]


def explorer(context, central, folder, scheme, shoot):
    page = context.new_page()
    page.goto(central.url + "/")
    page.wait_for_function("() => document.documentElement.dataset.histogramMilliseconds")
    for name, act in shots(page):
        act()
        page.wait_for_timeout(2_500)
        shoot(page, folder, f"explorer{name}-{scheme}")
    page.close()
