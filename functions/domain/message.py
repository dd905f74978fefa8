"""What an SMS says: which text in which language, filled, and the last line that phones and browsers read by machine.

A message is one SMS where that is possible at all: two cost twice, and arrive apart or not at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from functions.domain.code import LONGEST as LONGEST_CODE
from functions.domain.errors import InvalidRequest
from functions.domain.phone import PhoneNumber
from functions.domain.segments import count_segments
from functions.domain.sensitive import Sensitive
from functions.domain.service import Service
from functions.domain.texts import DEFAULT_LOCALE, LOCALE_BY_REGION, TEXTS, Wording

ANY_LOCALE = "*"
LONGEST_BRAND = 30
LONGEST_DOMAIN = 253
LONGEST_LOCALE = 35

_BUILT_IN = {locale.lower(): wording for locale, wording in TEXTS.items()}
_TRADITIONAL = {"hant"} | {region.lower() for region, locale in LOCALE_BY_REGION.items() if locale == "zh-Hant"}

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# A last label of digits only would make it an IPv4 address, to which no browser binds a code.
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_APP_HASH = re.compile(r"[A-Za-z0-9+/]{11}")
_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")

# What phones turn into a link, and a little more: better a brand to be spelled otherwise than a link in a code's SMS.
_LINK = re.compile(r"://|\bwww\.|[^\W_]\.[^\W\d_]{2}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}", re.IGNORECASE)
_BRACES = re.compile(r"[{}]")
# Letters and marks by their category, yet nobody sees them: fillers, joiners, variation selectors.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# Persian and the scripts of India are spelled with these two, the only format characters that a text may hold.
_JOINERS = "\u200c\u200d"
_UNFIT_FOR_TEXT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_T = TypeVar("_T")


def compose(
    code: Sensitive,
    *,
    service: Service,
    number: PhoneNumber,
    locale: str | None = None,
    domain: str | None = None,
    app_hash: str | None = None,
) -> Sensitive:
    """The text of one SMS, from arguments that the parsers below let pass.

    A service's own text stays as its operator had it approved: only its placeholders are filled, and the last line
    follows only where a domain or an app hash is set. A built-in text loses its warning first, then the brand, until it
    is one segment. For domains of up to 20 characters it always gets there, in every locale; a longer one can cost
    more, and then the text is the fullest that costs no more than the barest.
    """
    line = _last_line(code, domain or service.domain, app_hash or service.app_hash)
    text = _choose(service, number, locale)
    if isinstance(text, str):
        return Sensitive(_fill(text, code, service) + line)
    candidates = [_fill(candidate, code, service) + line for candidate in _fullest_first(text, service.brand)]
    in_one = (candidate for candidate in candidates if count_segments(candidate).count == 1)
    return Sensitive(next(in_one, None) or min(candidates, key=lambda candidate: count_segments(candidate).count))


def _choose(service: Service, number: PhoneNumber, locale: str | None) -> str | Wording:
    """The first wish that there is a text for, in the service's own words where it has some; `*` is for any locale.

    The region's language always has a text, so the search ends.
    """
    own = {_canonical(tag): text for tag, text in service.texts.items()}
    others: Mapping[str, str | Wording] = dict.fromkeys(_BUILT_IN, own[ANY_LOCALE]) if ANY_LOCALE in own else _BUILT_IN
    wishes = _wishes(service, number, locale)
    return next(text for tag in wishes if (text := _look_up(own, tag) or _look_up(others, tag)))


def locales_of(service: Service, number: PhoneNumber, locale: str | None) -> Sequence[str]:
    """The language that a message is to be in, from its full tag down to its shortest."""
    return _broader(_wishes(service, number, locale)[0])


def _wishes(service: Service, number: PhoneNumber, locale: str | None) -> list[str]:
    language = LOCALE_BY_REGION.get(number.region, DEFAULT_LOCALE).split("-")[0]
    return [tag for tag in (locale, service.locale, f"{language}-{number.region}") if tag]


def _look_up(texts: Mapping[str, _T], tag: str) -> _T | None:
    return next((texts[candidate] for candidate in _broader(tag) if candidate in texts), None)


@lru_cache(maxsize=256)
def _broader(tag: str) -> tuple[str, ...]:
    """The tag, then shorter ones down to its language (RFC 4647 section 3.4). Chinese passes its script on the way."""
    subtags = _canonical(tag).split("-")
    chain = ["-".join(subtags[:end]) for end in range(len(subtags), 0, -1)]
    if subtags[0] == "zh":
        traditional = "hans" not in subtags and not _TRADITIONAL.isdisjoint(subtags)
        chain.insert(-1, "zh-hant" if traditional else "zh-hans")
    return tuple(chain)


def _canonical(tag: str) -> str:
    return tag.replace("_", "-").lower()


def _fullest_first(wording: Wording, brand: str) -> list[str]:
    sentences = [wording.plain, wording.brief]
    if brand:
        # A brand may bring its own full stop: Acme Inc.
        sentences.insert(0, wording.branded.replace("{brand}.", "{brand}") if brand.endswith(".") else wording.branded)
    return [text for sentence in sentences for text in (_join(sentence, wording.warning), sentence)]


def _join(sentence: str, next_sentence: str) -> str:
    return sentence + ("" if sentence.endswith("。") else " ") + next_sentence


def _fill(text: str, code: Sensitive, service: Service) -> str:
    """Literally, and the brand last: whatever it spells, nothing is filled in after it."""
    minutes = str(max(1, service.lifetime // 60))
    return text.replace("{code}", code.reveal()).replace("{minutes}", minutes).replace("{brand}", service.brand)


def _last_line(code: Sensitive, domain: str | None, app_hash: str | None) -> str:
    """One line for both: a browser ignores what follows the code, and Android looks for its hash anywhere at the end.

    With the hash on a line of its own, the domain's would not be the last, which browsers insist on (WICG, origin-bound
    one-time codes). No blank line before it: that would cost a unit more, and nobody asks for it.
    """
    bound = f"@{domain} #{code.reveal()}" if domain else None
    words = [word for word in (bound, app_hash) if word]
    return "\n" + " ".join(words) if words else ""


def parse_domain(text: str) -> str:
    """Raises InvalidRequest for anything but a plain host name in lower case."""
    if len(text) > LONGEST_DOMAIN or not _DOMAIN.fullmatch(text):
        raise InvalidRequest("a domain is a host name such as acme.example: lower case, no scheme, port or path")
    return text


def parse_app_hash(text: str) -> str:
    """Raises InvalidRequest for anything but what Google's AppSignatureHelper prints."""
    if not _APP_HASH.fullmatch(text):
        raise InvalidRequest("an app hash is 11 characters of A-Z, a-z, 0-9, + and /, such as FA+9qCX9VSu")
    return text


def parse_locale(text: str) -> str:
    """Raises InvalidRequest for what is not shaped like a BCP 47 tag. A language that has no text is fine."""
    if len(text) > LONGEST_LOCALE or not _LOCALE.fullmatch(text):
        raise InvalidRequest("a locale is a BCP 47 tag such as de, pt-BR or zh-Hant")
    return text


def text_problems(text: str, *, brand: str = "") -> list[str]:
    """What is wrong with a service's own text, in sentences; empty if it may be used. `brand` is the service's."""
    sample = text.replace("{code}", "0" * LONGEST_CODE).replace("{minutes}", "10")
    size = count_segments(sample.replace("{brand}", brand))
    checks = {
        "it has to hold {code} exactly once": text.count("{code}") != 1,
        "its braces may only spell {code}, {brand} and {minutes}": _has(_BRACES, sample.replace("{brand}", "")),
        "it holds a line break, a control character or an invisible one": any(map(_is_unfit_for_text, text)),
        "it holds a link, or what phones take for one": _has(_LINK, sample.replace("{brand}", brand or "brand")),
        f"with a code of {LONGEST_CODE} digits it needs {size.count} SMS in {size.encoding}": size.count > 1,
    }
    return [problem for problem, found in checks.items() if found]


def brand_problems(brand: str) -> list[str]:
    """What is wrong with a brand, in sentences; empty if it may be used. No brand at all is fine."""
    checks = {
        f"it has more than {LONGEST_BRAND} characters": len(brand) > LONGEST_BRAND,
        "it holds something else than letters, digits, spaces and . - & '": not all(map(_is_fit_for_brand, brand)),
        "it starts or ends with a space": brand != brand.strip(" "),
        "it holds a link, or what phones take for one": _has(_LINK, brand),
    }
    return [problem for problem, found in checks.items() if found]


def _has(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text) is not None


def _is_unfit_for_text(character: str) -> bool:
    return unicodedata.category(character) in _UNFIT_FOR_TEXT and character not in _JOINERS


def _is_fit_for_brand(character: str) -> bool:
    """Marks are letters' parts: Hindi and Thai are not spelled without them."""
    category = unicodedata.category(character)
    return character in " .-&'" or ((category[0] in "LM" or category == "Nd") and not _UNSEEN.match(character))
