"""The built-in texts, and which region reads which. The code comes first, so that a lock screen shows it whole.

Where a language can be written properly within GSM-7, it is (Polish and Turkish too: the words are chosen so). The rest
is UCS-2 and has 70 characters for everything. Sentences that end in 。 are joined without a space.
"""

from __future__ import annotations

from functions.domain.frozen import frozen


@frozen(kw_only=True)
class Wording:
    """The sentences of one locale. `{code}` and `{brand}` are replaced literally."""

    plain: str
    branded: str
    warning: str
    brief: str
    """For when a domain and an app hash leave no room for more: in UCS-2 at most 14 characters beside the code."""


TEXTS = {
    "en": Wording(
        plain="{code} is your verification code.",
        branded="{code} is your {brand} verification code.",
        warning="Don't share it with anyone.",
        brief="{code} is your code.",
    ),
    "de": Wording(
        plain="{code} ist Ihr Bestätigungscode.",
        branded="{code} ist Ihr Bestätigungscode für {brand}.",
        warning="Geben Sie ihn an niemanden weiter.",
        brief="{code} ist Ihr Code.",
    ),
    "fr": Wording(
        plain="{code} est votre code de vérification.",
        branded="{code} est votre code de vérification {brand}.",
        warning="Ne le communiquez à personne.",
        brief="{code} est votre code.",
    ),
    "es": Wording(
        plain="{code} es tu código de verificación.",
        branded="{code} es tu código de verificación de {brand}.",
        warning="No lo compartas.",
        brief="{code} es tu código.",
    ),
    "pt": Wording(
        plain="{code} é o seu código de verificação.",
        branded="{code} é o seu código de verificação {brand}.",
        warning="Não o divulgue.",
        brief="{code} é o código.",
    ),
    "it": Wording(
        plain="{code} è il tuo codice di verifica.",
        branded="{code} è il tuo codice di verifica {brand}.",
        warning="Non condividerlo con nessuno.",
        brief="{code} è il tuo codice.",
    ),
    "nl": Wording(
        plain="{code} is je verificatiecode.",
        branded="{code} is je verificatiecode voor {brand}.",
        warning="Deel deze code met niemand.",
        brief="{code} is je code.",
    ),
    "pl": Wording(
        plain="{code} to kod weryfikacyjny.",
        branded="{code} to kod weryfikacyjny {brand}.",
        warning="Nie podawaj go nikomu.",
        brief="{code} to kod weryfikacyjny.",
    ),
    "tr": Wording(
        plain="{code}, onay kodunuzdur.",
        branded="{code}, {brand} onay kodunuzdur.",
        warning="Bu kodu kimseye vermeyin.",
        brief="{code}, onay kodunuzdur.",
    ),
    "ru": Wording(
        plain="{code} — ваш код подтверждения.",
        branded="{code} — ваш код подтверждения {brand}.",
        warning="Никому его не сообщайте.",
        brief="{code} — ваш код.",
    ),
    "ar": Wording(
        plain="{code} هو رمز التحقق الخاص بك.",
        branded="{code} هو رمز التحقق الخاص بك لدى {brand}.",
        warning="لا تشاركه مع أحد.",
        brief="{code} هو رمزك.",
    ),
    "hi": Wording(
        plain="{code} आपका सत्यापन कोड है।",
        branded="{code} आपका {brand} सत्यापन कोड है।",
        warning="इसे किसी को न बताएं।",
        brief="{code} आपका कोड है।",
    ),
    "ja": Wording(
        plain="{code} が認証コードです。",
        branded="{code} が {brand} の認証コードです。",
        warning="他の人に教えないでください。",
        brief="{code} が認証コードです。",
    ),
    "ko": Wording(
        plain="{code} 인증번호입니다.",
        branded="{code} [{brand}] 인증번호입니다.",
        warning="타인에게 알려주지 마세요.",
        brief="{code} 인증번호입니다.",
    ),
    "zh-Hans": Wording(
        plain="{code} 是您的验证码。",
        branded="{code} 是您的 {brand} 验证码。",
        warning="请勿泄露给他人。",
        brief="{code} 是您的验证码。",
    ),
    "zh-Hant": Wording(
        plain="{code} 是您的驗證碼。",
        branded="{code} 是您的 {brand} 驗證碼。",
        warning="請勿透露給他人。",
        brief="{code} 是您的驗證碼。",
    ),
    "id": Wording(
        plain="{code} adalah kode verifikasi Anda.",
        branded="{code} adalah kode verifikasi {brand} Anda.",
        warning="Jangan berikan kepada siapa pun.",
        brief="{code} adalah kode Anda.",
    ),
    "vi": Wording(
        plain="{code} là mã xác minh của bạn.",
        branded="{code} là mã xác minh {brand} của bạn.",
        warning="Đừng chia sẻ mã này.",
        brief="{code} là mã OTP.",
    ),
    "th": Wording(
        plain="{code} คือรหัสยืนยันของคุณ",
        branded="{code} คือรหัสยืนยัน {brand} ของคุณ",
        warning="อย่าบอกรหัสนี้แก่ผู้อื่น",
        brief="{code} คือรหัสของคุณ",
    ),
    "uk": Wording(
        plain="{code} — ваш код підтвердження.",
        branded="{code} — ваш код підтвердження {brand}.",
        warning="Нікому його не кажіть.",
        brief="{code} — ваш код.",
    ),
}

DEFAULT_LOCALE = "en"

# The likely language of each region by CLDR, except where it is not what people there read from authorities and banks:
# French in parts of Africa and Haiti, Russian in BY and KG, Dutch on BQ and CW, Spanish in AD and PY, Chinese in SG.
_REGIONS = {
    "de": "AT CH DE LI",
    "fr": "BF BI BJ BL CD CF CG CI CM DJ FR GA GF GN GP HT LU MC MF MG ML MQ NC NE PF PM RE SN TG WF YT",
    "es": "AD AR BO CL CO CR CU DO EC ES GQ GT HN MX NI PA PE PR PY SV UY VE",
    "pt": "AO BR CV GW MZ PT ST TL",
    "it": "IT SM VA",
    "nl": "AW BE BQ CW NL SR",
    "pl": "PL",
    "tr": "TR",
    "ru": "BY KG KZ RU",
    "ar": "AE BH DZ EG EH IQ JO KM KW LB LY MA MR OM PS QA SA SD SY TD TN YE",
    "hi": "IN",
    "ja": "JP",
    "ko": "KP KR",
    "zh-Hans": "CN SG",
    "zh-Hant": "HK MO TW",
    "id": "ID",
    "vi": "VN",
    "th": "TH",
    "uk": "UA",
}

LOCALE_BY_REGION = {region: locale for locale, regions in _REGIONS.items() for region in regions.split()}
"""ISO 3166-1 alpha-2 to a locale of TEXTS; every other region reads DEFAULT_LOCALE."""
