"""Which assets are to be had: the network is not asked, and what the user rules out is missing."""

import pytest

from cmr.assets import Stock

SPECS = {
    "by_hand": {"description": "a", "licence": "b", "by_hand": "ask", "mirror": [{"file": "by_hand.zip"}]},
    "folder": {"description": "a", "licence": "b", "by_hand": "ask", "mirror": [{"folder": "set"}]},
    "web": {
        "description": "a",
        "licence": "b",
        "by_hand": "ask",
        "url": {"address": "https://example.org/web.zip", "sha256": "0" * 64},
    },
    "wheel": {
        "description": "a",
        "licence": "b",
        "by_hand": "ask",
        "wheel": {"distribution": "pytest", "file": "pytest/__init__.py"},
        "url": {"address": "https://example.org/wheel.zip", "sha256": "0" * 64},
    },
}


@pytest.fixture
def stock(tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "set/texts").mkdir(parents=True)
    (mirror / "set/texts/one.txt").write_text("one")

    def made(**settings):
        return Stock(SPECS, [mirror], tmp_path / "raw", **settings)

    return made


def test_what_no_mirror_has_and_nobody_gives_out_is_missing(stock):
    assert stock().lacks("by_hand")
    assert not stock().lacks("folder")


def test_a_file_put_into_a_mirror_is_there(stock, tmp_path):
    (tmp_path / "mirror/by_hand.zip").touch()
    assert not stock().lacks("by_hand")


def test_without_downloads_what_the_web_alone_has_is_missing(stock, tmp_path):
    assert not stock().lacks("web")
    offline = stock(downloads=False)
    assert offline.lacks("web")
    assert not offline.lacks("wheel")  # it is installed
    (tmp_path / "mirror/web.zip").touch()
    assert not stock(downloads=False).lacks("web")


def test_what_the_user_rules_out_is_missing(stock):
    assert stock(without=frozenset({"folder"})).lacks("folder")


def test_a_copy_in_part_lacks_a_place_unless_one_of_several_is_there(stock):
    assert not stock().copy_lacks("folder/texts/one.txt")
    assert stock().copy_lacks("folder/images")
    assert not stock().copy_lacks(["folder/dataset", "folder/texts"])
    assert stock().copy_lacks(["folder/dataset", "folder/images"])


def test_of_an_archive_that_is_not_unpacked_nothing_is_known_to_be_lacking(stock, tmp_path):
    (tmp_path / "mirror/by_hand.zip").touch()
    assert not stock().copy_lacks("by_hand/images")
