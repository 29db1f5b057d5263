import json
import re
from dataclasses import replace

from intentrec.report import write_monitoring
from intentrec.report.monitoring import prometheus_text, summary_json

SAMPLE = re.compile(r'[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? -?[0-9.e+-]+')


def test_every_line_is_a_comment_or_a_sample_and_every_gauge_is_explained_once(full_night):
    text = prometheus_text(full_night)
    assert text.endswith("\n")
    lines = text.splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in samples)
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    typed = [line.split()[2:] for line in lines if line.startswith("# TYPE")]
    assert len(set(helped)) == len(helped)
    assert typed == [[name, "gauge"] for name in helped]
    assert {re.split(r"[{ ]", line)[0] for line in samples} == set(helped)


def test_a_night_as_prometheus_reads_it(full_night):
    lines = prometheus_text(full_night).splitlines()
    assert "intentrec_run_date_seconds 1714694400" in lines  # 2024-05-03T00:00:00Z, the end of 2 May
    assert "intentrec_published 1" in lines
    assert "intentrec_warnings 1" in lines
    assert "intentrec_gate_refusals_in_a_row 2" in lines
    assert 'intentrec_serving_info{model_id="m1",verdict="promoted"} 1' in lines
    assert 'intentrec_stage_seconds{stage="ingest_events",status="finished"} 12.34' in lines
    assert 'intentrec_counted{stage="ingest_events",name="rows_read"} 1234' in lines
    assert 'intentrec_figure{metric="list_churn",segment="all"} 0.5' in lines
    assert 'intentrec_figure{metric="intent_shift",segment="category\\" odd"} 0.25' in lines
    assert 'intentrec_quality{recommender="popularity_1h",role="baseline",metric="ndcg",k="10"} 0.1198' in lines


def test_an_empty_night_is_told_as_well(empty_night):
    lines = prometheus_text(empty_night).splitlines()
    assert "intentrec_published 0" in lines
    assert 'intentrec_serving_info{model_id="",verdict=""} 1' in lines
    assert not any("intentrec_figure" in line for line in lines)


def test_the_summary_is_the_report_without_its_users(full_night):
    told = json.loads(summary_json(full_night))
    assert "samples" not in told
    assert told["run_date"] == "2024-05-02"
    assert told["warnings"] == ["1 user is short of items"]
    assert told["stages"][0]["counters"] == [["rows_read", 1234], ["rows_accepted", 1233]]
    assert told["figures"] == [
        {"metric": "intent_shift", "segment": 'category" odd', "value": 0.25},
        {"metric": "list_churn", "segment": "all", "value": 0.5},
    ]
    assert "ann" not in summary_json(full_night) + prometheus_text(full_night)


def test_the_newest_file_is_that_of_the_newest_night(full_night, tmp_path):
    newest, text = tmp_path / "monitoring" / "intentrec.prom", prometheus_text(full_night)
    earlier = replace(full_night, run_date=full_night.run_date.replace(day=1))
    for night in (earlier, full_night, earlier, full_night):  # the third is filled in
        folder = tmp_path / "reports" / f"{night.run_date}"
        write_monitoring(night, folder, newest.parent)
        assert (folder / "metrics.prom").read_text() == prometheus_text(night)
        assert json.loads((folder / "summary.json").read_text())["run_date"] == f"{night.run_date}"
    assert newest.read_text() == text
