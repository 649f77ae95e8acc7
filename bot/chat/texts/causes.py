"""Why a task failed, for people: in a few words, in a sentence, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.chat.texts.language import Translator, marked
from bot.veo.causes import Cause, cause_of, is_free_of_charge


@dataclass(frozen=True, slots=True)
class Explanation:
    """`brief` ends a line about the task; `sentence` says it whole; `advice` says what to do."""

    brief: str
    sentence: str
    advice: str


_CHANGE_PROMPT = marked("Change the prompt and create a new task: the same prompt is refused again.")
_OPERATOR = marked(
    "Only the owner of the account at the video API can change that. Your prompt is not the reason."
)

_EXPLANATIONS: Mapping[Cause, Explanation] = {
    Cause.SAFETY_FILTER: Explanation(
        marked("refused by the filter"),
        marked("Google's safety filter refused the prompt or the video."),
        _CHANGE_PROMPT,
    ),
    Cause.PROMINENT_PEOPLE: Explanation(
        marked("refused: a well-known person"),
        marked("Google's filter saw a well-known person in the prompt or in a picture."),
        marked("Leave out names and faces of well-known people, and create a new task."),
    ),
    Cause.MINORS: Explanation(
        marked("refused: a child"),
        marked("Google's filter saw a child in the prompt or in a picture."),
        marked("Describe adults only, and create a new task."),
    ),
    Cause.SEXUAL: Explanation(
        marked("refused: sexual content"),
        marked("Google's filter saw sexual content in the prompt or in a picture."),
        _CHANGE_PROMPT,
    ),
    Cause.VIOLENCE: Explanation(
        marked("refused: violence"),
        marked("Google's filter saw violence or danger in the prompt or in a picture."),
        _CHANGE_PROMPT,
    ),
    Cause.THIRD_PARTY: Explanation(
        marked("refused: a protected work"),
        marked("Google's filter saw a brand, a character or a work that belongs to other people."),
        marked("Leave out names, logos and characters of other people, and create a new task."),
    ),
    Cause.PERSONAL_DATA: Explanation(
        marked("refused: personal data"),
        marked("Google's filter saw personal data in the prompt."),
        marked("Leave out addresses, numbers and the like, and create a new task."),
    ),
    Cause.AUDIO: Explanation(
        marked("the sound was filtered"),
        marked("Google's filter removed the sound, and the video with it."),
        marked("Create the task once more: the same prompt often works the next time."),
    ),
    Cause.IMAGE_NOT_FETCHED: Explanation(
        marked("picture not reachable"),
        marked("The video API could not fetch the input picture."),
        marked("Check that anybody can open the picture's address, and create a new task."),
    ),
    Cause.IMAGE_REFUSED: Explanation(
        marked("the picture was refused"),
        marked("Google's filter refused the input picture."),
        marked("Use another picture and create a new task: the same one is refused again."),
    ),
    Cause.NOT_ENGLISH: Explanation(
        marked("only English prompts"),
        marked("This model takes prompts in English only."),
        marked("Write the prompt in English and create a new task."),
    ),
    Cause.BUSY: Explanation(
        marked("the video API was busy"),
        marked("The video API had too much to do."),
        marked("Create the task once more in a few minutes."),
    ),
    Cause.OUT_OF_CREDIT: Explanation(
        marked("the API account is empty"),
        marked("The account at the video API has no credit left."),
        _OPERATOR,
    ),
    Cause.KEY: Explanation(
        marked("the API key was refused"),
        marked("The video API refused the key that the task was created with."),
        _OPERATOR,
    ),
    Cause.UNKNOWN: Explanation(
        marked("failed"),
        marked("The video API could not make this video."),
        marked("Trying the same prompt once more often works."),
    ),
}


def explanation(t: Translator, reason: str | None) -> Explanation:
    """What the API's text about a failed task means, in the reader's language."""
    found = _EXPLANATIONS[cause_of(reason)]
    free = t("The video API says that this attempt was not charged.") if is_free_of_charge(reason) else ""
    return Explanation(t(found.brief), t(found.sentence), t.sentences(t(found.advice), free))
