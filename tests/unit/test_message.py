from __future__ import annotations

import re
import unicodedata

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain import texts
from functions.domain.errors import InvalidRequest
from functions.domain.message import brand_problems, compose, parse_app_hash, parse_domain, parse_locale, text_problems
from functions.domain.phone import NumberType, PhoneNumber
from functions.domain.segments import Encoding, count_segments
from functions.domain.sensitive import Sensitive
from functions.domain.service import Service
from functions.domain.texts import LOCALE_BY_REGION, TEXTS

GSM_7_LANGUAGES = ["en", "de", "fr", "it", "nl", "pl", "tr", "id"]
UCS_2_LANGUAGES = ["es", "pt", "ru", "ar", "hi", "ja", "ko", "zh-Hans", "zh-Hant", "vi", "th", "uk"]
REQUIRED = GSM_7_LANGUAGES + UCS_2_LANGUAGES
HASH = "FA+9qCX9VSu"
DOMAIN = "acme.example"
DOMAIN_OF_20 = "login.acme-shop.test"
APPROVED = "【应用名称】您的验证码是{code}。如非本人操作，请勿泄露。"
APPROVED_FILLED = "【应用名称】您的验证码是123456。如非本人操作，请勿泄露。"
PRINTABLE_GSM_7 = [c for c in map(chr, range(0x20, 0x20AD)) if count_segments(c).encoding is Encoding.GSM7]
UNBRANDED = Service()
ACME = Service(brand="Acme")


def text_of(
    service: Service = UNBRANDED,
    *,
    code: str = "123456",
    region: str = "US",
    locale: str | None = None,
    domain: str | None = None,
    app_hash: str | None = None,
) -> str:
    number = PhoneNumber(e164="+4915112345678", region=region, type=NumberType.MOBILE, country_code=49)
    message = compose(Sensitive(code), service=service, number=number, locale=locale, domain=domain, app_hash=app_hash)
    assert code not in f"{message} {message!r}"
    return message.reveal()


def opening(locale: str) -> str:
    return TEXTS[locale].plain.replace("{code}", "123456")


def has_link(text: str) -> bool:
    """What a phone underlines, told otherwise than the code under test tells it: by known endings."""
    hosts = r"[\w-]+\.(?:com|net|org|example|test|co|ly|io|me|ru|cn|рф|中国|xn--[a-z0-9]+)\b"
    return re.search(rf"(?i)\w+://|www\.\w|{hosts}|\d+\.\d+\.\d+\.\d+", text) is not None


def test_there_is_a_text_for_every_required_locale_and_no_other() -> None:
    assert sorted(TEXTS) == sorted(REQUIRED)


def test_no_two_locales_share_a_text() -> None:
    assert len({wording.plain for wording in TEXTS.values()}) == len(REQUIRED)


@pytest.mark.parametrize("locale", REQUIRED)
def test_a_built_in_sentence_starts_with_the_code_and_holds_what_its_name_says(locale: str) -> None:
    wording = TEXTS[locale]
    sentences = (wording.plain, wording.branded, wording.brief)

    assert all(sentence.startswith("{code}") for sentence in sentences)
    assert [re.findall(r"\{\w*\}?", sentence) for sentence in (*sentences, wording.warning)] == [
        ["{code}"],
        ["{code}", "{brand}"],
        ["{code}"],
        [],
    ]


@pytest.mark.parametrize("locale", REQUIRED)
def test_a_built_in_text_obeys_the_rules_for_own_texts(locale: str) -> None:
    wording = TEXTS[locale]

    for text in (wording.plain, wording.branded, wording.brief, f"{wording.plain} {wording.warning}"):
        assert text_problems(text, brand="Acme") == []
        assert unicodedata.is_normalized("NFC", text)


@pytest.mark.parametrize("locale", GSM_7_LANGUAGES)
def test_a_language_that_gsm_7_can_write_stays_in_it(locale: str) -> None:
    wording = TEXTS[locale]

    text = f"{wording.plain}{wording.branded}{wording.warning}{wording.brief}"
    assert count_segments(text).encoding is Encoding.GSM7


@pytest.mark.parametrize("locale", REQUIRED)
@pytest.mark.parametrize("brand", ["", "Acme", "Ä" * 30])
@pytest.mark.parametrize(("domain", "app_hash"), [(None, None), (DOMAIN_OF_20, None), (DOMAIN_OF_20, HASH)])
def test_every_locale_fits_one_segment_with_ten_digits(
    locale: str, brand: str, domain: str | None, app_hash: str | None
) -> None:
    text = text_of(Service(brand=brand), code="1234567890", locale=locale, domain=domain, app_hash=app_hash)

    size = count_segments(text)
    assert size.units <= (160 if size.encoding is Encoding.GSM7 else 70)


@settings(deadline=None)
@given(
    code=st.from_regex(r"[0-9]{6,10}", fullmatch=True),
    locale=st.sampled_from(REQUIRED),
    brand=st.text(st.sampled_from(PRINTABLE_GSM_7), max_size=30),
    domain=st.none() | st.from_regex(r"[a-z0-9]{1,12}\.[a-z]{2,7}", fullmatch=True),
    app_hash=st.none() | st.from_regex(r"[A-Za-z0-9+/]{11}", fullmatch=True),
)
def test_a_built_in_text_begins_with_the_code_and_never_needs_two_segments(
    code: str, locale: str, brand: str, domain: str | None, app_hash: str | None
) -> None:
    text = text_of(Service(brand=brand), code=code, locale=locale, domain=domain, app_hash=app_hash)

    assert text[:10].startswith(code)
    assert count_segments(text).count == 1
    assert text.count("\n") == (1 if domain or app_hash else 0)


def test_the_brand_is_named_and_the_warning_follows() -> None:
    assert text_of() == "123456 is your verification code. Don't share it with anyone."
    assert text_of(ACME) == "123456 is your Acme verification code. Don't share it with anyone."


def test_a_chinese_warning_follows_without_a_space() -> None:
    assert text_of(locale="zh-Hans") == "123456 是您的验证码。请勿泄露给他人。"


def test_the_full_stop_of_a_brand_ends_the_sentence() -> None:
    text = text_of(Service(brand="Acme S.A."), locale="it")

    assert text == "123456 è il tuo codice di verifica Acme S.A. Non condividerlo con nessuno."


def test_where_room_is_short_the_warning_goes_first() -> None:
    assert text_of(Service(brand="A" * 20), locale="ru") == f"123456 — ваш код подтверждения {'A' * 20}."


def test_where_room_is_shorter_the_brand_goes_too() -> None:
    text = text_of(Service(brand="A" * 20), locale="ru", domain=DOMAIN)

    assert text == "123456 — ваш код подтверждения.\n@acme.example #123456"


def test_where_room_is_shortest_the_text_is_brief() -> None:
    text = text_of(code="1234567890", locale="ru", domain=DOMAIN_OF_20, app_hash=HASH)

    assert text == f"1234567890 — ваш код.\n@{DOMAIN_OF_20} #1234567890 {HASH}"


def test_the_warning_comes_back_where_only_the_brand_is_too_long() -> None:
    text = text_of(Service(brand="株式会社アクメ" * 4), domain=DOMAIN)

    assert text == "123456 is your verification code. Don't share it with anyone.\n@acme.example #123456"


def test_a_domain_too_long_for_one_segment_costs_two_and_spares_the_text() -> None:
    text = text_of(ACME, locale="ru", domain="a" * 50 + ".example")

    assert count_segments(text).count == 2
    assert text.startswith("123456 — ваш код подтверждения Acme. Никому его не сообщайте.\n")


def test_nothing_is_filled_into_a_brand() -> None:
    brand = "{code}{brand}{minutes}{0}{"

    assert text_of(Service(brand=brand)).startswith(f"123456 is your {brand} verification code.")


@pytest.mark.parametrize(
    ("tag", "locale"),
    [
        ("de", "de"), ("de-AT", "de"), ("DE-at-1996", "de"), ("pt_BR", "pt"), ("pt-BR", "pt"), ("EN", "en"),
        ("zh", "zh-Hans"), ("zh-CN", "zh-Hans"), ("zh-SG", "zh-Hans"), ("zh_hans_HK", "zh-Hans"),
        ("ZH-HANS", "zh-Hans"), ("zh-TW", "zh-Hant"), ("zh_HK", "zh-Hant"), ("zh-MO", "zh-Hant"),
        ("zh-Hant-TW", "zh-Hant"), ("nb", "ja"), ("xx", "ja"), ("dex", "ja"), ("d", "ja"), ("", "ja"),
    ],
)  # fmt: skip
def test_a_tag_finds_its_language_or_leaves_it_to_the_region(tag: str, locale: str) -> None:
    assert text_of(region="JP", locale=tag).startswith(opening(locale))


def test_the_callers_locale_comes_before_the_services_and_that_before_the_region() -> None:
    service = Service(locale="fr")

    assert text_of(service, region="JP", locale="it").startswith(opening("it"))
    assert text_of(service, region="JP", locale="xx").startswith(opening("fr"))
    assert text_of(service, region="JP").startswith(opening("fr"))


@pytest.mark.parametrize(
    ("region", "locale"),
    [
        ("DE", "de"), ("AT", "de"), ("CH", "de"), ("BR", "pt"), ("AO", "pt"), ("MX", "es"), ("SN", "fr"), ("BE", "nl"),
        ("TW", "zh-Hant"), ("HK", "zh-Hant"), ("MO", "zh-Hant"), ("CN", "zh-Hans"), ("SG", "zh-Hans"), ("EG", "ar"),
        ("IN", "hi"), ("KZ", "ru"), ("UA", "uk"), ("VN", "vi"), ("US", "en"), ("NO", "en"), ("001", "en"),
    ],
)  # fmt: skip
def test_a_number_is_written_to_in_its_regions_language(region: str, locale: str) -> None:
    assert text_of(region=region).startswith(opening(locale))


def test_every_region_is_one_that_numbers_can_have_and_is_listed_once() -> None:
    listed = [region for regions in texts._REGIONS.values() for region in regions.split()]

    assert set(listed) <= set(phonenumbers.SUPPORTED_REGIONS)
    assert len(listed) == len(set(listed))
    assert set(LOCALE_BY_REGION.values()) == set(REQUIRED) - {"en"}


def test_an_approved_text_is_sent_as_it_is() -> None:
    service = Service(brand="Acme", texts={"*": APPROVED})

    assert text_of(service) == APPROVED_FILLED


def test_whoever_sets_an_app_hash_gets_it_behind_an_approved_text_too() -> None:
    service = Service(texts={"*": APPROVED})

    assert text_of(service, app_hash=HASH) == f"{APPROVED_FILLED}\n{HASH}"


def test_the_last_line_follows_an_own_text() -> None:
    service = Service(texts={"*": APPROVED}, app_hash=HASH)

    assert text_of(service, domain=DOMAIN) == f"{APPROVED_FILLED}\n@acme.example #123456 {HASH}"


def test_an_own_text_has_its_placeholders_filled_and_nothing_else() -> None:
    service = Service(brand="{code}", lifetime=300, texts={"*": "{code}: {brand}, {minutes} min, {0} {x} %s"})

    assert text_of(service) == "123456: {code}, 5 min, {0} {x} %s"


def test_a_code_that_lives_less_than_a_minute_is_not_said_to_live_for_none() -> None:
    assert text_of(Service(lifetime=30, texts={"*": "{code}, {minutes} min"})) == "123456, 1 min"


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("de-AT", "exact"), ("de_at", "exact"), ("de-CH", "language"), ("fr", "any"), ("xx", "region"),
        ("zh-HK", "script"), ("zh-Hant-TW", "script"), ("zh-CN", "any"), ("nb-NO", "unknown to us"),
    ],
)  # fmt: skip
def test_an_own_text_goes_by_exact_locale_then_language_then_any(tag: str, text: str) -> None:
    own = {
        "*": "any {code}", "de": "language {code}", "de-AT": "exact {code}", "ja": "region {code}",
        "zh_Hant": "script {code}", "nb": "unknown to us {code}",
    }  # fmt: skip

    assert text_of(Service(texts=own), region="JP", locale=tag) == f"{text} 123456"


@pytest.mark.parametrize(
    ("tag", "text"),
    [("zh-CN", "simplified"), ("zh-Hans-HK", "simplified"), ("zh-TW", "either"), ("zh-Hant-SG", "either")],
)
def test_an_own_chinese_text_goes_by_script_before_language(tag: str, text: str) -> None:
    service = Service(texts={"zh": "either {code}", "zh-Hans": "simplified {code}"})

    assert text_of(service, locale=tag) == f"{text} 123456"


def test_simplified_script_asked_for_in_hong_kong_is_not_answered_in_traditional() -> None:
    assert text_of(Service(texts={"zh-Hant": "{code}"}), locale="zh-Hans-HK").startswith(opening("zh-Hans"))


def test_a_number_takes_the_own_text_of_its_very_region() -> None:
    service = Service(texts={"de-AT": "AT {code}", "zh-TW": "TW {code}"})

    assert text_of(service, region="AT") == "AT 123456"
    assert text_of(service, region="TW") == "TW 123456"
    assert text_of(service, region="DE").startswith(opening("de"))


@pytest.mark.parametrize(
    ("domain", "app_hash", "line"),
    [
        (None, None, None), (DOMAIN, None, "@acme.example #123456"), (None, HASH, HASH),
        (DOMAIN, HASH, f"@acme.example #123456 {HASH}"),
    ],
)  # fmt: skip
def test_the_last_line_is_the_domains_and_the_apps(domain: str | None, app_hash: str | None, line: str | None) -> None:
    lines = text_of(domain=domain, app_hash=app_hash).split("\n")

    assert lines[1:] == ([line] if line else [])
    assert text_of(Service(domain=domain, app_hash=app_hash)).split("\n") == lines


def test_the_callers_domain_and_hash_come_before_the_services() -> None:
    service = Service(domain="service.example", app_hash="a" * 11)

    assert text_of(service, domain=DOMAIN, app_hash=HASH).endswith(f"\n@acme.example #123456 {HASH}")
    assert text_of(service, domain=DOMAIN).endswith(f"\n@acme.example #123456 {'a' * 11}")


@pytest.mark.parametrize(
    "domain", [DOMAIN, "localhost", "a.b-c.example", "xn--mnchen-3ya.example", "1.example", "a" * 63 + ".example"]
)
def test_a_host_name_is_a_domain(domain: str) -> None:
    assert parse_domain(domain) == domain


# fmt: off
NASTY_ENDINGS = [
    "\n", "\n@evil.example #000000", "\r", "\u2028x", "\u202e", "\u200b", "\x00", " x", "/path", ":443", "?q", ".",
]
NASTY_DOMAINS = [
    "", ".example", "ACME.example", "https://acme.example", "münchen.example", "аcme.example", "acme..example",
    "-a.example", "a-.example", "a_b.example", "user@acme.example", "10.0.0.1", "#1", "@x", "a" * 64 + ".b",
    "{code}.example", "acme。example", "a." * 126 + "ab",
]
# fmt: on


@pytest.mark.parametrize("domain", [*NASTY_DOMAINS, *(DOMAIN + ending for ending in NASTY_ENDINGS)])
def test_anything_else_is_no_domain(domain: str) -> None:
    with pytest.raises(InvalidRequest, match="host name"):
        parse_domain(domain)


def test_a_domain_has_at_most_253_characters() -> None:
    assert len(parse_domain("a." * 125 + "abc")) == 253


@pytest.mark.parametrize("text", ["", HASH[:-1], HASH + "x", HASH + "\n", "FA-9qCX9VSu", "FA 9qCX9VSu", "ＦA+9qCX9VSu"])
def test_an_app_hash_is_eleven_characters_of_base64(text: str) -> None:
    assert parse_app_hash(HASH) == HASH
    with pytest.raises(InvalidRequest, match="11 characters"):
        parse_app_hash(text)


@pytest.mark.parametrize(
    "tag", ["de", "de-AT", "pt_BR", "zh-Hant-TW", "nb", "xx", "de-u-co-phonebk", "de" + "-abcdefgh" * 3 + "-abcde"]
)
def test_what_is_shaped_like_a_tag_is_a_locale(tag: str) -> None:
    assert parse_locale(tag) == tag


@pytest.mark.parametrize(
    "tag", ["", "d", "*", "de-", "-de", "de--AT", "de AT", "de\n", "dé", "12", "de-" + "a-" * 16 + "a"]
)
def test_anything_else_is_no_locale(tag: str) -> None:
    with pytest.raises(InvalidRequest, match="BCP 47"):
        parse_locale(tag)


@pytest.mark.parametrize(
    "text",
    [APPROVED, "{code}", "{brand}: {code}, {minutes} min.", "z.B. {code} um 12.30 Uhr", "کد شما می\u200cشود {code}",
     "🔑 {code}", "a" * 150 + "{code}", "я" * 60 + "{code}"],
)  # fmt: skip
def test_a_sound_text_has_no_problems(text: str) -> None:
    assert text_problems(text, brand="Acme") == []


# fmt: off
TEXT_PROBLEMS = {
    "exactly once": ["", "no code", "{code} {code}"],
    "braces": ["{code} {name}", "{{code}}", "{code} {", "{code} }", "{code} {mi{brand}nutes}", "{code} {Brand}"],
    "line break": ["{code}\n", "a\r\n{code}", "{code}\u2028", "{code}\u2029x"],
    "control": ["{code}\x00", "\x1b{code}", "{code}\x85", "{code}\ud800"],
    "invisible": ["\u202e{code}", "{code}\u2066", "{code}\u200f", "{code}\u200b", "{code}\ufeff"],
    "link": [
        "{code} acme.com", "{code} http://x", "{code} WWW.x", "{code} 10.0.0.1", "{code} {brand}.com", "{code}.ly",
        "{code} почта.рф", "{code} bit.ly/x", "{code} a@acme.com",
    ],
    "2 SMS in GSM-7": ["a" * 151 + "{code}"],
    "2 SMS in UCS-2": ["я" * 61 + "{code}"],
}
# fmt: on


@pytest.mark.parametrize(
    ("problem", "text"), [(problem, text) for problem, bad in TEXT_PROBLEMS.items() for text in bad]
)
def test_a_text_is_told_what_is_wrong_with_it(problem: str, text: str) -> None:
    (found,) = text_problems(text)

    assert problem in found


def test_a_text_is_measured_with_its_brand() -> None:
    assert text_problems("a" * 140 + "{code}{brand}", brand="b" * 10) == []
    assert text_problems("a" * 140 + "{code}{brand}", brand="b" * 11) != []


# fmt: off
HARMLESS_BRANDS = [
    "", "Acme", "Acme Inc.", "J.P. Morgan", "Marks & Spencer", "O'Neill", "St. Pauli-Shop 24", "Ærø Öl", "腾讯",
    "हिन्दी बैंक", "ธนาคารกรุงไทย", "بنك", "한국은행", "v2.10", "a" * 30,
]
BRAND_PROBLEMS = {
    "more than 30": ["a" * 31],
    "something else": [
        "Acme\n", "Acme!", "{code}", "Acme\u202e", "Acme\u200b", "Acme\u200d", "Acme\ufe0f", "\u3164", "½", "\ud800",
        "a/b", "a\u00a0b", "a:b", "😀",
    ],
    "with a space": [" Acme", "Acme "],
    "link": ["acme.com", "банк.рф", "腾讯.中国", "10.0.0.1", "www.", "a.b.co", "evil.xn--p1ai"],
}
INJECTIONS = [
    "\n@evil.example #000000", "\r\n", "\u2028", "\u2029", "\x0b", "\x85", "\x1b", "\x00", "\u202e", "\u2066", "\u200f",
    "https://evil.example", "evil.com", "evil.example/x", "www.evil", "bit.ly", "10.0.0.1", "xn--e1afmkfd.xn--p1ai",
    "банк.рф", "{code}", "{brand}", "{0.__class__}", "%s", "${code}", "<b>", "@evil #1", "#000000", "'; --", "A. B",
    "Acme & Co.", "evil\u200b.com", "evil。com", "\u3164", "tel:+1", "😀", "-" * 29, "A" * 40, "...", "&amp;", "\\n",
]
# fmt: on


@pytest.mark.parametrize("brand", HARMLESS_BRANDS)
def test_a_brand_of_any_script_has_no_problems(brand: str) -> None:
    assert brand_problems(brand) == []


@pytest.mark.parametrize(
    ("problem", "brand"), [(problem, brand) for problem, bad in BRAND_PROBLEMS.items() for brand in bad]
)
def test_a_brand_is_told_what_is_wrong_with_it(problem: str, brand: str) -> None:
    (found,) = brand_problems(brand)

    assert problem in found


@pytest.mark.parametrize("wrap", ["{}", "Acme {}", "{} Acme", "Acme{}", "{}Acme"])
@pytest.mark.parametrize("payload", INJECTIONS)
def test_a_brand_is_refused_or_ends_up_in_one_line_without_a_link(wrap: str, payload: str) -> None:
    brand = wrap.replace("{}", payload)

    for locale in [] if brand_problems(brand) else REQUIRED:
        text = text_of(Service(brand=brand), locale=locale)
        assert len(text.splitlines()) == 1
        assert not has_link(text)
        assert count_segments(text).count == 1


@settings(deadline=None)
@given(st.text(st.sampled_from("aZ0é中й.-&' \n@:/{}\u202e\u200b\u2028"), max_size=32), st.sampled_from(REQUIRED))
def test_no_brand_that_is_let_pass_breaks_a_line_or_makes_a_link(brand: str, locale: str) -> None:
    text = text_of(Service(brand="" if brand_problems(brand) else brand), locale=locale)

    assert len(text.splitlines()) == 1
    assert not re.search(r"\w\.[^\W\d_]{2}|[@/:{}]", text)
