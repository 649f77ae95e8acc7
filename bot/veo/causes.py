"""Why a task failed, by the text that the video API gave: text -> Cause. Pure, and never an exception.

The texts come from Google (support codes of its filters: Vertex AI, "Responsible AI and usage guidelines for
Veo"), from the names of errors of Google's Flow, and from services that resell Veo, in English and Chinese.
"""

import re
from collections.abc import Sequence
from enum import StrEnum


class Cause(StrEnum):
    """What a failed task's text means for the person who asked."""

    OUT_OF_CREDIT = "out_of_credit"  # money or quota: a matter of the operator
    KEY = "key"  # the API key: a matter of the operator
    MINORS = "minors"
    PROMINENT_PEOPLE = "prominent_people"
    SEXUAL = "sexual"
    VIOLENCE = "violence"
    THIRD_PARTY = "third_party"  # a brand, a character, somebody's work
    PERSONAL_DATA = "personal_data"
    AUDIO = "audio"  # the sound was filtered; the same prompt often works the next time
    IMAGE_NOT_FETCHED = "image_not_fetched"
    IMAGE_REFUSED = "image_refused"
    NOT_ENGLISH = "not_english"
    SAFETY_FILTER = "safety_filter"  # a filter, and nothing more is known
    BUSY = "busy"  # rate limit, load, maintenance, time-out
    UNKNOWN = "unknown"


def cause_of(reason: str | None) -> Cause:
    """What the API's text means: the first row of the table that matches, else UNKNOWN."""
    text = (reason or "").casefold()
    return next((cause for cause, pattern in _TABLE if pattern.search(text)), Cause.UNKNOWN)


def is_free_of_charge(reason: str | None) -> bool:
    """Whether the API says that this attempt costs nothing. Otherwise nothing is known about it."""
    return _FREE_OF_CHARGE.search((reason or "").casefold()) is not None


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _codes(codes: Sequence[int]) -> str:
    return rf"\b(?:{'|'.join(map(str, codes))})\b"


_FREE_OF_CHARGE = _any(
    r"not (?:be |been )?charged", r"no charge", r"未扣费|不扣费|不会扣|不收费|已退还|已退款"
)

# From the most particular to the most general: a text about a filter often names its category as well.
_TABLE: Sequence[tuple[Cause, re.Pattern[str]]] = (
    (
        Cause.OUT_OF_CREDIT,
        _any(
            r"insufficient[\w\s]{0,20}(?:balance|credit|quota|funds)",
            r"(?:balance|credits?|funds)[\w\s]{0,20}(?:insufficient|not enough|too low|exhausted)",
            r"(?:not enough|out of|no) (?:credits?|balance|funds)",
            r"quota[\w\s]{0,20}(?:exceeded|exhausted|used up)|exceeded[\w\s]{0,20}quota",
            r"payment required|billing|arrears|top up",
            r"余额|额度|积分|点数|欠费|充值|配额",
        ),
    ),
    (
        Cause.KEY,
        _any(r"api[ _-]?key|unauthori[sz]ed|invalid token|permission_denied", r"密钥|令牌|鉴权|未授权"),
    ),
    (
        Cause.MINORS,
        _any(_codes([58061214, 17301594]), r"error_minor", r"\bminors?\b|\bchild(?:ren)?\b", r"未成年|儿童"),
    ),
    (
        Cause.PROMINENT_PEOPLE,
        _any(
            _codes([29310472, 15236754]),
            r"prominent[ _]people|prominent person|celebrit|public figure",
            r"名人|公众人物|知名人物|明星",
        ),
    ),
    (
        Cause.SEXUAL,
        _any(
            _codes([90789179, 43188360]),
            r"error_sexual|\bsexual|\bnud(?:e|ity)\b|\bnsfw\b",
            r"色情|性暗示|裸露|涉黄",
        ),
    ),
    (
        Cause.VIOLENCE,
        _any(
            _codes([61493863, 56562880, 62263041]),
            r"\bviolen(?:ce|t)\b|dangerous content",
            r"暴力|血腥|危险内容",
        ),
    ),
    (
        Cause.THIRD_PARTY,
        _any(
            _codes([35561574, 35561575]),
            r"error_ip_|third[- ]party content|copyright|trademark|intellectual property",
            r"版权|侵权|商标",
        ),
    ),
    (
        Cause.PERSONAL_DATA,
        _any(_codes([92201652]), r"personal(?:ly identifiable)? information", r"个人信息|隐私"),
    ),
    (
        Cause.AUDIO,
        _any(
            r"audio_filtered",
            r"(?:issue|problem) with the audio|audio[\w\s]{0,30}(?:filter|block|flag)",
            r"音频",
        ),
    ),
    (
        Cause.IMAGE_NOT_FETCHED,
        _any(
            r"(?:fail(?:ed)?|unable|could not|cannot|error)[\w\s]{0,12}(?:fetch|download|load|read|access)"
            r"[\w\s]{0,12}image",
            r"image[\w\s]{0,20}(?:fetch|download) fail",
            r"图片?.{0,6}(?:下载|获取|读取|加载)失败|(?:下载|获取|读取|加载).{0,6}图片?失败",
        ),
    ),
    (
        Cause.IMAGE_REFUSED,
        _any(
            r"input image violates|unsafe image|error_unsafe_image|image_upload",
            r"image[\w\s]{0,30}(?:violat|unsafe|flagged|rejected|blocked|not allowed)",
            r"图.{0,8}(?:违规|敏感|不合规|审核)",
        ),
    ),
    (Cause.NOT_ENGLISH, _any(r"only english", r"仅支持英文|只支持英文|请使用英文")),
    (
        Cause.SAFETY_FILTER,
        _any(
            r"usage guidelines|responsible ai|content[ _]polic|policy violation",
            r"violat\w+[\w\s']{0,40}polic",
            r"unsafe|safety|\bprohibited\b|moderation|sensitive (?:words|content)",
            r"rai_?media|was flagged|support codes?",
            r"could not generate \d* ?videos? based on the prompt",
            r"风控|违规|违反|敏感|不合规|审核|安全策略",
        ),
    ),
    (
        Cause.BUSY,
        _any(
            r"throttl|rate.?limit|too many requests|resource[ _]has been exhausted",
            r"resource_exhausted|unusual_activity",
            r"overload|high (?:load|demand)|\bbusy\b|try again later|maintenance|unavailable",
            r"tim(?:e|ed)[ -]?out",
            r"繁忙|限流|频繁|稍后|维护|超时|排队",
        ),
    ),
)
