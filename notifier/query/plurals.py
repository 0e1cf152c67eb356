"""Fold English plurals to the singular: one function, its rules and its exceptions in tables.

The fold decides which spellings share a word, so it is applied alike to texts and to queries; a wrong singular does no
harm unless two different words share it. It is idempotent and bounded: it looks at the end of the word only.
docs/queries.md states the same rules for people.
"""

from __future__ import annotations

from functools import lru_cache

# Words that end in s and are no plurals (or whose singular is another word), whole.
WHOLE = frozenset(
    """
    aids always aws besides cas cms css dns does eos gis gps has his ios its los mos news nms pos ras rms ros sas sms
    sos ssms texas tls towards unless was whereas yes
    """.split()  # noqa: SIM905 - a table to read
)
# Endings that are no plural endings, whatever stands before them.
KEPT = (
    "ss",
    "is",
    "us",
    "alias",
    "atlas",
    "bias",
    "canvas",
    "chaos",
    "cosmos",
    "gas",
    "lens",
    "pandas",
    "series",
    "species",
    "dynamics",
    "economics",
    "electronics",
    "ethics",
    "genomics",
    "linguistics",
    "mathematics",
    "mechanics",
    "physics",
    "politics",
    "proteomics",
    "robotics",
)
# Whole words whose singular no rule finds.
IRREGULAR = {
    "ais": "ai",
    "apis": "api",
    "apus": "apu",
    "children": "child",
    "cookies": "cookie",
    "corpora": "corpus",
    "cpus": "cpu",
    "criteria": "criterion",
    "dpus": "dpu",
    "gpus": "gpu",
    "grus": "gru",
    "guis": "gui",
    "imus": "imu",
    "ipus": "ipu",
    "kpis": "kpi",
    "lies": "lie",
    "lpus": "lpu",
    "menus": "menu",
    "minima": "minimum",
    "maxima": "maximum",
    "movies": "movie",
    "mris": "mri",
    "npus": "npu",
    "optima": "optimum",
    "phenomena": "phenomenon",
    "quizzes": "quiz",
    "relus": "relu",
    "rois": "roi",
    "rookies": "rookie",
    "selfies": "selfie",
    "spectra": "spectrum",
    "ties": "tie",
    "tpus": "tpu",
    "uis": "ui",
    "zombies": "zombie",
}
# Ending -> singular ending, the first that fits.
RULES = (
    ("lyses", "lysis"),
    ("theses", "thesis"),
    ("gnoses", "gnosis"),
    ("crises", "crisis"),
    ("biases", "bias"),
    ("aliases", "alias"),
    ("atlases", "atlas"),
    ("canvases", "canvas"),
    ("gases", "gas"),
    ("lenses", "lens"),
    ("viruses", "virus"),
    ("statuses", "status"),
    ("corpuses", "corpus"),
    ("focuses", "focus"),
    ("campuses", "campus"),
    ("buses", "bus"),
    ("matrices", "matrix"),
    ("indices", "index"),
    ("vertices", "vertex"),
    ("caches", "cache"),
    ("niches", "niche"),
    ("heroes", "hero"),
    ("echoes", "echo"),
    ("sses", "ss"),
    ("shes", "sh"),
    ("ches", "ch"),
    ("xes", "x"),
    ("zzes", "zz"),
)


def singular(word: str) -> str:
    """Return the singular of a folded word, the word itself when it is no plural."""
    return IRREGULAR[word] if word in IRREGULAR else _without_s(word) if word.endswith("s") else word


@lru_cache(maxsize=16_384)
def _without_s(word: str) -> str:
    if len(word) < 3 or word in WHOLE or word.endswith(KEPT):
        return word
    for ending, replacement in RULES:
        if word.endswith(ending):
            return word.removesuffix(ending) + replacement
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1]
