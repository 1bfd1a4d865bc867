"""A result of `benchmarks.gpu` as Markdown.

`python -m benchmarks.gpu_table results/gpu/gpu.json benchmarks/README.md` puts it into the README.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.table import put_into, rows_and_head, where

__all__ = ["render"]


def render(result: dict[str, Any]) -> str:
    """Returns the tables of a result, with the line that says where it was measured.

    Args:
        result: the content of its JSON file.
    """
    parts: list[str] = []
    if result.get("table", {}).get("rows"):
        parts.append(_table(result["table"]["rows"]))
    parts.append("\n".join(_lines(result)))
    parts.append(where(result))
    return "\n\n".join(part for part in parts if part)


def _table(rows: list[dict[str, Any]]) -> str:
    sides = list(rows[0]["images_per_second"])
    head = ["model", "batch", *(f"{side}: images/s, TFLOP/s, share of matmul" for side in sides)]
    head += [f"{side} / twin" for side in sides if side != "twin"] + ["twin"]
    lines = []
    for row in rows:
        cells = [row["model"], str(row["batch"])]
        for side in sides:
            rate, tera, share = (row[key][side] for key in ("images_per_second", "teraflops", "share_of_matmul"))
            cells.append(f"{rate:,.0f}, {tera:.3g}, {share:.1%}")
        for value in row["ratios"].values():
            cells.append(f"**{value['median']:.2f}** ({value['least']:.2f} to {value['most']:.2f})")
        lines.append([*cells, row["twin"]["variant"]])
    return rows_and_head(head, lines)


def _lines(result: dict[str, Any]) -> list[str]:
    lines = [f"- bfloat16 product of matrices: {result['matmul_teraflops']:.3g} TFLOP/s"]
    if left_out := result.get("table", {}).get("left_out"):
        lines.append(f"- rows left out, the time was up: {', '.join(left_out)}")
    texts = {
        "graphs": "CUDA graph, on over off",
        "feeding": "images on the device over NumPy's batches",
        "tfdata": "tf.data's batches",
        "jax": "Keras on JAX",
        "folds": "10 LeNet folds at once over one fold, in time (one by one: 10)",
        "fast": "time to accuracy",
    }
    for part, text in texts.items():
        found = result.get(part)
        if found is None:
            continue
        missing = next(
            (f"{key}: {found[key]}" for key in ("not available", "left out", "failed") if key in found),
            found.get("stand_in"),  # without its figures
        )
        lines += [f"- {text}: {missing}"] if missing else [f"- {text}: {said}" for said in _said(part, found)]
    return lines


def _said(part: str, found: dict[str, Any]) -> list[str]:
    if part in ("graphs", "feeding", "folds"):
        value = found["ratio"]
        return [f"**{value['median']:.2f}** ({value['least']:.2f} to {value['most']:.2f}), {found['model']}"]
    if part in ("tfdata", "jax"):
        where_run = ", ".join(found["platforms"])
        return [f"{found['images_per_second']:,.0f} images/s on {where_run}, {found['preset']}"]
    return [_accuracy(target, value) for target, value in found.items() if isinstance(value, dict)]


def _accuracy(target: str, value: dict[str, Any]) -> str:
    accuracy, seconds = value["accuracy"], value["seconds"]
    reached = "reached" if value["reached"] else "not reached"
    return (
        f"{target} {reached}: {accuracy['mean']:.2%} ± {accuracy['spread']:.2%} in {seconds['mean']:.1f} ±"
        f" {seconds['spread']:.1f} s, n = {len(value['runs'])}; compiling {value['compile_seconds']:.0f} s apart"
    )


if __name__ == "__main__":
    put_into(Path(sys.argv[2]), "gpu", render(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
