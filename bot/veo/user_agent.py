"""The name under which the bot asks the video API and the video's host."""

from importlib.metadata import PackageNotFoundError, version


def _installed_version() -> str:
    try:
        return version("veo-courier")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


USER_AGENT = f"veo-courier/{_installed_version()}"
