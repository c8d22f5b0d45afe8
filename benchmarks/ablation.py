"""What each setting of a recipe is worth: one training a row and seed, all measured on the same tuning sets.

The rows are in a plan: ablation.toml (200 steps a row) or whole.toml (whole trainings of the released recipe). A
training or a measurement that is done is not done again, so the program can be stopped and started anew; the table is
written at the end. A row differs from the one it names as `over` (the first one, if it names none) by its settings
alone; the difference of the mean nDCG@10, averaged over the seeds query by query, has a paired bootstrap interval
over queries.

    python benchmarks/ablation.py --data DIR --eval DIR --teacher MODEL -o RUNS    # writes ablation.md
    python benchmarks/ablation.py --data DIR --eval DIR --teacher MODEL -o RUNS --only base crops
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean

from sse.eval import EvalReport, compare
from sse.eval.results import Scores

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
MATRYOSHKA = (256, 128, 64)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    settings: tuple[str, ...]
    over: str | None = None
    note: str = ""
    reports: tuple[EvalReport, ...] = field(default=())
    minutes: float = 0.0


def main() -> None:
    """Train and measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", type=Path, default=HERE / "ablation.toml")
    parser.add_argument("--data", required=True, help="directory of the training pairs")
    parser.add_argument("--eval", required=True, type=Path, help="directory of the evaluation sets")
    parser.add_argument("--teacher", required=True, help="directory or Hub id of all-MiniLM-L6-v2")
    parser.add_argument("--runs", "-o", required=True, type=Path, help="directory for models and results")
    parser.add_argument("--only", nargs="*", help="names of rows to run; all are reported")
    parser.add_argument("--seeds", nargs="*", type=int, help="seeds to run; all are reported")
    parser.add_argument("--no-report", action="store_true", help="train and measure, write no table")
    parser.add_argument("--output", type=Path, help="by default beside the plan, named after it")
    given = parser.parse_args()
    plan = tomllib.loads(given.plan.read_text(encoding="utf-8"))
    places = {"data": given.data, "teacher": given.teacher}
    rows = []
    for entry in plan["row"]:
        base = next((row for row in rows if row.name == entry.get("over", plan["row"][0]["name"])), None)
        settings = (*(base.settings if base else plan["settings"]), *entry.get("settings", ()))
        row = Row(entry["name"], settings, base.name if base else None, entry.get("note", ""))
        for seed in plan["seeds"]:
            directory = given.runs / f"{row.name}-{seed}"
            if (given.only is None or row.name in given.only) and seed in (given.seeds or plan["seeds"]):
                run(row, seed, directory, plan, places, given.eval)
            if (directory / "results.json").is_file():
                row = measured(row, directory)
        rows.append(row)
    if not given.no_report:
        output = given.output or given.plan.with_suffix(".md")
        output.write_text(report(rows, plan, given.plan.name), encoding="utf-8")


def run(row: Row, seed: int, directory: Path, plan: dict, places: dict[str, str], sets: Path) -> None:
    """Train and measure one row with one seed, unless that is done."""
    sse = [str(Path(sys.executable).parent / "sse")]
    if not (directory / "modules.json").is_file():
        print(f"{time.strftime('%H:%M:%S')} {directory.name}", flush=True)
        settings = [f"data={places['data']}", *row.settings, f"train.seed={seed}"]
        options = [word for setting in settings for word in ("--set", setting.format(**places))]
        subprocess.run(
            [*sse, "train", plan["recipe"], "-o", str(directory), "--resume", *options], check=True
        )
    if not (directory / "results.json").is_file():
        suites = [word for name in plan["sets"] for word in ("--suite", str(sets / name))]
        dims = [f"--dims={','.join(map(str, plan['dims']))}"]
        command = [*sse, "eval", str(directory), *suites, *dims, "--no-bm25", "-o", str(directory)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print(f"  {EvalReport.load(directory).mean(plan['dims'][0]):.4f}", flush=True)


def measured(row: Row, directory: Path) -> Row:
    """The row with the results in ``directory`` added."""
    training = json.loads((directory / "training" / "result.json").read_text(encoding="utf-8"))
    done = len(row.reports)
    minutes = (row.minutes * done + training["seconds"] / 60) / (done + 1)
    return replace(row, reports=(*row.reports, EvalReport.load(directory)), minutes=minutes)


def over_seeds(reports: tuple[EvalReport, ...]) -> EvalReport:
    """One report whose scores of a query are means over the reports."""
    first, sets = reports[0], {}
    for name, result in first.sets.items():
        dims = {}
        for dim in result.dims:
            each = [report.sets[name].dims[dim] for report in reports]
            per_query = {query: mean(one.per_query[query] for one in each) for query in each[0].per_query}
            metrics = {key: mean(one.metrics[key] for one in each) for key in each[0].metrics}
            dims[dim] = Scores(metrics, per_query)
        sets[name] = replace(result, dims=dims)
    return replace(first, sets=sets)


def report(rows: list[Row], plan: dict, file: str) -> str:
    """The Markdown file of the plan in ``file``."""
    widest = plan["dims"][0]
    always = [setting for setting in plan["settings"] if "{" not in setting]
    lines = [
        "# What each setting is worth",
        "",
        f"nDCG@10 on {len(plan['sets'])} sets that may be tuned on ({', '.join(plan['sets'])}), mean over the seeds "
        f"that have a value below, of {', '.join(map(str, plan['seeds']))}. Written by `{command(file)}`; "
        f"what the rows are is in [{file}]({file}). The recipe is `{plan['recipe']}`"
        f"{' with ' if always else ''}{', '.join(f'`{setting}`' for setting in always)}. Over: the row that this "
        "one changes. The interval (95 %) is a paired bootstrap over queries; it does not cover what another seed "
        "would change, which is what the column of seeds shows.",
        "",
        f"| row | settings | mean at {widest} | seeds | over | difference | interval | "
        + " | ".join(f"{dim} keeps" for dim in MATRYOSHKA)
        + " | minutes |",
        "|" + " --- |" * 2 + " ---: | :---: | --- | ---: | :---: |" + " ---: |" * (len(MATRYOSHKA) + 1),
    ]
    known = {row.name: row for row in rows if row.reports}
    for row in known.values():
        mine = over_seeds(row.reports)
        base = known.get(row.over or "")
        difference = interval = "-"
        if base is not None:
            seeds = min(len(row.reports), len(base.reports))
            found = compare(over_seeds(row.reports[:seeds]), over_seeds(base.reports[:seeds])).mean
            difference, interval = f"{found.difference:+.4f}", f"{found.low:+.4f} .. {found.high:+.4f}"
        kept = [f"{mine.mean(dim) / mine.mean(widest):.1%}" for dim in MATRYOSHKA]
        seeds_shown = " ".join(f"{one.mean(widest):.4f}" for one in row.reports)
        own = row.settings[len(known[row.over].settings) :] if base is not None else ()
        cells = [
            row.name,
            " ".join(f"`{setting}`" for setting in own),
            f"{mine.mean(widest):.4f}",
            seeds_shown,
        ]
        cells += [row.over or "-", difference, interval, *kept, f"{row.minutes:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Set by set", "", "| row | " + " | ".join(plan["sets"]) + " |"]
    lines.append("|" + " --- |" + " ---: |" * len(plan["sets"]))
    for row in known.values():
        mine = over_seeds(row.reports)
        cells = [f"{mine.sets[name].dims[widest].metrics['ndcg@10']:.4f}" for name in plan["sets"]]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    notes = [f"- **{row.name}**: {row.note}" for row in known.values() if row.note]
    if notes:
        lines += ["", "## Notes", "", *notes]
    return "\n".join(lines) + "\n"


def command(file: str) -> str:
    """The command that ran this program, without the places of this machine."""
    plan = "" if file == "ablation.toml" else f" --plan benchmarks/{file}"
    return f"python benchmarks/ablation.py{plan} --data DATA --eval EVAL --teacher MINILM -o RUNS"


if __name__ == "__main__":
    main()
