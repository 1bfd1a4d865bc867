"""What figures share: ticks that can be read, words about a spread that there is."""

import itertools

from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kmodels.report.figures import legend_columns, set_log_ticks, spread_note


def labels_in_view(axes):
    """The labels of ticks that are shown, from left to right."""
    low, high = axes.get_xlim()
    pairs = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    shown = [(place, label) for place, label in pairs if low <= place <= high]
    return [label for _, label in sorted(shown, key=lambda pair: pair[0])]


@given(st.lists(st.integers(1_000, 2_000_000_000), min_size=1, max_size=9))
@example([110_000, 175_000, 760_000])  # less than a decade, where Matplotlib writes 3 x 10^5 over 4 x 10^5
@example([175_258, 178_000])
def test_labels_of_a_logarithmic_axis_are_enough_to_read_it_by_and_none_overlap(sizes):
    figure = Figure(figsize=(3.5, 2), layout="none")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.07, 0.3, 0.86, 0.6))  # 3 inches
    axes.plot(sizes, [0.5] * len(sizes), "o")
    set_log_ticks(axes)
    figure.draw_without_rendering()
    labels = labels_in_view(axes)
    assert len({label.get_text() for label in labels}) == len(labels) >= 2
    assert all(a.get_tightbbox().x1 < b.get_tightbbox().x0 for a, b in itertools.pairwise(labels))


def test_sizes_are_written_in_thousands_and_millions():
    axes = Figure().add_subplot()
    axes.set_xlim(90, 1.1e7)
    set_log_ticks(axes)
    write = axes.xaxis.get_major_formatter()
    assert [write(value) for value in (100, 1000, 17_500, 2e6, 3e9)] == ["100", "1 k", "17.5 k", "2 M", "3 G"]


def test_a_spread_is_claimed_only_where_some_cell_has_several_runs():
    one, some, all_have = (spread_note(runs, "point", "bars") for runs in ([1, 1], [1, 3], [2, 3]))
    assert "one seed" in one and "±" not in one
    assert "Bars: ± 1 standard deviation" in some and "a cell with 1 run has none" in some
    assert "Bars: ± 1 standard deviation" in all_have and "has none" not in all_have


def test_the_longer_its_entries_the_fewer_columns_a_legend_has():
    assert [legend_columns(["x", "x" * length]) for length in (10, 40, 60)] == [3, 2, 1]
    assert legend_columns([]) == 3
