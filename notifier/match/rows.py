"""Find phrases in one paper: every word is a place where one may begin.

The words of the paper are written together once; the first letters from each word on are looked up among the first
letters of all phrases, so the time does not depend on how many phrases there are. What is found is then compared whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from notifier.match.compounds import BREAK, Compound
from notifier.match.reading import Reading, Squeezed
from notifier.model import Paper
from notifier.query.nodes import Scope
from notifier.query.words import Part, parts

Heads = Mapping[str, str | list[str]]


class Row:
    """The words of one paper's texts of a scope, in a row; `plain` when no script in them is unspaced."""

    def __init__(self, paper: Paper, scope: Scope, compounds: Sequence[Compound], *, plain: bool) -> None:
        self._compounds = compounds
        self._squeezed: Squeezed | None = None
        if not plain:  # whether words of an unspaced script are apart depends on their neighbours
            texts = Reading(paper).texts(scope)
            self._squeezed = Squeezed([part for text in texts for part in (_BREAK, *text.parts)])
            self.words: list[str] = []
            self.letters, self.starts = self._squeezed.text, self._squeezed.starts
        else:
            self.words = [word for each in compounds for word in each.words]
            self.letters = "".join(self.words)
            self.starts = list(accumulate(map(len, self.words), initial=0))[:-1]

    def phrases(self, known: Mapping[int, Heads]) -> Iterator[str]:
        """Yield the canonical text of every phrase that occurs; `known` holds them by length of head, then by head."""
        for size, heads in known.items():
            beginnings = [self.letters[start : start + size] for start in self.starts]
            for head in heads.keys() & beginnings:
                texts = heads[head]
                for text in [texts] if isinstance(texts, str) else texts:
                    spelled = text.partition('"')[2][:-1]
                    letters = letters_of(spelled)
                    if letters in self.letters and self._holds(spelled, beginnings, head):
                        yield text

    def _holds(self, spelled: str, beginnings: list[str], head: str) -> bool:
        """Tell whether a phrase whose letters occur stands between boundaries that agree with its own."""
        plain = spelled.replace("-", " ").split(" ")
        at = -1
        for _ in range(beginnings.count(head) if self.words else 0):
            at = beginnings.index(head, at + 1)
            if self.words[at : at + len(plain)] == plain:
                return True
        return bool(self._boundaries().occurrences(Squeezed(parts(spelled))))

    def _boundaries(self) -> Squeezed:
        """The words with what stands between them: needed where the text divides them otherwise than the phrase."""
        if self._squeezed is None:
            gaps = ((word, "-" if place else " ") for each in self._compounds for place, word in enumerate(each.words))
            self._squeezed = Squeezed([Part(word, word, 0, 0, gap) for word, gap in gaps])
        return self._squeezed


def letters_of(phrase: str) -> str:
    """Return a phrase's words written together."""
    return phrase.replace(" ", "").replace("-", "") if phrase.isascii() else Squeezed(parts(phrase)).text


_BREAK = Part(BREAK, BREAK, 0, 0, " ")
