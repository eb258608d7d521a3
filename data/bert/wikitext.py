"""From wikitext to plain paragraphs: the running text of an article, without tables, lists, headings and markup.

Devlin et al. (2019), section A.2: "we extract only the text passages and ignore lists, tables, and headers".
Every step takes time linear in the page: dumps hold pages of megabytes with brackets that nobody closed.
"""

import dataclasses
import html
import itertools
import re
from collections.abc import Iterator

from data.bert import templates
from data.bert.templates import GAP, RAISED, TAG

# As MediaWiki has it, a comment that is not closed goes to the end of the page.
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
# The content of these elements is not prose, except that of nowiki.
_ELEMENTS = (
    "ref|math|chem|gallery|timeline|source|syntaxhighlight|pre|imagemap|score|table|references|hiero|includeonly|nowiki"
)
_ELEMENT = re.compile(rf"<({_ELEMENTS})\b[^<>]*+>", re.IGNORECASE)
_ENDS = {name: re.compile(rf"</{name}\s*+>", re.IGNORECASE) for name in _ELEMENTS.split("|")}
_MARKUP = re.compile(r"&#?\w+;|[\[\]{}|='*#:;!<>_]")
_TAG = re.compile(r"</?([a-zA-Z]\w*+)[^<>]*+>")
_BREAKS = frozenset(
    "br p div blockquote center hr ul ol li dl dt dd h1 h2 h3 h4 h5 h6 table caption thead tbody tr th td poem".split()
)
_UNSEEN = ("noinclude", "onlyinclude")
_BRACKETS = re.compile(r"\{\{+|\}\}+|\[\[|\]\]")
_TABLE = re.compile(r"\{\||\|\}")
# Values inside values, deeper than MediaWiki goes itself.
_DEEPEST = 40
_CURRENCY_SIGN = re.compile(r"(?<!\w)[A-Z]{0,3}[$£€¥₹]\Z")
_GAP_OF_WORDS = re.compile(rf"{GAP}(?<=[\w.,:!?)\]]{GAP}){GAP}*+(?=\w)")
_EXPONENT = re.compile(rf"{RAISED}(?<=\d{RAISED})(?=[-−–+]?\d)")
_EXTERNAL = re.compile(r"\[(?:(?:https?:|ftp:)?//|mailto:)[^\s\]]+\s*([^\]]*)\]")
_QUOTES = re.compile("'{2,5}")
_MAGIC = re.compile("__[A-Z]+__")
_URL = re.compile(r"(?:https?|ftp)://\S+")
# What unbalanced brackets of the source leave behind.
_OPEN = re.compile(r"\[\[\s*+(?:file|image)\s*+:.*|\{\{.*|\[\[(?:[^\[\]|]*+\|)?|\]\]|\}\}", re.IGNORECASE)
_LONG_ENTITY = re.compile(r"&#\d{8,};?")
_EMPTY_BRACKETS = re.compile(r"\([;,:\s]*+\)|\[\s*+\]")
_BRACKET_LEAD = re.compile(r"\(\s*+[;,:][;,:\s]*+|\(\s++")
_SPACE_BEFORE = re.compile(r" ([,.;:!?)])(?!\w)")
_BACK_MATTER = {
    "references", "see also", "external links", "further reading", "notes", "footnotes", "bibliography", "sources",
    "notes and references", "references and notes", "citations", "gallery", "works cited", "discography", "filmography",
}  # fmt: skip
# Links into these are not shown where they stand: pictures, categories, and the same article in another language. Every
# other "word:" is part of a title.
_HIDDEN = frozenset(
    """file image media category
    aa ab ace ady af ak als alt am ami an ang ann anp ar arc ary arz as ast atj av avk awa ay az azb ba ban bar
    bat-smg bbc bcl bdr be be-tarask be-x-old bew bg bh bi bjn blk bm bn bo bpy br bs btm bug bxr ca cbk-zam cdo ce
    ceb ch cho chr chy ckb cmn co cr crh cs csb cu cv cy cz da dag de dga din diq dk dsb dtp dty dv dz ee el eml en
    eo epo es et eu ext fa fat ff fi fiu-vro fj fo fon fr frp frr fur fy ga gag gan gcr gd gl glk gn gom gor got gpe
    gsw gu guc gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia iba id ie ig igl ii ik ilo inh io is it
    iu ja jam jbo jp jv ka kaa kab kaj kbd kbp kcg kg kge ki kj kk kl km kn knc ko koi kr krc ks ksh ku kus kv kw ky
    la lad lb lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv lzh mad mai map-bms mdf mg mh mhr mi min minnan mk
    ml mn mni mnw mo mr mrj ms mt mus mwl my myv mzn na nah nan nap nb nds nds-nl ne new ng nia nl nn no nov nqo nr
    nrm nso nup nv ny oc olo om or os pa pag pam pap pcd pcm pdc pfl pi pih pl pms pnb pnt ps pt pwn qu rki rm rmy
    rn ro roa-rup roa-tara rsk ru rue rup rw sa sah sat sc scn sco sd se sg sgs sh shi shn shy si simple sk skr sl
    sm smn sn so sq sr srn ss st stq su sv sw syl szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tpi tr
    trv ts tt tum tw ty tyv udm ug uk ur uz ve vec vep vi vls vo vro wa war wo wuu xal xh xmf yi yo yue za zea zgh
    zh zh-cfr zh-classical zh-cn zh-min-nan zh-tw zh-yue zu""".split()
)
_FEWEST_WORDS = 6


def plain_text(wikitext: str) -> str:
    """The prose of one article, one paragraph a line; empty for a page without prose.

    Args:
      wikitext: the source text of the page, as a MediaWiki dump holds it.

    Returns:
      Paragraphs joined by newlines. Headings, lists, tables, references, pictures and their captions are left out, and
      so is everything below "See also", "References" and the like. Of templates what is part of a sentence stays.
    """
    text = _TAG.sub(_tag, _without_elements(_COMMENT.sub("", wikitext)))
    text = _without_tables(_without_brackets(text))
    return "\n".join(_paragraphs(_GAP_OF_WORDS.sub(" ", text).replace(GAP, "")))


def _without_elements(text: str) -> str:
    pieces, position, endless = [], 0, set()
    for match in _ELEMENT.finditer(text):
        name = match[1].lower()
        if match.start() < position or match[0].endswith("/>") or name in endless:
            continue  # inside one that is dropped; or a mere tag, which goes with the others
        end = _ENDS[name].search(text, match.end())
        if not end:
            endless.add(name)
            continue
        content = text[match.end() : end.start()] if name == "nowiki" else ""
        pieces += [text[position : match.start()], GAP, _MARKUP.sub(_literal, content)]
        position = end.end()
    return "".join([*pieces, text[position:]])


def _literal(match: re.Match[str]) -> str:
    return match[0] if len(match[0]) > 1 else f"&#{ord(match[0])};"


def _tag(match: re.Match[str]) -> str:
    name = match[1].lower()
    if name in _UNSEEN:
        return ""
    return f"{TAG} " if name in _BREAKS else RAISED if match[0].lower().startswith("<sup") else TAG


@dataclasses.dataclass(slots=True)
class _Open:
    """A link or template that is being read: how many braces opened it (0: "[["), its text, how deep that is nested."""

    braces: int
    pieces: list[str] = dataclasses.field(default_factory=list)
    depth: int = 0

    @property
    def opening(self) -> str:
        return "{" * self.braces or "[["


def _without_brackets(text: str) -> str:
    """Templates and links as the text that they show, innermost first, in one pass."""
    page = _Open(0)
    stack = [page]
    links: list[int] = []  # places in the stack
    braces: list[int] = []
    position = 0

    def close(places: list[int], others: list[int]) -> tuple[_Open, str, int]:
        place = places.pop()
        while others and others[-1] > place:  # opened inside and never closed
            others.pop()
        first, *rest = stack[place:]
        del stack[place:]
        inner = itertools.chain.from_iterable((one.opening, *one.pieces) for one in rest)
        return first, "".join([*first.pieces, *inner]), 1 + max(one.depth for one in (first, *rest))

    def show(shown: str | None, depth: int) -> None:
        parent = stack[-1]
        parent.depth = max(parent.depth, depth)
        if shown is None or depth > _DEEPEST:
            if parent.pieces:
                parent.pieces[-1] = _CURRENCY_SIGN.sub("", parent.pieces[-1])  # of an amount that is gone
            shown = GAP
        elif shown[:1] and shown[0] in "*#:;=!":  # at the start of a line that would be a list
            shown = f"&#{ord(shown[0])};{shown[1:]}"
        if parent is not page:
            shown = shown.replace("|", "&#124;").replace("=", "&#61;")
        parent.pieces.append(shown)

    for match in _BRACKETS.finditer(text):
        stack[-1].pieces.append(text[position : match.start()])
        position, left = match.end(), len(match[0])
        if match[0][0] in "[{":
            places = links if match[0][0] == "[" else braces
            places.append(len(stack))
            stack.append(_Open(0 if places is links else left))
            continue
        if match[0][0] == "]" and links:
            _, content, depth = close(links, braces)
            show(_link(content), depth)
            continue
        while match[0][0] == "}" and left >= 2 and braces:
            opened, content, depth = close(braces, links)
            size = min(opened.braces, left, 3)
            left -= size
            if opened.braces - size >= 2:
                braces.append(len(stack))
                stack.append(_Open(opened.braces - size))
            elif opened.braces > size:
                stack[-1].pieces.append("{")
            show(None if size == 3 else templates.text_of(content), depth)
        stack[-1].pieces.append(match[0][:left])
    rest = itertools.chain.from_iterable((one.opening, *one.pieces) for one in stack[1:])
    return "".join([*page.pieces, *rest, text[position:]])


def _link(content: str) -> str | None:
    target, _, label = content.partition("|")
    if "\n" in target:
        return f"[[{content}]]"  # no link
    if re.match(r"\s*(?:https?:)?//", target):
        return f"[{content}]"
    prefix, colon, _ = target.partition(":")
    if colon and " ".join(prefix.replace("_", " ").split()).lower() in _HIDDEN:
        return None
    return label if label.strip() else target.strip().removeprefix(":")


def _without_tables(text: str) -> str:
    pieces: list[str] = []
    starts: list[int] = []
    position = 0
    for match in _TABLE.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
        if match[0] == "{|":
            starts.append(len(pieces))
            pieces.append("{|")
        elif starts:
            del pieces[starts.pop() :]
            pieces.append("\n")
        else:
            pieces.append("|}")
    return "".join([*pieces, text[position:]])


def _paragraphs(text: str) -> Iterator[str]:
    skipping: int | None = None  # the level of the heading whose section is left out
    # Lists, indented lines, remains of unbalanced tables and templates.
    left_out = ("*", "#", ":", ";", "|", "{|", "}", *(["!"] if "{|" in text or "|}" in text else []))
    for line in text.split("\n"):
        line = line.strip()
        level = min(len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("=")), (len(line) - 1) // 2, 6)
        if level > 0:
            title = _unmarked(line[level:-level]).strip().lower()
            if skipping is None or level <= skipping:
                skipping = level if title in _BACK_MATTER else None
            continue
        if skipping is not None or line.startswith(left_out):
            continue
        end = line.rfind("]") + 1
        line = _OPEN.sub(" ", _unmarked(_EXTERNAL.sub(r"\1", line[:end]) + line[end:]))
        line = _URL.sub("", html.unescape(_LONG_ENTITY.sub("", line)))
        line = _BRACKET_LEAD.sub("(", _EMPTY_BRACKETS.sub("", line))
        line = _SPACE_BEFORE.sub(r"\1", " ".join(line.split()))
        if line.count(" ") >= _FEWEST_WORDS - 1:
            yield line


def _unmarked(line: str) -> str:
    line = _EXPONENT.sub("^", line).replace(RAISED, "").replace(TAG, "")
    return _MAGIC.sub("", _QUOTES.sub("", line))
