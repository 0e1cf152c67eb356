"""Find phrases in one paper: every word is a place where one may begin.

The words of the paper are written together once; the first letters from each word on are looked up among the first
letters of all phrases, so the time does not depend on how many phrases there are. What is found is then compared whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from notifier.match.compounds import BREAK, Compound
from notifier.match.reading import Reading, Squeezed
from notifier.model import Paper
from notifier.query.nodes import Scope
from notifier.query.words import Part, parts

Heads = Mapping[str, str | list[str]]


class Row:
    """The words of one paper's texts of a scope, in a row."""

    def __init__(self, paper: Paper, scope: Scope, compounds: Sequence[Compound]) -> None:
        self._compounds = compounds
        self._squeezed: Squeezed | None = None
        if any(each.irregular for each in compounds):  # an unspaced script, whose words depend on their neighbours
            texts = Reading(paper).texts(scope)
            self._squeezed = Squeezed([part for text in texts for part in (_BREAK, *text.parts)])
            self.words: list[str] = []
            self.letters, self.starts = self._squeezed.text, self._squeezed.starts
        else:
            self.words = [word for each in compounds for word in each.words]
            self.letters = "".join(self.words)
            self.starts = [0, *accumulate(map(len, self.words))][:-1]

    def phrases(self, known: Mapping[int, Heads]) -> Iterator[str]:
        """Yield the canonical text of every phrase that occurs; `known` holds them by length of head, then by head."""
        for size, heads in known.items():
            beginnings = [self.letters[start : start + size] for start in self.starts]
            for head in heads.keys() & beginnings:
                at = [place for place, beginning in enumerate(beginnings) if beginning == head]
                texts = heads[head]
                yield from (text for text in ([texts] if isinstance(texts, str) else texts) if self._holds(text, at))

    def _holds(self, text: str, at: Sequence[int]) -> bool:
        """Tell whether a phrase occurs, given where its first letters do."""
        spelled = text.partition('"')[2][:-1]
        plain = re.split("[ -]", spelled)
        if self.words and any(self.words[place : place + len(plain)] == plain for place in at):
            return True
        letters = "".join(plain) if spelled.isascii() else Squeezed(parts(spelled)).text
        if not any(self.letters.startswith(letters, self.starts[place]) for place in at):
            return False
        return bool(self._boundaries().occurrences(Squeezed(parts(spelled))))

    def _boundaries(self) -> Squeezed:
        """The words with what stands between them: needed where the text divides them otherwise than the phrase."""
        if self._squeezed is None:
            gaps = ((word, "-" if place else " ") for each in self._compounds for place, word in enumerate(each.words))
            self._squeezed = Squeezed([Part(word, word, 0, 0, gap) for word, gap in gaps])
        return self._squeezed


_BREAK = Part(BREAK, BREAK, 0, 0, " ")
