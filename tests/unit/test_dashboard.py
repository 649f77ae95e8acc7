"""docs/grafana.json as Grafana's import wants it; its names are held against a running bot elsewhere."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "grafana.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
by_title = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def test_dashboard_asks_for_the_data_source_at_the_import():
    """Nobody's Prometheus has the uid of another's."""
    (variable,) = DASHBOARD["templating"]["list"]

    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["title"]
    assert "id" not in DASHBOARD


def test_panels_have_ids_and_titles_of_their_own():
    """Grafana shows one of two with the same id."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS) >= 10
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_lie_side_by_side_on_the_grid():
    """Twenty-four columns, and none over another."""
    places = [panel["gridPos"] for panel in PANELS]

    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


@by_title
def test_panel_has_a_unit_and_asks_the_chosen_source(panel: dict[str, Any]):
    """Seconds and bytes read as such."""
    assert panel["fieldConfig"]["defaults"]["unit"] in {"s", "Bps", "bytes", "ops", "reqps", "none"}
    assert panel["datasource"] == SOURCE
    assert [target["datasource"] for target in panel["targets"]] == [SOURCE] * len(panel["targets"])


@by_title
def test_queries_of_a_panel_are_told_apart(panel: dict[str, Any]):
    """By their letter, and by what the legend says."""
    targets = panel["targets"]

    assert len({target["refId"] for target in targets}) == len(targets) >= 1
    assert len({target["legendFormat"] for target in targets}) == len(targets)
