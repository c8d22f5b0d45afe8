"""Data sets of every kind, brought into one shape; what is wrong with them is named."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sse.errors import SseError
from sse.training.data.sources import load_source, texts_of
from sse.training.recipe import Source

ROWS = [{"anchor": f"question {n}", "positive": f"answer {n}", "negative": f"wrong {n}"} for n in range(20)]


def write(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def load(path, seed=0, **options):
    return load_source(Source(name="it", path=str(path), **options), seed)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_every_kind_of_file(tmp_path, kind):
    loaded = load(write(tmp_path / f"data.{kind}", ROWS))
    assert loaded.rows.column_names == ["anchor", "positive", "negative"]
    assert list(loaded.rows) == ROWS
    assert loaded.dropped == 0


def test_columns_by_name_may_swap_names(tmp_path):
    path = write(tmp_path / "data.jsonl", ROWS)
    loaded = load(path, columns={"anchor": "positive", "positive": "anchor"})
    assert loaded.rows.column_names == ["anchor", "positive"]
    assert loaded.rows[3] == {"anchor": "answer 3", "positive": "question 3"}


def test_columns_by_order(tmp_path):
    rows = [{"id": n, "title": f"t {n}", "abstract": f"a {n}", "other": f"o {n}"} for n in range(5)]
    loaded = load(write(tmp_path / "data.parquet", rows))
    assert loaded.rows[1] == {"anchor": "t 1", "positive": "a 1", "negative": "o 1"}


def test_several_negatives_and_a_cap_on_them(tmp_path):
    rows = [
        {"anchor": "a", "positive": f"p {n}", **{f"negative_{i}": f"n {n} {i}" for i in range(1, 6)}}
        for n in range(4)
    ]
    path = write(tmp_path / "data.parquet", rows)
    assert load(path).rows.column_names == ["anchor", "positive", *(f"negative_{i}" for i in range(1, 6))]
    assert load(path, negatives=2).rows[0] == {
        "anchor": "a",
        "positive": "p 0",
        "negative_1": "n 0 1",
        "negative_2": "n 0 2",
    }
    assert load(path, negatives=0).rows.column_names == ["anchor", "positive"]


def test_rows_without_text_are_dropped_and_counted(tmp_path):
    rows = [dict(row) for row in ROWS]
    rows[0]["anchor"], rows[1]["positive"], rows[2]["negative"] = "", "   ", None
    loaded = load(write(tmp_path / "data.parquet", rows))
    assert (len(loaded.rows), loaded.dropped) == (17, 3)


def test_a_negative_that_most_rows_lack_is_left_out(tmp_path):
    rows = [{**row, "negative": row["negative"] if n < 5 else None} for n, row in enumerate(ROWS)]
    loaded = load(write(tmp_path / "data.parquet", rows))
    assert loaded.rows.column_names == ["anchor", "positive"]
    assert (len(loaded.rows), loaded.dropped) == (20, 0)


def test_limit_is_a_seeded_sample(tmp_path):
    path = write(tmp_path / "data.parquet", ROWS)
    first, again, other = (list(load(path, limit=5, seed=seed).rows["anchor"]) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 5


@pytest.mark.parametrize(("weight", "count"), [(0.5, 10), (1, 20), (2, 40), (2.25, 45), (0.001, 1)])
def test_weight(tmp_path, weight, count):
    rows = load(write(tmp_path / "data.parquet", ROWS), weight=weight).rows
    assert len(rows) == count
    assert len(set(rows["anchor"])) == min(count, 20)


def test_ids_become_labels(tmp_path):
    rows = [{**row, "doc": f"d{n % 3}"} for n, row in enumerate(ROWS)]
    columns = {"anchor": "anchor", "positive": "positive", "id": "doc"}
    labels = list(load(write(tmp_path / "data.parquet", rows), columns=columns).rows["label"])
    assert [a == b for a in labels for b in labels] == [i % 3 == j % 3 for i in range(20) for j in range(20)]


def test_a_text_column_may_be_the_id(tmp_path):
    columns = {"anchor": "anchor", "positive": "positive", "id": "positive"}
    rows = load(write(tmp_path / "data.parquet", ROWS), columns=columns).rows
    assert rows.column_names == ["anchor", "positive", "label"]
    assert rows[2]["positive"] == "answer 2"


@pytest.mark.parametrize("streaming", [False, True])
def test_hub_code_path_on_a_local_repository(tmp_path, streaming):
    """``datasets`` reads a directory as it reads a repository: by the YAML of its README."""
    (tmp_path / "repo" / "data").mkdir(parents=True)
    write(tmp_path / "repo" / "data" / "train.parquet", ROWS)
    (tmp_path / "repo" / "README.md").write_text(
        "---\nconfigs:\n- config_name: triplet\n  data_files:\n  - split: train\n    path: data/train.parquet\n---\n"
    )
    source = Source(
        name="it",
        hub=str(tmp_path / "repo"),
        config="triplet",
        streaming=streaming,
        limit=8 if streaming else None,
    )
    loaded = load_source(source, seed=0)
    assert len(loaded.rows) == (8 if streaming else 20)
    assert {tuple(row.items()) for row in loaded.rows} <= {tuple(row.items()) for row in ROWS}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.jsonl", '{"anchor": "a", "positive": "b"}\n{"anchor": \n', r"data\.jsonl: line 2 is not JSON"),
        ("data.jsonl", '{"anchor": "a", "positive": "b"}\n[1]\n', "line 2 is not a JSON object"),
        ("data.jsonl", '{"anchor": "a"}\n', "fewer than two text columns among anchor"),
        ("data.jsonl", '{"anchor": 1, "positive": "b"}\n', "column 'anchor' holds .*int64.*, not text"),
        ("data.jsonl", '{"anchor": "", "positive": "b"}\n', "no row has both"),
        ("data.csv", "anchor,positive\na,b\nc,d,e\n", "row 3 has 3 fields, the first one 2"),
        ("data.parquet", "not parquet", r"data\.parquet"),
    ],
)
def test_broken_data_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(SseError, match=message) as caught:
        load(tmp_path / name)
    assert "source 'it'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_columns_are_named(tmp_path):
    path = write(tmp_path / "data.parquet", ROWS)
    with pytest.raises(SseError, match=r"no column 'query' \(there are: anchor, positive, negative\)"):
        load(path, columns={"anchor": "query", "positive": "positive"})
    with pytest.raises(SseError, match="no column 'doc'"):
        load(path, columns={"anchor": "anchor", "positive": "positive", "id": "doc"})


def test_texts_come_evenly_and_in_a_fixed_order(tmp_path):
    loaded = [load(write(tmp_path / f"{n}.parquet", ROWS[: 10 * n])) for n in (1, 2)]
    texts = list(texts_of(loaded, rows=10))
    assert texts == list(texts_of(loaded, rows=10))
    assert len(texts) == 3 * (4 + 7)
    assert set(texts_of(loaded, rows=1000)) == {text for row in ROWS for text in row.values()}
