"""This program's name and version, as in pyproject.toml, because a container's copy is not installed."""

NAME = "veo-courier"
VERSION = "0.2.0"
