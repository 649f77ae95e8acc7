"""docs/grafana.json has the form that Grafana imports. Another test compares its names with a running bot."""

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


def test_dashboard_asks_for_the_data_source_on_import():
    """The uid of a data source differs between installations."""
    (variable,) = DASHBOARD["templating"]["list"]

    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["title"]
    assert "id" not in DASHBOARD


def test_panels_have_unique_ids_and_titles():
    """Grafana shows only one of two panels with the same id."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS) >= 10
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_fit_the_grid_without_overlap():
    """The grid has 24 columns."""
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
def test_panel_has_a_unit_and_queries_the_chosen_source(panel: dict[str, Any]):
    """So that seconds and bytes are formatted as such."""
    assert panel["fieldConfig"]["defaults"]["unit"] in {"s", "Bps", "bytes", "ops", "reqps", "none"}
    assert panel["datasource"] == SOURCE
    assert [target["datasource"] for target in panel["targets"]] == [SOURCE] * len(panel["targets"])


@by_title
def test_queries_of_a_panel_have_unique_letters_and_legends(panel: dict[str, Any]):
    targets = panel["targets"]

    assert len({target["refId"] for target in targets}) == len(targets) >= 1
    assert len({target["legendFormat"] for target in targets}) == len(targets)
