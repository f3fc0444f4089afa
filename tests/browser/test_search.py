"""The served page of search in a browser: asked by a text and by a picture, and by what does harm elsewhere."""

import threading

import pytest
from playwright.sync_api import expect
from waitress.server import create_server

from cmr.catalogue import Catalogue
from cmr.search.runs import Wanted
from cmr.search.serve import Searchers, create_app
from tests.browser.browsing import DESK, PHONE, needs_chromium, visiting
from tests.unit.search.conftest import HOSTILE, caption, draw, name, trained  # noqa: F401 (a fixture)
from tests.unit.search.test_serve import free_port

pytestmark = needs_chromium
METHOD = "kcca_gaussian"


@pytest.fixture(scope="module")
def address(trained):  # noqa: F811
    port = free_port()
    app = create_app(Searchers(Catalogue.read(trained), trained, Wanted("made", METHOD)), METHOD, port)
    server = create_server(app, host="127.0.0.1", port=port)
    threading.Thread(target=server.run, daemon=True).start()
    yield f"http://127.0.0.1:{port}/"
    server.close()


def foreign(visit, address):
    """What went wrong in a page, its requests to its own server aside."""
    return [trouble for trouble in visit.troubles if not trouble.startswith(f"asked for {address}")]


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_typed_text_finds_pictures_that_are_shown(address, width):
    with visiting(address, width) as visit:
        visit.page.get_by_label("A text, for pictures").fill(caption(3))
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector(".found li")
        pictures = visit.page.locator(".found img")
        pictures.first.scroll_into_view_if_needed()
        assert pictures.first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        assert name(3) in pictures.first.get_attribute("alt")
        assert visit.overflow() <= 0
        assert foreign(visit, address) == []


def test_a_chosen_picture_finds_texts(address, tmp_path):
    draw(5).save(tmp_path / "query.png")
    with visiting(address) as visit:
        visit.page.get_by_label("A picture, for texts").set_input_files(tmp_path / "query.png")
        visit.page.get_by_role("button", name="Find texts").click()
        visit.page.wait_for_selector(".found li")
        assert visit.page.locator(".found .text").count() > 0
        assert foreign(visit, address) == []


def test_markup_that_is_asked_for_is_shown_and_never_run(address):
    attack = f"{caption(3)} <img src=x onerror=document.title=1> {HOSTILE}"
    with visiting(address) as visit:
        visit.page.get_by_label("A text, for pictures").fill(attack)
        visit.page.keyboard.press("Enter")
        expect(visit.page.locator("h1")).to_contain_text("<img src=x")
        assert visit.page.title() != "1"
        assert foreign(visit, address) == []
