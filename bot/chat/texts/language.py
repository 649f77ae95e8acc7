"""Translates our sentences: English in the code, other languages in gettext catalogues in bot/locale.

gettext is Python's own convention. Babel, a developers' tool, collects the sentences and compiles the
catalogues (CONTRIBUTING.md), so that the bot needs no further package to run.
"""

import gettext
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bot.core.language import Language

DOMAIN = "bot"
CATALOGUES = Path(__file__).parents[2] / "locale"


class Translator:
    """Gives sentences in one language.

    Every function that writes for people takes one as its first parameter, and calls it `t`. Words from
    outside are given as values, never as a part of the sentence.
    """

    def __init__(self, language: Language, catalogue: gettext.NullTranslations) -> None:
        self.language = language
        self._catalogue = catalogue

    def __call__(self, message: str, /, **values: object) -> str:
        """The sentence in this language, with `values` in place of its {names}."""
        return self._catalogue.gettext(message).format(**values)

    def plural(self, one: str, many: str, count: int, /, **values: object) -> str:
        """The sentence for `count`, which is one of its values."""
        return self._catalogue.ngettext(one, many, count).format(count=count, **values)

    def sentences(self, *texts: str) -> str:
        """Several sentences on one line. In Chinese no space stands between two of them."""
        return ("" if self.language is Language.CHINESE else " ").join(filter(None, texts))

    def listed(self, texts: Sequence[str]) -> str:
        """“A, B and C”."""
        if len(texts) < 2:
            return "".join(texts)
        return self(_COMMA).join(texts[:-1]) + self(_AND) + texts[-1]


def marked(message: str) -> str:
    """Mark a sentence to be collected for translation; a translator is called with it later."""
    return message


_COMMA, _AND = marked(", "), marked(" and ")


@cache
def translator(language: Language) -> Translator:
    """The translator into `language`. The catalogue is read from disk the first time."""
    if language is Language.ENGLISH:
        return Translator(language, gettext.NullTranslations())
    directory = language.replace("-", "_")
    return Translator(language, gettext.translation(DOMAIN, CATALOGUES, [directory]))


ENGLISH = translator(Language.ENGLISH)
