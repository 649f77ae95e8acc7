"""This program's name and version, as in pyproject.toml: a copied program (a container) is not installed."""

NAME = "veo-courier"
VERSION = "0.1.0"
