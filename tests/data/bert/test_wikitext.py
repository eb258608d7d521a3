"""The text of an article: whole quantities, whole titles, blanks between words."""

import pytest

from data.bert import wikitext
from data.laptop import sources
from data.laptop import text as laptop_text
from scripts.bench.wikitext import LARGE, PAGES

# So that no line is too short to be a paragraph.
_TAIL = " and then five more words"


def plain(source: str) -> str:
    found = wikitext.plain_text(source + _TAIL)
    assert found.endswith(_TAIL.strip()), found
    return found.removesuffix(_TAIL.strip()).strip()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{convert|20|to|27|km}} south", "20 to 27 km south"),
        ("{{convert|10|by|25|m|ft}}", "10 by 25 m"),
        ("{{convert|3|x|4|x|5|m}}", "3 × 4 × 5 m"),
        ("{{Convert | 6 | ft | 2 | in | cm | 0 }}", "6 ft 2 in"),
        ("{{convert|12|st|3|lb|kg|1}}", "12 st 3 lb"),
        ("{{convert|2413|ft|0|abbr=on}}", "2413 ft"),
        ("{{convert|7|–|8|C-change|F-change}}", "7–8 °C"),
        ("{{convert|7|-|8|km}} {{convert|7|&ndash;|8|km}} {{cvt|7|{{ndash}}|8|km}}", "7–8 km 7–8 km 7–8 km"),
        ("{{convert|60|and(-)|80|kg}} {{convert|1|to(-)|2|kg}}", "60 and 80 kg 1 to 2 kg"),
        ("{{convert|100|+/-|5|km|mi|1}} {{convert|100|±|5|km|mi|1}}", "100 ± 5 km 100 ± 5 km"),
        ("{{convert|1|,|2|and|3|km}}", "1, 2 and 3 km"),
        ("{{convert|5|to about|7|km|mi}}", "5 to about 7 km"),
        ("{{convert|10|m|by|25|m|ft}}", "10 m by 25 m"),
        ("{{convert|4+1/2|in|mm}} {{convert|-40|C|F}}", "4+1/2 in -40 °C"),
        ("{{convert|22|e6acre|km2}} {{convert|8|koilbbl/d|m3/d}}",
         "22 million acre 8 thousand barrels per day"),
        ("{{convert|{{formatnum:5000}}|km}} {{nowrap|{{convert|1|to|2|km}} {{snd}} {{val|3|u=m}}}}",
         "5,000 km 1 to 2 km – 3 m"),
        # Gone whole.
        ("{{convert|20|to|km}}", ""),
        ("{{convert|{{unknown|4}}|km}}", ""),
        ("{{convert|15700|ft3|disp=output number only}}", ""),
        ("{{unknown|20|km}} {{unknown|20|to|30}}", ""),
        ("costs ${{inflation|US|5|1929}} and US${{format price|{{inflation|US|5|1929}}}}", "costs and"),
        ("{{val|1.602|e=-19}} {{val|1.602|0.005|e=-19|u=C}}", "1.602×10^-19 (1.602 ± 0.005)×10^-19 C"),
        ("{{val|1.00794|(7)}} {{val|1|+2|-3|ul=km|upl=s}} {{val|e=6|u=m}}", "1.00794(7) 1 +2 −3 km/s 10^6 m"),
        ("{{val|10|to|20|u=km}} 5.98{{e|24}} 10<sup>−7</sup> km<sup>2</sup>", "10 to 20 km 5.98×10^24 10^−7 km2"),
        ("52{{ndash}}48 15{{nbsp}}June one{{mdash}}two one{{spaced ndash}}two",
         "52–48 15 June one—two one – two"),
        ("{{frac|1|2}} {{frac|3|1|2}} 1{{sfrac|1|4}} {{frac|3}} {{1/2}}", "1/2 3 1/2 1 1/4 1/3 1/2"),
        ("{{formatnum:1234567.5}} {{formatnum: 3003}}", "1,234,567.5 3,003"),
        ("{{As of|2010|5|3}} {{as of|2010|lc=y}} {{as of|2010|5|3|df=US}} {{as of|2010|alt=by then}}",
         "As of 3 May 2010 as of 2010 As of May 3, 2010 by then"),
        ("{{circa|3000}} {{circa|1|2}} {{c.}} 30", "c. 3000 c. 1 – c. 2 c. 30"),
        ("{{USS|Hornet|CV-12|6}} {{USS|Hornet|CV-12}} {{HMS|Hood|51|2}} {{SS|Pedernales}} {{ship|RMS|Titanic}}",
         "USS Hornet USS Hornet (CV-12) Hood SS Pedernales RMS Titanic"),
        ("{{ship||Foo||2}} {{sclass|Iowa|battleship|0}}", "Foo Iowa-class battleship"),
        ("{{US$|2 billion|2010}} {{£|5}} {{INR|500}} {{INR}}500 {{Euro|5|link=yes}} {{INRConvert|5|c}}",
         "US$2 billion £5 ₹500 ₹500 €5 ₹5 crore"),
        ("{{lang|fr|[[mot|le mot]]}} {{lang|1=fr|2=a=b}} {{transl|ar|ALA|''x''}} {{abbr|NASA|long}} {{lang-fr|y}}",
         "le mot a=b x NASA y"),
        ("{{nowrap|''Z'' {{=}} 1}} {{nowrap|1=a = b}} {{nowrap|<span style='a'>c</span>}}", "Z = 1 a = b c"),
        ("[[City|the {{convert|20|km}} town]] of {{lang|grc|{{linktext|ἄνθρωπος}}}}", "the 20 km town of ἄνθρωπος"),
        ("''Eagle''{{'}}s ''Eagle''{{'s}}", "Eagle's Eagle's"),
        ("{{chem|H|2|O}} {{Nihongo|'''A'''|合|x}} {{ill|de|G|G|Gi}} {{ill|Title|de|T}} {{cn span|that|date=1}}",
         "H2O A Gi Title that"),
        ("at {{coord|13|19|N|169|9|W|type:x}}{{coord|1|N|2|W|display=title}}", "at 13°19′N 169°9′W"),
        ("for {{IPA|/a/}} ({{IPAc-en|x|y}}) {{angbr|a}}", "for /a/ ⟨a⟩"),
        # A thing that vanishes between two words leaves them two.
        ("one{{cn}}two 5{{cn|1}}6 one.<ref>a</ref>Two", "one two 5 6 one. Two"),
    ],
)  # fmt: skip
def test_a_sentence_has_no_hole(source, expected):
    assert " ".join(plain(f"The {source}").split()) == f"The {expected}".strip()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'''*FOUR''' was", "*FOUR was"),
        ("''#one'' and ''':two''' and ''';three'''", "#one and :two and ;three"),
        ("''':two''' was", ":two was"),
        ("[[*NSYNC]] was", "*NSYNC was"),
        ("{{lang|en|*NSYNC}} was", "*NSYNC was"),
        ("<b>#1</b> was", "#1 was"),
        ("<nowiki>*</nowiki> was", "* was"),
        ("&#42; was", "* was"),
        ("'''!Kung''' and", "!Kung and"),
        ("!Kung and", "!Kung and"),
        ("<nowiki>[[a]] {{b}} ''c'' &lt;</nowiki>", "[[a]] {{b}} ''c'' <"),
        ("'''= x =''' is", "= x = is"),
        ("[[Re:Start]] [[CSI:Ohio]] [[WP:NOT]] [[wikt:word]] [[Ben-Hur: A Tale]]",
         "Re:Start CSI:Ohio WP:NOT wikt:word Ben-Hur: A Tale"),
        ("[[:Category:X|label]] [[:Category:X]] [[:File:a.jpg|b]] [[ : fr:Paris|c]] [[:fr:Paris]]",
         "label Category:X b c fr:Paris"),
        ("a [[File:x.jpg|thumb|c [[d]] {{e}}]][[ image : x.jpg]][[_CATEGORY_:X|y]] b", "a b"),
        ("a [[fr:Paris]][[ FR : Paris]][[zh-min-nan:X]][[be-x-old:X]][[Simple:X]] b", "a b"),
        ("[[a|b=c]] [[a|b|c]] [[a|]] [[ a ]]", "b=c b|c a a"),
        ("A [https://example.org label [b] c] and [mailto:a@b d]", "A label [b c] and d"),
    ],
)  # fmt: skip
def test_a_mark_is_markup_only_where_it_is_one(source, expected):
    assert plain(source) == expected


@pytest.mark.parametrize("mark", ["*", "#", ":", ";", "**", "*'''a'''", "<!-- c -->*", "{{anchor|a}}*", " *", "| a"])
def test_lists_are_left_out(mark):
    assert wikitext.plain_text(f"{mark} one two three four five six seven") == ""


def test_the_list_marks_of_a_table_that_is_not_closed_count():
    assert wikitext.plain_text("{| class=x\n! one two three four five six\nOne two three four five six.") == (
        "One two three four five six."
    )


@pytest.mark.parametrize(
    "tag",
    ["<br>", "<br/>", "<br />", "</br>", "<br\n/>", "<BR>", "<br clear=all>", '<br clear="all" />', "<br\\>", "<p>",
     "</p>", "<p style='a'>", "<hr>", "</div><div class=a>", "<li>", "<blockquote>", "<center>", "{{br}}", "{{clear}}",
     "<gallery>a</gallery>"],
)  # fmt: skip
def test_a_break_is_a_blank(tag):
    assert plain(f"one{tag}two") == "one two"


@pytest.mark.parametrize("tag", ["<b>", "</i>", "<sub>", "<span class=a>", "<wbr>", "<nowiki/>", "<bravo>", "{{shy}}"])
def test_other_tags_are_no_blanks(tag):
    assert plain(f"one{tag}two") == "onetwo"


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_page_of_markup_keeps_the_paragraph_above_it(page):
    """However deep it is nested."""
    before = "One two three four five six."
    assert wikitext.plain_text(f"{before}\n{page(LARGE)}").startswith(before)


@pytest.mark.parametrize("opening", ["<ref>", "<math>", "[http://", "{{", "[[", "{|", "<gallery>"])
def test_what_is_not_closed_takes_no_paragraph_with_it(opening):
    before, after = "One two three four five six.", "Seven eight nine ten eleven twelve."
    assert wikitext.plain_text(f"{before}\n{opening}\n{after}") == f"{before}\n{after}"


def test_a_comment_that_is_not_closed_goes_to_the_end_as_in_mediawiki():
    assert wikitext.plain_text(f"The words before it{_TAIL}<!-- one\nThe words after it{_TAIL}") == (
        f"The words before it{_TAIL}"
    )


def test_the_piece_of_a_dump_has_whole_ranges(laptop_data):
    """Quantities that were halves: "60 and(-)", "400 to"."""
    wheel = sources.fetch(laptop_data.parent / "downloads")[sources.DUMP.name]
    members = sources.read_members(wheel, sources.DUMP)
    prose = "\n".join(document.text for document in laptop_text.dump(members))
    for quantity in ("60 and 80 kg", "400 to 670 mm", "20–30 cm", "70.0 by 71.3 mi", "7–8 °C", "6.241×10^18"):
        assert quantity in prose
