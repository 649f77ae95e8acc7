"""The name of the attachment: veo_<id>.mp4, with what a file name cannot bear replaced."""

import re

_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


def attachment_name(task_id: str) -> str:
    """At most 136 characters: an id has 128. The colon is all that ids may have and file names may not."""
    return f"veo_{_UNFIT.sub('_', task_id)}.mp4"
