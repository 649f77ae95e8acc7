"""The errors that a task can fail with: real texts, unusual forms, and one hostile text."""

from __future__ import annotations

from typing import Any

_FEEDBACK = "Try rephrasing the prompt. If you think this was an error, send feedback."

HOSTILE = (
    "@everyone @here <@1> <#1> `tick` ```fence``` **bold** ||spoiler|| [free nitro](https://evil.example) "
    "<script>document.title='owned'</script> <img src=x onerror=alert(1)> "
    "\u202egnp.exe\u202c \u200b\n# heading\n> quote\n-# small\n```"
)

# label in the page -> the API's `error`
REASONS: dict[str, str | dict[str, Any] | None] = {
    "Prompt against the guidelines": (
        "The prompt could not be submitted. This prompt contains words that violate Vertex AI's usage "
        f"guidelines. {_FEEDBACK} Support codes: 29310472"
    ),
    "Sensitive words": (
        "The prompt could not be submitted. This prompt contains sensitive words that violate Google's "
        f"Responsible AI practices. {_FEEDBACK} Support codes: 58061214"
    ),
    "Input image against the guidelines": (
        "Veo could not generate videos because the input image violates Vertex AI's usage guidelines. "
        "Support codes: 15236754"
    ),
    "Nothing came out": (
        "Veo could not generate 1 videos based on the prompt provided. You will not be charged for this "
        "request. Support codes: 42237218"
    ),
    "Trouble with the audio": (
        "We encountered an issue with the audio for your prompt, which means we could not create your "
        "video. You have not been charged for this attempt."
    ),
    "Unsafe generation": "PUBLIC_ERROR_UNSAFE_GENERATION",
    "Prominent people": "PUBLIC_ERROR_PROMINENT_PEOPLE_FILTER_FAILED",
    "A minor in the image": "PUBLIC_ERROR_MINOR_UPLOAD",
    "Audio filtered": "PUBLIC_ERROR_AUDIO_FILTERED",
    "Too many requests": "PUBLIC_ERROR_USER_REQUESTS_THROTTLED",
    "Unusual activity": "PUBLIC_ERROR_UNUSUAL_ACTIVITY",
    "Only English": "Only English prompts are supported at this time",
    "Image not reachable": (
        "Failed to fetch the image. Kindly verify any access limits set by you or your service provider"
    ),
    "Rejected by Flow": "Your request was rejected by Flow(content policy)",
    "One word": "UNSAFE_CONTENT",
    "Out of credit (Chinese)": "余额不足\uff0c请充值后重试",
    "Risk control (Chinese)": "内容违规\uff0c触发风控\uff0c请修改提示词",
    "An object instead of text": {"code": 3, "message": "content rejected"},
    "No reason at all": None,
    "Hostile text": HOSTILE,
    "Very long": "The prompt was rejected, and here is why, at length. " * 90,
}
