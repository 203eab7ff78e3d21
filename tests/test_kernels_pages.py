"""What the kernels' pages share: traffic against counts by hand, listings, results."""

import json

import torch

from tml_helpers import measured
from tml_helpers.kernels import pages


def test_traffic_counts_what_is_read_and_what_is_written():
    x, y = torch.ones(2, 3, 4)
    with pages.Traffic() as traffic:
        total = x + y
        total.mul_(2)
        total * total
        total.sum()
        total.view(4, 3)
        y + torch.ones(1).expand(3, 4)
    counts = [(name, numbers) for name, numbers in traffic.operations if name in {"add", "mul_", "mul", "sum", "view"}]
    assert counts == [("add", 36), ("mul_", 24), ("mul", 24), ("sum", 13), ("add", 25)]


def example(x: int) -> int:  # type: ignore[unused-ignore]
    y = x + 1
    return y


def test_a_listing_is_the_text_from_one_line_to_before_another(capsys):
    pages.listing(example)
    assert capsys.readouterr().out == "def example(x: int) -> int:\n    y = x + 1\n    return y\n"
    pages.listing(example, first="y =", last="return")
    assert capsys.readouterr().out == "y = x + 1\n"


def test_a_result_is_a_measurement_or_none(tmp_path, monkeypatch):
    (tmp_path / "gpu.json").write_text(json.dumps({"table": [1]}), encoding="utf-8")
    monkeypatch.setattr(measured, "_FOLDER", tmp_path)
    assert pages.result("gpu") == {"table": [1]}
    assert pages.result("cpu") is None


def test_figures_of_a_gpu_are_shown_or_the_page_says_how_to_get_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measured, "_FOLDER", tmp_path)
    assert pages.on_a_gpu("ball_step") is None
    (tmp_path / "gpu.json").write_text(json.dumps({"ball_step": [1]}), encoding="utf-8")
    assert pages.on_a_gpu("superpixels") is None
    assert capsys.readouterr().out.count("python benchmarks/gpu.py") == 2
    assert pages.on_a_gpu("ball_step") == {"ball_step": [1]}
    assert capsys.readouterr().out == ""


def test_a_column_is_shown_with_its_ratio_where_it_has_one(capsys):
    pages.show_milliseconds({"ms": {"eager": 12.345, "ours": 6.0}, "times_as_fast": {"eager": 2.058}})
    assert capsys.readouterr().out == "    eager             12.35    2.06 ×\n    ours               6.00\n"


def test_a_gpu_table_names_card_and_date_and_what_each_line_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measured, "_FOLDER", tmp_path)
    line = {"shape": [2, 3], "norm": "l2", "fewest_bytes": 48, "us": {"eager": 12.34}, "of_ceiling": {"eager": 0.163}}
    card = {"card": "A card", "date": "2026-11-27", "torch": "2.11", "code": "abc"}
    speeds = {"copy_bytes_per_second": 4.25e12, "write_bytes_per_second": 4.65e12}
    content = {"measured": card, **speeds, "ball_step": [line | {"times_as_fast": {}}], "superpixels": []}
    (tmp_path / "gpu.json").write_text(json.dumps(content), encoding="utf-8")
    pages.show_microseconds("ball_step")
    assert capsys.readouterr().out.splitlines() == [
        "A card, 2026-11-27: 4250 GB/s copied",
        "code: abc",
        "[2, 3], l2",
        "    eager                         12.3 µs     16% of that",
    ]
    pages.show_microseconds("superpixels")
    assert "4650 GB/s written" in capsys.readouterr().out
