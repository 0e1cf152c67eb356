"""Identity: one paper is one paper, whatever page shows it."""

from __future__ import annotations

import pytest

from notifier.identity import arxiv_id, doi, keys, same, title_key
from notifier.model import Paper


def paper(**values: object) -> Paper:
    return Paper(
        **{"source": "test", "source_key": "1", "title": "A Fictional Paper on Nothing Much", "url": "", **values}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2605.00658", ("2605.00658", None)),
        ("arXiv:2605.00658v3", ("2605.00658", 3)),
        ("https://arxiv.org/abs/2605.00658v2", ("2605.00658", 2)),
        ("http://export.arxiv.org/pdf/2605.00658v1.pdf", ("2605.00658", 1)),
        ("https://huggingface.co/papers/2605.00658#community", ("2605.00658", None)),
        ("oai:arXiv.org:2605.00658v12", ("2605.00658", 12)),
        ("10.48550/arXiv.2605.00658", ("2605.00658", None)),
        ("hep-th/9901001", ("hep-th/9901001", None)),
        ("math.AG/0601001v2", ("math/0601001", 2)),
        ("HEP-TH/9901001", ("hep-th/9901001", None)),
        ("https://example.org/2024.12345.html", None),
        ("2699.00001", None),
        ("arXiv", None),
        ("", None),
    ],
)
def test_an_arxiv_id_is_found_in_every_spelling_and_loses_its_version(text: str, expected: object) -> None:
    assert arxiv_id(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://doi.org/10.1101/2023.12.16.571984", "10.1101/2023.12.16.571984"),
        ("10.1000/ABC.def", "10.1000/abc.def"),
        ("(see 10.1000/xyz).", "10.1000/xyz"),
        ("11.1000/x", None),
    ],
)
def test_a_doi_is_lower_case_without_its_resolver(text: str, expected: object) -> None:
    assert doi(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"LLM$\times$MapReduce", "LLMtimesMapReduce"),
        (r"$\nabla^2$DFT", "nabla^2DFT"),
        (r"$\textit{Trans-LoRA}$", "Trans-LoRA"),
        (r"$\tau$-bench", "τ-bench"),
        (r"$\textbf{S}^2$IP-LLM", "S²IP-LLM"),
        ("A  Title\n  in two lines", "A title in two lines."),
        ("Café Models", "Cafe\u0301 models"),
    ],
)
def test_a_title_has_one_key_in_tex_unicode_and_bare_rendering(one: str, other: str) -> None:
    assert title_key(one) == title_key(other)


def test_keys_are_strongest_first_and_a_datacite_doi_is_the_arxiv_id() -> None:
    assert keys(paper(arxiv_id="2605.00658", doi="10.1000/x"))[:2] == ("arxiv:2605.00658", "doi:10.1000/x")
    assert keys(paper(doi="10.48550/arxiv.2605.00658"))[0] == "arxiv:2605.00658"
    assert keys(paper(title="???", source_key="k")) == ("test:k",)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"arxiv_id": "2605.00658"}, {"arxiv_id": "2605.00658", "title": "Renamed"}, True),
        ({"arxiv_id": "2605.00658"}, {"arxiv_id": "2605.00659"}, False),
        ({"doi": "10.1/x"}, {"doi": "10.1/x", "title": "Renamed"}, True),
        ({"arxiv_id": "2605.00658", "authors": ("Ada Quill",)}, {"doi": "10.1/x", "authors": ("A. Quill",)}, True),
        ({"arxiv_id": "2605.00658", "authors": ("Ada Quill",)}, {"doi": "10.1/x", "authors": ("Bo Reed",)}, False),
        ({}, {"arxiv_id": "2605.00658", "authors": ("Ada Quill",)}, True),
        ({"title": "Reply", "abstract": "One."}, {"title": "Reply", "abstract": "Another one."}, False),
        ({"title": "Reply", "abstract": "The same."}, {"title": "Reply", "abstract": "The same."}, True),
        ({"title": "???", "source_key": "a"}, {"title": "!!!", "source_key": "b"}, False),
        ({"title": "???", "source_key": "a"}, {"title": "???", "source_key": "a"}, True),
    ],
)
def test_ids_decide_and_a_title_decides_only_where_nothing_contradicts_it(
    one: dict[str, object], other: dict[str, object], expected: bool
) -> None:
    assert same(paper(**one), paper(**other)) is expected
    assert same(paper(**other), paper(**one)) is expected
