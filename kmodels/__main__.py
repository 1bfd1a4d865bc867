"""The networks from the command line, and the results: list, look at, ask about pictures, check.

    python -m kmodels models
    python -m kmodels summary resnet20
    python -m kmodels predict model.keras cat.png dog.jpg --dataset cifar10
    python -m kmodels verify D-1
    python -m kmodels report

`python -m kmodels COMMAND --help` says more of each.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from kmodels.command_line import Parser, WrongUse, check_backend, fitted, process, say

__all__ = ["cited", "run_command"]


def run_command(argv: Sequence[str]) -> int:
    """Does what a command line asks and returns the exit status.

    0 done, 1 what was checked is not as it should be, 2 a wrong value (one line on standard error says which), 130
    interrupted.

    Args:
        argv: the arguments after `python -m kmodels`.
    """
    try:
        asked = _parse(argv)
        check_backend()
        status: int = asked.do(asked) or 0
        sys.stdout.flush()
    except (WrongUse, ValueError) as error:
        say(f"kmodels: {' '.join(str(error).split())}")
        return 2
    except ModuleNotFoundError as error:
        say(f"kmodels: KERAS_BACKEND={os.environ.get('KERAS_BACKEND')} needs {error.name}")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` has seen enough; what Python flushes at its end must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        say(f"kmodels: {error}")
        return 1
    return status


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser("python -m kmodels", description=fitted(__doc__ or ""), formatter_class=raw, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    table = commands.add_parser("models", help="table of the networks: parameters, cost, input, where they stand")
    table.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    table.add_argument("--json", type=Path, metavar="FILE", help="write what there is to say of them to a file instead")
    table.set_defaults(do=_models)

    summary = commands.add_parser("summary", help="one network, layer by layer")
    summary.add_argument("name", metavar="NAME", help="a name out of the table of `models`")
    summary.set_defaults(do=_summary)

    ask = commands.add_parser("predict", help="what a saved network says of pictures")
    ask.add_argument("file", type=Path, metavar="FILE", help="a .keras file")
    ask.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="PNG, JPEG or WebP")
    ask.add_argument("--dataset", metavar="NAME", help="data set that the classes' names are taken from, as cifar10")
    ask.add_argument("--mean", type=_numbers, metavar="X,…", help="for a model without normalisation: one a channel")
    ask.add_argument("--std", type=_numbers, metavar="X,…", help="as --mean, both in units of pixel / 255")
    ask.add_argument("--resize", choices=("pad", "bilinear"), default="pad", help="as trained (default: pad)")
    ask.add_argument("--top", type=int, default=3, metavar="N", help="most probable classes shown (default: 3)")
    ask.set_defaults(do=_predict)

    check = commands.add_parser("verify", help="recompute a row's scores and verdict from its committed predictions")
    what = check.add_mutually_exclusive_group(required=True)
    what.add_argument("row", nargs="?", metavar="ROW", help="id of a row, such as A-1.2")
    what.add_argument("--all", action="store_true", help="every stored run")
    check.add_argument("--added", action="store_true", help="the cells added to the row's experiments as well")
    check.add_argument("--weights", action="store_true", help="evaluate the kept weights instead (needs Keras)")
    check.add_argument("--experiments", type=Path, metavar="DIR", help="the scripts (default: experiments)")
    check.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="the run files (default: results)"
    )
    check.set_defaults(do=_verify)

    site = commands.add_parser(
        "report", help="a static site, or README's results, from the stored runs; trains nothing"
    )
    site.add_argument("--experiments", type=Path, default=Path("experiments"), metavar="DIR", help="folder of scripts")
    site.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="stored runs (default: results)"
    )
    made = site.add_mutually_exclusive_group()
    made.add_argument(
        "--out", type=Path, default=Path("site"), metavar="DIR", help="where the site goes (default: site)"
    )
    made.add_argument("--readme", type=Path, metavar="FILE", help="rewrite the results in this file instead of a site")
    site.set_defaults(do=_report)
    return parser.parse_args(argv)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers with commas between. Received: {text!r}") from None


def _models(asked: argparse.Namespace) -> None:
    from kmodels.models import MODELS, size_of
    from kmodels.report.wording import abbreviated

    names = asked.names or list(MODELS)
    for name in names:
        _known(name, MODELS)
    if asked.json is not None:
        _write_outlines(names, asked.json)
        return
    wide = max(len(name) for name in names)
    before = f"{'name':{wide}}  {'parameters':>11}  {'MACs':>7}  {'input':>9}  "
    room = max(shutil.get_terminal_size().columns - len(before), 16)
    print(f"{before}source")
    for name in names:
        size = size_of(name)
        lines = textwrap.wrap(cited(MODELS[name].source), room)
        cost, shape = abbreviated(size.macs), "x".join(map(str, size.input_shape))
        print(f"{name:{wide}}  {size.trainable:11,}  {cost:>7}  {shape:>9}  {lines[0]}", flush=True)
        for line in lines[1:]:
            print(f"{'':{len(before)}}{line}")


def _summary(asked: argparse.Namespace) -> None:
    from kmodels.models import MODELS, build, size_of

    _known(asked.name, MODELS)
    size = size_of(asked.name)
    print(f"{asked.name}: {MODELS[asked.name].source}")
    print(f"{size.trainable:,} trainable parameters, {size.statistics:,} running statistics")
    print(f"{size.macs:,} multiply-accumulates an image of {'x'.join(map(str, size.input_shape))}")
    columns = min(shutil.get_terminal_size().columns, 100)
    build(asked.name).summary(line_length=columns, print_fn=print)


def _predict(asked: argparse.Namespace) -> None:
    if asked.top < 1:
        raise WrongUse(f"argument --top: expected 1 or more. Received: {asked.top}")
    from kmodels.data.catalog import CATALOG
    from kmodels.prediction import Prediction, load_network, predict

    network = load_network(asked.file)
    for image in asked.images:
        answer = predict(network, image, mean=asked.mean, std=asked.std, class_names=asked.dataset, resize=asked.resize)
        assert isinstance(answer, Prediction)
        names = CATALOG[asked.dataset].class_names if asked.dataset else None
        order = sorted(range(len(answer.probabilities)), key=lambda i: -answer.probabilities[i])[: asked.top]
        shown = (f"{names[i] if names else f'class {i}'} {answer.probabilities[i]:.1%}" for i in order)
        print(f"{image}: {', '.join(shown)}", flush=True)


def _verify(asked: argparse.Namespace) -> int:
    from kmodels.spec.declarations import load_scripts
    from kmodels.verification import rows

    if asked.all and asked.added:
        raise WrongUse("argument --added: expected with a row, as --all checks every run")
    if asked.all and asked.experiments is not None:
        raise WrongUse("argument --experiments: expected with a row, as --all reads the run files alone")
    stored = rows.read_results(asked.results)
    if asked.all:
        found = rows.verify_all(stored)
    else:
        scripts = load_scripts(asked.experiments or Path("experiments"))
        found = rows.verify_row(asked.row, scripts, stored, added=asked.added)
    if asked.weights:
        from kmodels.verification.kept_weights import check_weights

        for line in found.differences:  # as many right as then says nothing where "then" was changed
            print(f"DIFFERENT: {line}")
        runs = (checked.run for cell in found.cells for checked in cell.runs)
        return int(not check_weights(runs, asked.results, say=print) or bool(found.differences))
    for line in rows.described(found, every_run=not asked.all):
        print(line)
    print(rows.conclusion(found))
    return int(not found.same)


def _write_outlines(names: Sequence[str], path: Path) -> None:
    from kmodels.atomic_file import write_atomically
    from kmodels.models.outline import outline

    text = ",\n".join(json.dumps(outline(name), sort_keys=True) for name in names)
    write_atomically(path, f"[\n{text}\n]\n".encode())


def _report(asked: argparse.Namespace) -> None:
    from kmodels.site.publishing import publish_site, refresh_readme

    if asked.readme is not None:
        refresh_readme(asked.readme, asked.experiments, asked.results)
        print(f"written: {asked.readme}")
    else:
        print(f"written: {publish_site(asked.experiments, asked.results, asked.out)}")


def _known(name: str, known: Sequence[str] | dict) -> None:
    if name not in known:
        raise WrongUse(f"argument NAME: expected one out of `python -m kmodels models`. Received: {name!r}")


def cited(source: str) -> str:
    """Returns a preset's source with papers as authors and year: titles are too long for a table.

    Args:
        source: as `kmodels.models.Preset.source` has it.

    Example:
        >>> cited("B-1.6; He et al., Deep Residual Learning for Image Recognition, 2016")
        'B-1.6; He et al. 2016'
    """
    return re.sub(r"(&[^,;]*|et al\.|Krizhevsky), [^;]*?, (\d{4})", r"\1 \2", source)


if __name__ == "__main__":
    process(lambda: run_command(sys.argv[1:]))
