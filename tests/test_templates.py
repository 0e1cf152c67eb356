"""Templates: where they are found, how one is replaced, what they may see; and what the web pages hold."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import PROJECT
from fictional import coverage, digest, paper
from markupsafe import Markup
from selectolax.lexbor import LexborHTMLParser

from notifier import present
from notifier.compose import compose
from notifier.compose.fragments import Fragments
from notifier.errors import TemplateError
from notifier.model import Outcome
from notifier.rehearse import rehearse
from notifier.templates import Templates, folder, plain, wrap
from notifier.web import shown

HOSTILE = "</title></a><script>alert(1)</script>"
HOME = present.home(
    [coverage("Daily papers"), coverage("cs.CL", Outcome.FAILED, reason=HOSTILE, stated=None, read=0)],
    [paper(0), paper(1, title=HOSTILE)],
    waiting=["Daily papers", "cs.CL", "stat.ML"],
    feed_url="/feeds/papers.rss",
)
HOME |= {"form": shown.wish_form({}), "asked": False, "preview": None, "excuse": "", "examples": []}
ONE_OF_THREE = {"number": 1, "pages": 3, "before": "", "after": "/digests/abc?page=2"}
PAGES: dict[str, Mapping[str, object]] = {
    "web/home.html": HOME,
    "web/digest.html": present.digest(digest(4, labels=(HOSTILE,))) | ONE_OF_THREE,
    "web/unsubscribe.html": {
        "done": False,
        "unsubscribe_url": "/unsubscribe/abc",
        "undo_url": "/resubscribe/abc",
        "weekly_url": "",
    },
    "web/message.html": {"title": "Not Found", "text": HOSTILE},
}


def override(root: Path, name: str, text: str | bytes) -> Path:
    """Write a template of the operator."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- finding them -----------------------------------------------------------------------------------------------------


def test_a_source_checkout_finds_the_folder_beside_the_package() -> None:
    assert folder() == PROJECT / "templates"


def test_an_installed_package_finds_the_folder_inside_itself(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    shutil.copytree(PROJECT / "notifier", site / "notifier", ignore=shutil.ignore_patterns("__pycache__", "_shipped"))
    shutil.copytree(PROJECT / "templates", site / "notifier" / "_shipped" / "templates")
    (site / "templates" / "email").mkdir(parents=True)  # of somebody else
    show = "Templates().html('web/message.html', {'title': '', 'text': ''})"
    asked = f"from notifier.templates import *; print(folder()); {show}"
    ran = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == str(site / "notifier" / "_shipped" / "templates")


def test_the_wheel_carries_the_templates_where_they_are_looked_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    mapped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert mapped["templates"] == "notifier/_shipped/templates"


# --- replacing one ----------------------------------------------------------------------------------------------------


def test_a_file_of_the_operator_replaces_the_built_in_one_and_leaves_the_others(tmp_path: Path) -> None:
    override(tmp_path, "web/message.html", "<p>{{ title }}, dear reader: {{ text }}</p>")
    faults: list[TemplateError] = []
    templates = Templates(tmp_path, faults.append)
    assert templates.html("web/message.html", {"title": "<hi>", "text": "t"}) == "<p>&lt;hi&gt;, dear reader: t</p>"
    assert "<!DOCTYPE html>" in templates.html("web/home.html", HOME)
    assert faults == []
    assert templates.check() == []


def test_a_replaced_partial_is_used_by_the_built_in_page(tmp_path: Path) -> None:
    shipped = (PROJECT / "templates" / "email" / "paper.html").read_text()
    override(tmp_path, "email/paper.html", shipped.replace("matches", "found because of"))
    assert b"found because of" in compose(digest(1), Fragments(Templates(tmp_path))).replace(b"=\r\n", b"")


@pytest.mark.parametrize(
    ("broken", "reason", "line"),
    [
        (b"<p>\n{{ nothing.of.the.kind }}</p>", "nothing", 2),
        (b"<p>\n\n{% if %}</p>", "Expected", 3),
        (b"<p>{% include 'email/gone.html' %}</p>", "email/gone.html", None),
        (b"<p>\xff\xfe</p>", "UTF-8", None),
        (b"{{ digest.count.__class__.__mro__ }}", "__class__", 1),
        (b"\n{{ ''.__class__.__base__.__subclasses__() }}", "__class__", 2),
        (b"{{ digest.coverage.batches.append(1) }}", "SecurityError", 1),
        (b"{{ digest.heading | safe }}", "safe", 1),
        (b"{{ 1 // 0 }}", "ZeroDivisionError", 1),
    ],
)
def test_f120_f123_a_broken_replacement_is_reported_and_the_mail_goes_out_as_built_in(
    tmp_path: Path, broken: bytes, reason: str, line: int | None
) -> None:
    override(tmp_path, "email/digest.html", broken)
    faults: list[TemplateError] = []
    assert compose(digest(), Fragments(Templates(tmp_path, faults.append))) == compose(digest(), Fragments(Templates()))
    (fault,) = faults
    assert fault.template == "email/digest.html"
    assert reason in fault.reason
    assert line is None or fault.line == line


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.slow
def test_f122_a_template_that_computes_without_end_or_fills_the_memory_is_found_and_not_used(tmp_path: Path) -> None:
    override(tmp_path, "email/paper.txt", ENDLESS)
    override(tmp_path, "email/note.txt", "{% set x = ('x' * 1000000000) * 3 %}{{ x }}")
    override(tmp_path, "email/title.html", (folder() / "email/title.html").read_bytes())
    override(tmp_path, "web/lost.html", "{% if problem %}" + ENDLESS + "{% endif %}")
    faults = rehearse(tmp_path)
    found = {fault.template: fault.reason for fault in faults}
    assert sorted(found) == ["email/note.txt", "email/paper.txt", "web/lost.html"]
    assert "more than 2 seconds" in found["email/paper.txt"]
    used = Templates(tmp_path, refused=faults)
    assert compose(digest(), Fragments(used)) == compose(digest(), Fragments(Templates()))
    assert [fault.template for fault in used.check()] == sorted(found)


def test_f123_samples_show_what_fails_only_with_values_and_all_others_pass(tmp_path: Path) -> None:
    override(tmp_path, "email/digest.txt", (folder() / "email/digest.txt").read_text() + "{{ digest.heading.x.y }}")
    for path in (folder() / "email").glob("*.html"):
        override(tmp_path, f"email/{path.name}", path.read_bytes())
    [fault] = rehearse(tmp_path)
    assert fault.template == "email/digest.txt"
    assert "UndefinedError" in fault.reason


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("email/digest.html", "{% if %}", "Expected"),
        ("email/digest.html", "{{ digset.heading }}", "unknown variable: digset"),
        ("email/digset.html", "<p></p>", "replaces no built-in template"),
        ("email/digest.txt", b"\xff", "not UTF-8"),
    ],
)
def test_f123_check_finds_what_is_wrong_before_a_mail_does(
    tmp_path: Path, name: str, text: str | bytes, reason: str
) -> None:
    override(tmp_path, name, text)
    (fault,) = Templates(tmp_path).check()
    assert reason in fault.reason
    assert fault.template == name


def test_check_says_when_the_folder_is_not_there(tmp_path: Path) -> None:
    (fault,) = Templates(tmp_path / "gone").check()
    assert "does not exist" in fault.reason


def test_f123_a_built_in_template_without_its_values_is_an_error_that_names_them() -> None:
    with pytest.raises(TemplateError, match="'title' is undefined"):
        Templates().html("web/message.html", {})


def test_f124_html_is_escaped_because_it_was_asked_for_whatever_the_file_is_called(tmp_path: Path) -> None:
    override(tmp_path, "email/digest.txt", "{{ digest }}")
    templates = Templates(tmp_path)
    assert templates.html("email/digest.txt", {"digest": "<b>"}) == "&lt;b&gt;"
    assert templates.text("email/digest.txt", {"digest": "<b>"}) == "<b>"
    assert templates.html("email/digest.txt", {"digest": Markup("<b>")}) == "&lt;b&gt;"


def test_f125_a_template_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    path = override(tmp_path, "web/message.html", "mine")
    path.chmod(0o666)
    templates = Templates(tmp_path)
    assert "mine" not in templates.html("web/message.html", {"title": "t", "text": "t"})
    (fault,) = templates.check()
    assert "everybody may write" in fault.reason
    path.chmod(0o644)
    assert templates.html("web/message.html", {"title": "t", "text": "t"}) == "mine"
    path.parent.chmod(0o777)
    (fault,) = Templates(tmp_path).check()
    assert "everybody may write" in fault.reason


def test_f125_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    elsewhere = override(tmp_path / "elsewhere", "message.html", "mine")
    root = tmp_path / "templates"
    (root / "web").mkdir(parents=True)
    (root / "web" / "message.html").symlink_to(elsewhere)
    (fault,) = Templates(root).check()
    assert "a link that leaves" in fault.reason


# --- what a template may see ------------------------------------------------------------------------------------------


def test_f121_an_object_with_methods_never_reaches_a_template() -> None:
    class Row:
        def delete(self) -> None: ...

    with pytest.raises(TypeError, match="may not see a Row"):
        Templates().html("web/message.html", {"title": "t", "text": Row()})


def test_values_become_plain() -> None:
    shown = plain(digest(1))
    assert shown["cadence"] == "daily"
    assert type(shown["cadence"]) is str
    assert shown["date"] == "2026-11-21T07:00:00+00:00"
    assert shown["entries"][0]["paper"]["authors"] == ["Ilse Quandt", "Tomé Ferrão"]
    assert type(plain(Markup("<b>"))) is str


def test_text_is_wrapped_with_a_hanging_indent_and_a_long_link_stays_whole() -> None:
    link = "https://example.org/" + "x" * 90
    lines = wrap(f"1. {'word ' * 30}{link}", 4, 0).splitlines()
    assert lines[0].startswith("1. word")
    assert lines[-1] == f"    {link}"
    assert max(map(len, lines[:-1])) <= 74


# --- web pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_f035_a_page_holds_no_script_no_style_of_its_own_and_loads_only_its_style_sheet(name: str) -> None:
    html = Templates().html(name, PAGES[name])
    page = LexborHTMLParser(html)
    assert page.css("script:not([src='/site.js']), style, img, iframe, object, [style], [onclick], [onerror]") == []
    assert [node.attributes["href"] for node in page.css("link[rel=stylesheet]")] == ["/style.css"]
    assert len(page.css("h1")) == 1
    assert len(page.css("main")) == 1
    assert page.css_first("html").attributes["lang"] == "en"
    assert page.css_first("title").text().strip().endswith("– Paper alerts")


def test_the_first_page_names_each_listing_how_it_is_and_the_feed() -> None:
    page = LexborHTMLParser(Templates().html("web/home.html", HOME))
    text = " ".join(page.css_first("main").text().split())
    assert "Daily papers, 20 Nov 2026: 90 of 90 read, 73 new" in text
    assert "cs.CL, 20 Nov 2026: could not be read" in text
    assert "Not read yet: stat.ML." in text
    assert page.css_first("link[rel=alternate]").attributes["href"] == "/feeds/papers.rss"
    assert HOSTILE in text


def test_the_web_copy_of_a_digest_holds_its_papers_and_leads_on() -> None:
    page = LexborHTMLParser(Templates().html("web/digest.html", present.digest(digest(300)) | ONE_OF_THREE))
    assert len(page.css("article.paper")) == 300
    assert [each.attributes["href"] for each in page.css("nav.pages a")] == ["/digests/abc?page=2"]
    assert len(page.css("link[rel=alternate]")) == 0  # the address of a private page must not announce anything
    assert page.css_first("meta[name=robots]").attributes["content"] == "noindex"


@pytest.mark.parametrize(("done", "action"), [(False, "/unsubscribe/abc"), (True, "/resubscribe/abc")])
def test_the_unsubscribe_page_holds_one_button_that_posts(done: bool, action: str) -> None:
    values = {**PAGES["web/unsubscribe.html"], "done": done}
    page = LexborHTMLParser(Templates().html("web/unsubscribe.html", values))
    (form,) = page.css("form")
    assert (form.attributes["method"], form.attributes["action"]) == ("post", action)
    assert len(page.css("button")) == 1
    assert ("You are unsubscribed" in page.css_first("h1").text()) is done


def test_every_class_a_page_uses_is_in_the_style_sheet() -> None:
    css = (folder() / "web" / "style.css").read_text()
    used = set()
    for name, values in PAGES.items():
        for node in LexborHTMLParser(Templates().html(name, values)).css("[class]"):
            used |= set(str(node.attributes["class"]).split())
    assert {name for name in used if not re.search(rf"\.{name}\b", css)} == set()
