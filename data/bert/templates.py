"""What a template of the English Wikipedia leaves in the sentence that it stands in.

{{convert|20|to|27|km|mi}} is "20 to 27 km", {{ndash}} is "–", {{lang|fr|mot}} is "mot". Templates that are no part of a
sentence (boxes, notes, pronunciations) leave nothing, and so does a quantity that cannot be read: never half of it.
"""

import html
import itertools
import re
import string
from collections.abc import Callable

# Marks that no dump holds. A tag was here; something was dropped here; what follows is raised (an exponent).
TAG, GAP, RAISED = "\x01", "\x02", "\x03"
_BLANK = string.whitespace + TAG + GAP
_MONTHS = "January February March April May June July August September October November December".split()
# Names that share a text are separated by "|". Of several texts the first counts whose arguments are all there. What
# would be taken for markup is an entity, which wikitext.py resolves last.
_TEXTS: dict[str, str | tuple[str, ...]] = {
    "nbsp|nbs|space|spaces|thinsp|thin space|hsp|hair space|hairsp|nnbsp|0|br|break|crlf|-|clear|pb": " ",
    "shy|wbr|zwsp|zwj|zwnj|wj|nowrap begin|nowrap end|nobr begin|nobr end": "",
    "ndash|en dash|endash|–|ndashb": "–",
    "mdash|em dash|emdash|—|mdashb": "—",
    "snd|snds|spnd|sndash|spndash|spaced ndash|spaced en dash|spaced endash|dash|nbndash|spaced en dash space": " – ",
    "smdash|spaced mdash|spaced em dash|spaced emdash": " — ",
    "nbhyph|nbhyphen|nbh|hyphen": "-",
    "minus|−": "−",
    "pm|±|+-|plus-minus": "±",
    "times|×": "×",
    "·|dot|middot|•|bull|bullet|*": " · ",
    "...|…|ellipsis": "…",
    "degree|°": "°",
    "half|½": "½",
    "eqm": "⇌",
    "pi": "π",
    "carbon": "C",
    "hydrogen": "H",
    "okina|'okina|ʻokina|ʻ": "ʻ",
    "hamza": "ʾ",
    "ayin": "ʿ",
    "'|-'|'-": "&#39;",
    "'s": "&#39;s",
    '-"|"-': "&quot;",
    "'\"|' \"|'-\"": "&#39;&quot;",
    "\"'|\" '|\"-'": "&quot;&#39;",
    "!": "|",
    "=": "&#61;",
    "(": "&#123;",
    ")": "&#125;",
    "[": "&#91;",
    "]": "&#93;",
    "pipe": "&#124;",
    "colon": "&#58;",
    "asterisk": "&#42;",
    "nowrap|nobr|nowr|nobreak|no wrap|nwr|small|smaller|big|large|larger|huge|midsize|sc|smallcaps|caps": "{0}",
    "em|strong|bold|b|italic|i|u|underline|sub|code|mono|kbd|tt|samp|var|mvar|math|bigmath|dfn|noitalic": "{0}",
    "vanchor|visible anchor|abbr|abbrlink|tooltip|as written|not a typo|proper name|chem name|nastaliq|nq": "{0}",
    "nobold|unicode|polytonic|hebrew|iast|pie|flag|flagcountry|flagu|railgauge|track gauge|nihongo2|wikt": "{0}",
    "date|birth-date|death-date|start-date|end-date|overline|strike|mention|highlight|key|allcaps": "{0}",
    "lang|langx|rtl-lang|wikt-lang|script|h:title|sort": "{1}",
    "transl|transliteration|translit|xlit|resize|color|colour|font color|fontcolor|w": "{last}",
    "angbr|angle bracket|angbr ipa|vr|grapheme": "⟨{0}⟩",
    "gloss": "‘{0}’",
    "circa|c.|ca.|ca": ("c. {0} – c. {1}", "c. {0}", "c."),
    "floruit|fl.": ("fl. {0} – {1}", "fl. {0}", "fl."),
    "reign|r.": ("r. {0} – {1}", "r. {0}", "r."),
    "frac|sfrac|fraction|tfrac|dfrac": (GAP + "{0} {1}/{2}", GAP + "{0}/{1}", GAP + "1/{0}"),
    "sup": RAISED + "{0}",
    "e|esp|e-sp|x10^": "×10" + RAISED + "{0}",
    "10^": "10" + RAISED + "{0}",
    "nihongo": ("{0}", "{2}", "{1}"),
    "nihongo3": ("{2}", "{0}", "{1}"),
    "sclass|sclass-|sclass2|sclass2-": "{0}-class {1}",
    "us patent": "U.S. patent {0}",
    "no.|numero": ("No. {0}", "No."),
    "unichar": "U+{0}",
    "bibleref|bibleref2": "{0} {1}",
    "bibleverse": "{0} {1} {2}",
    "cite quran": "Quran {0}:{1}",
    "section link|slink": "{0} § {1}",
    "key press|keypress": ("{0}+{1}+{2}", "{0}+{1}", "{0}"),
    "oldstyledate": ("{0} [O.S. {2}] {1}", "{0} {1}"),
    "dentalformula": "{upper}/{lower}",
    "height": ("{ft} ft {in} in", "{ft} ft", "{m} m", "{cm} cm"),
    "£sd": ("£{l} {s}s {d}d", "£{l} {s}s", "£{l}", "{s}s {d}d", "{s}s", "{d}d"),
}
_SHIPS = (
    "USS USNS USCGC USAT USRC CSS HMS HMAS HMCS HMNZS HMIS HMSAS HMT HMHS RFA RMS SS MS MV PS SV TSS GTS RV SMS "
    "ORP INS PNS BNS ARA BAP ARC KRI ROKS JS JDS HNLMS HNoMS HSwMS HDMS FS ITS TCG NRP LÉ BRP OV SY MY CCGS NOAAS "
    "USAV USAHS HTMS FV FGS "
)
_CURRENCIES = {
    "us$|usd|us dollar|united states dollar": "US$", "$": "$", "£|gbp|pound|pound sterling|gb£": "£",
    "€|eur|euro": "€", "₹|inr|indian rupee|inrconvert|inr convert": "₹", "¥|jpy|yen|japanese yen|jp¥": "¥",
    "cn¥|cny|rmb": "CN¥", "a$|aud|au$": "A$", "nz$|nzd": "NZ$", "c$|cad|ca$|can$": "C$", "hk$|hkd": "HK$",
    "s$|sgd": "S$", "nt$|ntd|twd": "NT$", "r$|brl": "R$", "mx$|mxn": "MX$", "₩|krw|south korean won": "₩",
    "₱|php|philippine peso|philippines peso": "₱", "₽|rub|ruble": "₽", "₪|ils|nis": "₪", "₺|try|turkish lira": "₺",
    "₦|ngn|naira": "₦", "৳|bdt": "৳", "₨|pkr|lkr|npr": "₨", "฿|thb": "฿", "₫|vnd": "₫", "₴|uah": "₴", "zar": "R",
    "chf": "CHF ", "sek": "SEK ", "nok": "NOK ", "dkk": "DKK ", "pln": "PLN ", "czk": "CZK ", "huf": "HUF ",
    "isk": "ISK ", "idr": "Rp ", "myr": "RM ",
}  # fmt: skip
_CRORES = {
    "k": "thousand",
    "l": "lakh",
    "c": "crore",
    "lc": "lakh crore",
    "m": "million",
    "b": "billion",
    "t": "trillion",
}
# What may stand between the two numbers of a range.
_BETWEEN = {word: f" {word} " for word in ("to", "and", "or", "by", "to about", "&", "+")} | {
    "to(-)": " to ", "and(-)": " and ", "by(x)": " by ", ",": ", ", ", and": ", and ", ", or": ", or ",
    "x": " × ", "xx": " × ", "×": " × ", "*": " × ", "x(-)": " × ",
    "-": "–", "–": "–", "—": "–", "−": "–", "+/-": " ± ", "±": " ± ", "+-": " ± ", "+/−": " ± ",
}  # fmt: skip
_UNITS = {
    "C": "°C", "F": "°F", "C-change": "°C", "F-change": "°F", "sqmi": "sq mi", "sqft": "sq ft", "sqyd": "sq yd",
    "sqin": "sq in", "cuft": "cu ft", "cuin": "cu in", "cuyd": "cu yd", "cumi": "cu mi", "LT": "long tons",
    "ST": "short tons", "MT": "tonnes", "USgal": "US gal", "impgal": "imp gal", "oilbbl": "barrels",
    "PD/sqmi": "per sq mi", "PD/km2": "per km2",
}  # fmt: skip
_MANY = {"3": "thousand", "6": "million", "9": "billion", "12": "trillion"}
_MANY |= dict(zip("kMGT", list(_MANY.values()), strict=True))
_SCALED = re.compile(r"(?:e(3|6|9|12)|([kMGT])(?=oilbbl|cuft|USgal|impgal))(.+)")
_GROUPABLE = re.compile(r"([-−]?)(\d{4,30})((?:\.\d*)?)")


def text_of(content: str) -> str | None:
    """The text of one template.

    Args:
      content: what stands between {{ and }}; templates and links inside are text already.

    Returns:
      Wikitext without templates and links. None: the template is no part of the sentence, or cannot be read.
    """
    head, *arguments = (part.strip(_BLANK) for part in content.split("|"))
    function, _, subject = head.partition(":")
    if function.lower() in _FUNCTIONS:
        return _FUNCTIONS[function.lower()](subject.strip())
    named: dict[str, str] = {}
    count = itertools.count(1)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        named[key.strip() if equals else str(next(count))] = (value if equals else key).strip(_BLANK)
    # {{lang|1=fr|2=mot}} is {{lang|fr|mot}}.
    values = [named.pop(key) for key in map(str, range(1, len(named) + 1)) if key in named]
    name = " ".join(head.replace("_", " ").lower().split()).removeprefix("template:")
    if name in _WRITTEN:
        return _filled(_WRITTEN[name], values, named)
    if name in _COMPUTED:
        return _COMPUTED[name](values, named)
    if name in _SIGNS:
        return _money(_SIGNS[name], values)
    if name in _PREFIXES:
        return _ship([_PREFIXES[name], *values], named)
    if name.startswith(("lang-", "script/")) or name.endswith("span"):  # {{citation needed span|text}}
        return _filled(("{0}",), values, named)
    if re.fullmatch(r"\d+/\d+", name):
        return GAP + name
    return _quantity([*values[:1], name.partition(" to ")[0]], {}) if " to " in name else None  # {{mi to km|5}}


def _filled(texts: tuple[str, ...], values: list[str], named: dict[str, str]) -> str | None:
    for text in texts:
        if "{" not in text:
            return text
        try:
            filled = text.format(*values, **named | {"last": values[-1] if values else ""})
        except (IndexError, KeyError):
            continue
        if filled.strip(_BLANK):
            return filled
    return None


def _is_number(value: str) -> bool:
    return value.lstrip("-−+~.,")[:1].isnumeric()


def _quantity(values: list[str], named: dict[str, str]) -> str | None:
    """{{convert|6|ft|2|in|cm|0}}: numbers with what stands between them; what it is converted to is left out."""
    text, place, whole = "", 0, False
    display = named.get("disp", "")
    if "number" in display:  # a number whose unit stands outside, and which is the converted one
        return None
    while place < len(values) and _is_number(values[place]):
        text, place, whole = text + values[place], place + 1, True
        if place == len(values):
            break
        between = _between(values[place])
        text, place, whole = text + (between or f" {_unit(values[place])} "), place + 1, between is None
        after = [*values[place : place + 2], "", ""]
        if whole and _between(after[0]) and _is_number(after[1]):
            text, place = text.rstrip() + str(_between(after[0])), place + 1
        elif whole and (not after[1] or _is_number(after[1])):
            break  # what comes is the unit to convert to, or how far to round
    if display.startswith("unit"):
        return text.split()[-1] if whole else None
    return text.strip() if whole else None


def _between(word: str) -> str | None:
    return _BETWEEN.get(html.unescape(word).lower())


def _unit(code: str) -> str:
    rate, code = (" per day", code[:-2]) if code.endswith("/d") else ("", code)
    scaled = _SCALED.fullmatch(code)
    if scaled:
        return f"{_MANY[scaled[1] or scaled[2]]} {_UNITS.get(scaled[3], scaled[3])}{rate}"
    return _UNITS.get(code, code) + rate


def _value(values: list[str], named: dict[str, str]) -> str | None:
    """{{val|1.602|0.001|e=-19|u=C}}: a number, its error or the end of its range, a power of ten, a unit."""
    exponent = named.get("e")
    number, *more = values or [""]
    if not _is_number(number) and not (exponent and not number):
        return None
    text = number
    while len(more) > 1 and _between(more[0]):
        text, more = text + str(_between(more[0])) + more[1], more[2:]
    if more and more[0].startswith("("):
        text += more[0]
    elif len(more) > 1 and _is_number(more[1]):
        text += f" +{more[0].lstrip('+')} −{more[1].lstrip('-−')}"
    elif more and _is_number(more[0]):
        text += f" ± {more[0]}"
    if exponent:
        text = f"({text})" if " " in text else text
        text += f"{'×' if text else ''}10{RAISED}{exponent}"
    unit, per = (named.get(key) or named.get(key + "l") or "" for key in ("u", "up"))
    unit += f"/{per}" if per else ""
    before, after = named.get("p", ""), named.get("s", "")
    return f"{before}{text}{after}" + (f" {unit}" if unit else "")


def _money(sign: str, values: list[str]) -> str:
    """{{US$|2 billion}}, {{INRConvert|5|c}}; a second argument that is a number is a year."""
    amount, scale = [*values, "", ""][:2]
    scale = _CRORES.get(scale, scale)
    return sign + amount + (f" {scale}" if scale.replace(" ", "").isalpha() else "")


def _currency(values: list[str], named: dict[str, str]) -> str | None:
    """{{currency|5|EUR}}."""
    amount, code = [*values, "", ""][:2]
    return _money(_SIGNS.get(code.lower(), f"{code} "), [amount]) if amount else None


def _ship(values: list[str], named: dict[str, str]) -> str | None:
    """{{ship|prefix|name|hull number|what to show}}, {{USS|Hornet|CV-12|6}}."""
    prefix, name, hull, shown = [*values, "", "", "", ""][:4]
    if shown == "1" and hull:
        return hull
    name = name if shown in ("2", "3") else f"{prefix} {name}".strip()
    return (f"{name} ({hull})" if hull and shown in ("", "3") else name) if values[1:2] > [""] else None


def _as_of(values: list[str], named: dict[str, str]) -> str | None:
    if named.get("alt"):
        return named["alt"]
    date = _date(values, named)
    if not date:
        return None
    lead = "" if named.get("bare") else "since" if named.get("since") else "as of"
    lead = lead if named.get("lc") else lead.capitalize()
    return " ".join(filter(None, (lead, named.get("pre"), date))) + named.get("post", "")


def _date(values: list[str], named: dict[str, str]) -> str | None:
    """{{start date|1969|7|20}}."""
    year, month, day = [*values, "", "", ""][:3]
    month = _MONTHS[int(month) - 1] if re.fullmatch("0?[1-9]|1[0-2]", month) else month
    if named.get("df", "").lower() in ("us", "mdy") and day:
        return f"{month} {day}, {year}"
    return " ".join(filter(None, (day.removeprefix("0"), month, year))) or None


def _coordinates(values: list[str], named: dict[str, str]) -> str | None:
    """{{coord|13|19|N|169|9|W}}; with display=title they stand above the article alone."""
    if not {"inline", "it", "ti"} & set(re.split(r"\W+", named.get("display", "inline"))):
        return None
    numbers = list(
        itertools.takewhile(lambda value: _is_number(value) or value.upper() in ("N", "S", "E", "W"), values)
    )
    if all(map(_is_number, numbers)):
        return ", ".join(f"{number}°" for number in numbers[:2]) or None
    text, marks = "", iter("°′″")
    for number in numbers:
        if _is_number(number):
            text += number + next(marks, "")
        else:
            text, marks = f"{text}{number.upper()} ", iter("°′″")
    return text.strip()


def _density(values: list[str], named: dict[str, str]) -> str | None:
    """{{pop density|people|area|km2}}."""
    try:
        people, area = (float(value.replace(",", "")) for value in values[:2])
        return f"{people / area:,.{int(named.get('prec', 0))}f} per {_unit(values[2])}"
    except (ValueError, IndexError, ZeroDivisionError):
        return None


def _grouped(value: str) -> str | None:
    """{{formatnum:1234567}} is 1,234,567."""
    number = _GROUPABLE.fullmatch(value)
    return f"{number[1]}{int(number[2]):,}{number[3]}" if number else value or None


def _ordinal(values: list[str], named: dict[str, str]) -> str | None:
    number = (values or [""])[0]
    if not re.fullmatch(r"\d+", number):
        return number or None
    teens = number[-2:-1] == "1"
    return number + ("th" if teens else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th"))


def _other_language(values: list[str], named: dict[str, str]) -> str | None:
    """{{ill|Title|de|Titel}}, and in an older form {{ill|de|Titel|Title|label}}."""
    older = len(values) > 1 and re.fullmatch("[a-z]{2,3}", values[0])
    return named.get("lt") or (values[-1 if older else 0] if values else None)


def _harvard(values: list[str], named: dict[str, str]) -> str | None:
    """{{harvtxt|Boolos|Jeffrey|1974}}."""
    *authors, year = values or [""]
    return f"{' & '.join(authors)} ({year})" if authors else None


def _sound(values: list[str], named: dict[str, str]) -> str | None:
    """{{IPA|/a/}}: a sound in its slashes or brackets is spoken of; else it says how a word is pronounced."""
    return values[0] if values and values[0][:1] in ("/", "[", "*") else None


def _joined(values: list[str], named: dict[str, str]) -> str | None:
    return "".join(values) or None


def _music(values: list[str], named: dict[str, str]) -> str | None:
    return {"flat": "♭", "sharp": "♯", "natural": "♮"}.get((values or [""])[0].lower())


def _each(table: dict) -> dict:
    return {name: value for names, value in table.items() for name in names.split("|")}


_WRITTEN = {name: (text,) if isinstance(text, str) else text for name, text in _each(_TEXTS).items()}
_SIGNS = _each(_CURRENCIES)
_PREFIXES = {prefix.lower(): prefix for prefix in _SHIPS.split()}
_COMPUTED: dict[str, Callable[[list[str], dict[str, str]], str | None]] = _each(
    {
        "convert|cvt|conv|convinfobox": _quantity,
        "val": _value,
        "currency": _currency,
        "ship": _ship,
        "as of|asof": _as_of,
        "start date|end date|birth date|death date|start date and age|birth date and age|death date and age|dts": _date,
        "coord": _coordinates,
        "pop density": _density,
        "nts|number|format price|formatprice": lambda values, named: _grouped("".join(values[:1])),
        "ordinal": _ordinal,
        "ill|interlanguage link|illm|interlanguage link multi": _other_language,
        "harvtxt|harvcoltxt": _harvard,
        "ipa": _sound,
        "chem|chem2|gaps|linktext|sic|mp": _joined,
        "music": _music,
    }
)
_FUNCTIONS: dict[str, Callable[[str], str | None]] = {"formatnum": _grouped, "lc": str.lower, "uc": str.upper}
