"""The site in a browser: it opens from the disk, sorts, filters, fits a phone, and can be read in the dark."""

import io
import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest

from tests.simulated_results import simulated
from tests.simulated_site import SCRIPTS, build, parsed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
    ),
]

FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1280,900
"""
ROWS = "#row-table tbody tr"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "site"
    runs = [run for run in simulated(SCRIPTS) if not run.experiment.startswith("B-")]
    build(folder, runs=runs, drawn=["D-net"])
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def front(browser, folder):
    requested(browser)
    browser.get((folder / "index.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []
    asked = requested(browser)
    assert len(asked) == 3 and all(url.startswith("file:") for url in asked)


def requested(browser):
    """What the browser has asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    urls = {params["request"]["url"] for params in sent}
    return {url for url in urls if not url.startswith(("data:", "chrome:"))}


def column(browser, index):
    script = (
        f"return [...document.querySelectorAll('{ROWS}')].filter(r => !r.hidden).map(r => r.cells[{index}].innerText)"
    )
    return browser.execute_script(script)


def heading(browser, text):
    return browser.find_element("xpath", f"//table[@id='row-table']//th/button[starts-with(., '{text}')]")


def numbers(entries):
    return [
        float(re.sub(r"[^\d.-]", "", entry.split("±")[0].split("(")[0])) for entry in entries if entry[-1:].isdigit()
    ]


def test_rows_are_sorted_by_number_both_ways_and_what_has_none_stands_last(front):
    in_order = column(front, 0)
    heading(front, "reported").click()
    reported = column(front, 3)
    percent = [value for value in numbers(reported) if value <= 100]
    assert len(percent) > 20 and percent == sorted(percent)
    without = [entry == "n/r" for entry in reported]
    assert without == sorted(without) and any(without)
    heading(front, "reported").click()
    descending = column(front, 3)
    assert numbers(descending) == numbers(reported)[::-1] and descending[-1] == "n/r"
    assert heading(front, "reported").find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    assert front.execute_script("return document.querySelectorAll('#row-table [aria-sort]').length") == 1
    heading(front, "row").click()
    assert column(front, 0) == in_order
    heading(front, "verdict").click()
    verdicts = column(front, 5)
    assert verdicts == sorted(verdicts, key=[verdicts[0], *dict.fromkeys(verdicts)].index)


def test_sorting_works_by_keyboard_alone(front):
    from selenium.webdriver.common.keys import Keys

    front.execute_script("arguments[0].focus()", heading(front, "reported"))
    front.switch_to.active_element.send_keys(Keys.ENTER)
    first = column(front, 3)
    front.switch_to.active_element.send_keys(Keys.SPACE)
    assert numbers(column(front, 3)) == numbers(first)[::-1]


def test_rows_are_filtered_by_text_report_and_verdict_together(front):
    everything = column(front, 0)
    said = front.find_element("css selector", "form[data-table=row-table] output")
    assert said.text == f"{len(everything)} of {len(everything)} shown"
    search = front.find_element("css selector", "form[data-table=row-table] [name=text]")
    search.send_keys("DROPOUT e-t")
    ids = column(front, 0)
    assert {"E-T4", "E-T5", "E-T6"} <= set(ids) and all(name.startswith("E-T") for name in ids)
    search.clear()
    front.find_element("css selector", "form[data-table=row-table] [name=report]").send_keys("B")
    front.find_element("css selector", "form[data-table=row-table] [name=verdict]").send_keys("not run yet")
    assert {name[0] for name in column(front, 0)} == {"B"}
    assert {entry.split(" ", 1)[1] for entry in column(front, 5)} == {"not run yet"}
    assert said.text == f"{len(column(front, 0))} of {len(everything)} shown"
    front.find_element("css selector", "form[data-table=row-table] button").click()
    front.execute_async_script("setTimeout(arguments[0], 50)")
    assert column(front, 0) == everything


def test_claims_are_filtered_by_themselves(front):
    form = front.find_element("css selector", "form[data-table=claim-table]")
    form.find_element("css selector", "[name=text]").send_keys("no such claim")
    assert form.find_element("css selector", "output").text.startswith("0 of ")
    assert column(front, 0)


def test_without_scripts_the_page_is_a_plain_table(browser, folder):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((folder / "index.html").as_uri())
        shown = browser.find_elements("css selector", ROWS)
        assert len(shown) == len([row for row in parsed(folder)["index.html"].rows if len(row) == 6]) - 1
        assert not any(form.is_displayed() for form in browser.find_elements("css selector", "form"))
        assert browser.find_elements("css selector", "th button") == []
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


PAGES = ["index.html", "experiments/ablation_dropout.html", "experiments/ablation_skip_connections.html", "models.html"]
PAGES += ["models/densenet121_imagenet.html", "tuning.html"]


def on_a_phone(browser, width=390):
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.mark.parametrize("width", [320, 390])
def test_every_verdict_is_seen_on_a_phone_without_swiping(browser, folder, width):
    on_a_phone(browser, width)
    try:
        for page in ("index.html", "experiments/ablation_dropout.html", "experiments/ablation_skip_connections.html"):
            browser.get((folder / page).as_uri())
            outside = browser.execute_script(
                "return [...document.querySelectorAll('.verdict')].filter(part => {"
                " const at = part.getBoundingClientRect(), box = part.closest('.box')?.getBoundingClientRect();"
                " return !at.width || at.left < 0 || at.right > innerWidth || (box && at.right > box.right + 1);"
                "}).map(part => part.innerText)"
            )
            assert outside == [], page
            assert browser.find_elements("css selector", ".stacked .verdict")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_rows_are_sorted_and_filtered_on_a_phone_too(front):
    on_a_phone(front)
    try:
        heading(front, "reported").click()
        reported = numbers(column(front, 3))
        percent = [value for value in reported if value <= 100]
        assert len(percent) > 20 and percent == sorted(percent)
        front.find_element("css selector", "form[data-table=row-table] [name=text]").send_keys("DROPOUT e-t")
        shown = [row for row in front.find_elements("css selector", ROWS) if row.is_displayed()]
        assert shown and all(row.text.startswith("E-T") for row in shown)
        label = "return getComputedStyle(arguments[0].cells[3], '::before').content"
        assert front.execute_script(label, shown[0]).startswith('"reported')
    finally:
        front.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("phone", [False, True])
def test_blocks_are_still_tables_to_those_who_hear_them(browser, folder, phone):
    if phone:
        on_a_phone(browser)
    try:
        browser.get((folder / "index.html").as_uri())
        found = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = [node["role"]["value"] for node in found if not node["ignored"]]
        rows = len(browser.find_elements("css selector", ROWS))
        assert roles.count("table") == 4
        assert roles.count("row") > rows and roles.count("columnheader") >= 6 + 4 + 3
        assert roles.count("cell") >= 6 * rows
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_scrolls_sideways_on_a_phone(browser, folder, width):
    on_a_phone(browser, width)
    try:
        for page in PAGES:
            browser.get((folder / page).as_uri())
            browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, (page, wide)
            assert browser.get_log("browser") == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def luminance(colour):
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser, folder, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        browser.get((folder / "index.html").as_uri())
        page = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (luminance(page) > 0.5) == (scheme == "light")
        found = browser.execute_script(
            "return [...document.querySelectorAll('p, td, th, a, .verdict, .under, output')]"
            ".map(part => getComputedStyle(part).color)"
        )
        assert len(set(found)) >= 5
        for colour in set(found):
            low, high = sorted((luminance(colour), luminance(page)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, colour
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def shades(browser, scheme):
    """How many pixels of the page's first figure are seen in which colour, and the page's own."""
    from PIL import Image

    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        picture = browser.find_element("css selector", ".plot img").screenshot_as_png
        pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3)
        page = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return Counter(map(tuple, pixels.tolist())), tuple(int(part) for part in re.findall(r"\d+", page))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_figure_in_the_dark_is_as_dark_as_its_page_and_its_lines_stand_out(browser, folder):
    browser.get((folder / "experiments" / "ablation_skip_connections.html").as_uri())
    light, _ = shades(browser, "light")
    dark, page = shades(browser, "dark")
    assert light.most_common(1)[0][0] == (255, 255, 255)
    ground = dark.most_common(1)[0][0]
    assert max(abs(one - other) for one, other in zip(ground, page, strict=True)) <= 2
    drawn, seen = (
        next(colour for colour, _ in found.most_common() if max(colour) - min(colour) > 100) for found in (light, dark)
    )
    assert drawn.index(max(drawn)) == seen.index(max(seen))  # blue stays blue
    low, high = luminance(str(page)), luminance(str(seen))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_figures_are_shown(browser, folder):
    browser.get((folder / "experiments" / "ablation_skip_connections.html").as_uri())
    size = "return [...document.images].filter(i => i.src.endsWith('D-net.svg')).map(i => [i.complete, i.naturalWidth])"
    ((complete, width),) = browser.execute_script(size)
    assert complete and width > 300
    assert browser.get_log("browser") == []
