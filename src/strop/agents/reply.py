"""What a person's next message says about the turn before it, where it says anything."""

from __future__ import annotations

import re
from dataclasses import dataclass

OPENING = 400
"""Characters read: what a person thinks of the last answer is said first."""

_TAG = re.compile(r"\A\s*\[[^\]\n]{1,40}\]")
_FENCE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_LEVEL = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "，": ",", "。": ".", "！": "!", "？": "?", "…": "."})

# A subject that means the last answer; "the login page does not work" is a new task.
_IT = r"(?:it|this|that|these|those|they|which|still|your (?:\w+ )?(?:fix|change|changes|code|patch|answer|solution))"
_NOT = r"(?:doesn't|does not|doesnt|don't|do not|didn't|did not|didnt|isn't|is not|isnt|aren't|wasn't|won't|will not)"
_SPACED_IT, _SPACED_NOT = _IT.replace(" ", r"\ "), _NOT.replace(" ", r"\ ")
_NEGATIVE = re.compile(
    rf"""\b(?:{_SPACED_IT}\ (?:still\ |just\ |really\ |now\ |also\ |actually\ )?{_SPACED_NOT}\ (?:\w+\ )?
            (?:work|works|working|help|helped|fix|fixed|correct|right|compile|run|pass|passing|build|what|true
            |done|solve)\b
        |(?:but|and|still|sorry,?)\ (?:it\ |this\ |that\ )?(?:still\ )?{_SPACED_NOT}\ (?:\w+\ )?(?:work|working
            |help|compile|run|pass|build)\b
        |(?:still|now|again)\ (?:\w+\ )?(?:fails?|failing|broken|wrong|crash(?:es|ing)?|errors?|red|throws?
            |the\ same|not\ \w+)\b
        |(?:fails?|failing|crash(?:es|ing)?|broken|breaks)\ (?:again|now|still)\b
        |(?:tests?|build|ci)\ (?:are|is)?\ ?(?:still\ |now\ )?(?:fail(?:s|ing|ed)?|broken|red)\b
        |(?:that|this|it|that's|this's|it's|your\ \w+)\ (?:is|was|are|looks|seems)?\ ?
            (?:still\ |totally\ |completely\ |just\ |all\ )?
            (?:wrong|incorrect|broken|nonsense|not\ (?:it|true|right|correct|good|enough|quite|working|fixed|what))\b
        |(?:same|another)\ (?:error|problem|issue|failure|result)\b
        |you\ (?:broke|forgot|missed|misunderstood|didn't|did\ not|deleted|ignored|removed\ the\ wrong|only)\b
        |not\ what\ i\ (?:asked|want|wanted|meant|need|said)\b
        |(?:please\ )?(?:undo|revert|roll\ back)\ (?:that|this|it|your|the\ (?:last|change|changes)|everything|all)\b
        |(?:that|this|it)\ (?:fails|failed|crashes|breaks|broke|made\ it\ worse)\b
        |why\ did\ you\b|try\ (?:it\ )?again\b|i\ (?:said|told\ you)\b
        |(?:geht|funktioniert|läuft|klappt|stimmt)\ (?:\w+\ ){{0,2}}nicht\b|immer\ noch\ (?:falsch|kaputt|rot
            |der\ fehler|nicht)
        |das\ ist\ falsch|(?:ne\ |n')?(?:marche|fonctionne)\ (?:toujours\ )?pas\b|c'est\ (?:faux|pas\ (?:bon|ça))
        |no\ (?:funciona|sirve|es\ (?:eso|correcto))\b|sigue\ (?:fallando|sin|igual)|está\ mal\b
            |não\ (?:funciona|funcionou)\b
        |non\ funziona\b|è\ sbagliato|не\ работает|неправильно|неверно|всё\ ещё)""",
    re.VERBOSE,
)
_NEGATIVE_START = re.compile(
    r"(?:no+|nope|nah|wrong|incorrect|not (?:right|quite|correct|good|working|there)|undo|revert|failed|broken|"
    r"nein|falsch|"
    r"non|faux|mal|errado|sbagliato|нет|неправильно)(?=\s*[,.!;:—-]|\s*$)"
    r"|(?:no|nope|nein|non) (?=(?:that|it|this|you|i|still|don't|do not|the same|das|es|du|ce|c'est)\b)"
    r"|(?:still|again) (?:not|no)\b|(?:doesn't|does not|doesnt|didn't|did not|didnt) (?:work|help|compile|build|"
    r"run|fix)\b"
)
_NO_MEANS_NOTHING = re.compile(
    r"(?:no|non) (?:problem|worries|need|thanks|thank|rush|hurry|more|further|other|changes|idea|matter|prob)\b|"
    r"no\.? ?\d"
    r"|mal (?:sehen|schauen)|not (?:right|quite) (?:now|sure)"
)
_CJK_NEGATIVE = re.compile(
    r"不对|不行|还是不|没有用|错了|不正确|動かない|動きません|違います|間違|안 ?돼|안됩니다|틀렸"
)
_CJK_POSITIVE = re.compile(r"^(?:谢谢|多谢|很好|完美|太好了|太棒了|ありがとう|完璧|素晴らしい|감사|고마워|완벽)")
_LEAD = re.compile(
    r"(?:(?:ok(?:ay)?|yes|yeah|yep|yup|ah|oh|hm+|right|alright|wow|cool|no (?:problem|worries)|ja|oui|sí|si|да|"
    r"and|so|well)"
    r"[\s,.!:;-]+)+"
)
_POSITIVE_START = re.compile(
    r"(?:thanks|thank you|thank u|thx|ty|tysm|cheers|perfect(?:ly)?|great|awesome|excellent|wonderful|fantastic|"
    r"brilliant|"
    r"amazing|lovely|lgtm|looks (?:good|great|right|perfect)|nice(?: (?:work|one|job|fix))?|good (?:job|work)|"
    r"well done|"
    r"(?:(?:it|that|this|everything|all|now it|both) )?(?:now )?(?:works|worked)(?: (?:now|great|well|perfectly|"
    r"fine))?|"
    r"(?:that|this|it) (?:fixed|solved|did|does) (?:it|the trick|the problem|the issue)|(?:that's|it's|this is|"
    r"that is) "
    r"(?:perfect|great|right|correct|exactly|it|good|fixed|working)|exactly(?: what i (?:wanted|needed))?|"
    r"(?:all )?(?:the )?tests? (?:now )?pass(?:es|ing)?(?: now)?|"
    r"(?:vielen )?danke?(?: schön| dir)?|perfekt|super|prima|klasse|funktioniert(?: jetzt)?|passt(?: so)?|"
    r"merci|parfait|génial|ça (?:marche|fonctionne)|gracias|muchas gracias|perfecto|genial|funciona|ya funciona|"
    r"obrigad[oa]|perfeito|grazie|perfetto|funziona|спасибо|отлично|работает|супер)(?=[\s,.!;:)]|$)"
)
_NOT_YET = re.compile(
    r"(?:if|when|whenever|in case|unless|make sure|until|check (?:if|whether|that)|whether|see if|wenn|falls|si|"
    r"se|если)"
    r"\b[^.!?\n]*\Z"
)
_HOPE = re.compile(
    r"(?:thanks|thank you|cheers|merci|danke|gracias) (?:in advance|for (?:helping|looking|your help))|\bim voraus\b"
)
_DOUBT = re.compile(r"another\b|why did you\b")
_TURN = re.compile(r"\b(?:but|however|except|although|though|aber|jedoch|mais|pero|mas|ma|но)\b|但|でも|하지만")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """`says` is False for a complaint, True for thanks, None for a message that says nothing about the last turn."""

    says: bool | None
    text: str = ""
    """The words that say so."""
    rejects: bool = False
    """Whether a complaint says that the work is wrong, and does not only ask about it or name another trouble."""


def read(message: str) -> Reply:
    """What `message`, the next one after a turn, says about the turn. A complaint outweighs thanks."""
    plain = _FENCE.sub(" ", _TAG.sub("", message[: 4 * OPENING])).translate(_LEVEL).casefold()
    opening = " ".join(plain.split())[:OPENING].lstrip(" \"'*>-¡¿")
    after_lead = opening[match.end() :] if (match := _LEAD.match(opening)) else opening
    complaint = _complaint(opening, after_lead)
    if complaint:
        return Reply(says=False, text=complaint, rejects=_DOUBT.match(complaint) is None)
    thanks = _POSITIVE_START.match(after_lead) or _CJK_POSITIVE.match(after_lead)
    if thanks is None or _HOPE.match(after_lead):
        return Reply(says=None)
    sentence = re.split(r"[.!;\n]", after_lead[thanks.end() :], maxsplit=1)[0]
    if sentence.rstrip().endswith("?") or _TURN.search(after_lead[thanks.end() : thanks.end() + 200]):
        return Reply(says=None)
    return Reply(says=True, text=thanks.group())


def _complaint(opening: str, after_lead: str) -> str:
    start = _NEGATIVE_START.match(after_lead)
    if start is not None and not _NO_MEANS_NOTHING.match(after_lead):
        return _around(after_lead, start)
    cjk = _CJK_NEGATIVE.search(opening)
    if cjk is not None:
        return cjk.group()
    doubt = ""
    for match in _NEGATIVE.finditer(opening):
        before = re.split(r"[.!?\n]", opening[: match.start()])[-1]
        asked = opening[match.end() :].lstrip(" \"'").startswith("?") and "why" not in match.group()
        if asked or _NOT_YET.search(before):
            continue
        if _DOUBT.match(match.group()) is None:
            return match.group()
        doubt = doubt or match.group()
    return doubt


def _around(text: str, match: re.Match[str]) -> str:
    return re.split(r"[.!?\n]", text[match.start() : match.start() + 80])[0].strip() or match.group()
