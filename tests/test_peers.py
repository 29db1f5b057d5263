"""peers.py on two small days: what is live and what of it the next day wants, and RecTools' lists on the same users."""

import csv
import json

import pytest
from tests.running import benchmark

HEAD = (
    "user_id", "session_id", "session_start", "session_size", "click_article_id", "click_timestamp",
    "click_environment", "click_deviceGroup", "click_os", "click_country", "click_region", "click_referrer_type",
)  # fmt: skip
DAY_MS = 86_400_000
BEGIN_MS = 1_506_825_360_000


@pytest.fixture(scope="module")
def peers():
    with benchmark("peers") as found:
        yield found


def written(folder, day, clicks):
    """Write clicks (user, article, hour of the day), each a session of its own."""
    with (folder / f"clicks_day_{day:02d}.csv").open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(HEAD)
        for number, (user, article, hour) in enumerate(clicks):
            at = BEGIN_MS + day * DAY_MS + int(hour * 3_600_000) + number
            rows.writerow((user, 1000 * day + number, at, 1, article, at, 4, 1, 17, 1, 21, 2))


def test_ceilings_and_peers_of_a_day_are_shares_of_its_users(peers, tmp_path):
    # In the last hour 25 users read article 1 and 25 others article 4; five read article 2, too few to be live.
    evening = [(user, 1 if user <= 25 else 4, 23.5) for user in range(1, 51)]
    written(tmp_path, 0, [(60, 9, 0), *evening, *((user, 2, 23.5) for user in range(51, 56))])
    # Next day three of ten readers of article 1 open article 4, five article 2, and two an article that is new.
    next_day = [(user, 4 if user <= 3 else 2 if user <= 8 else 3, 8) for user in range(1, 11)]
    written(tmp_path, 1, [(60, 9, 0), *next_day])
    out = tmp_path / "out.json"
    assert peers.main(["--data", str(tmp_path), "--days", "1", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())["figures"]
    assert figures["day_01:users"] == 10
    assert figures["day_01:ceiling:known"] == pytest.approx(8 / 10)
    for name in ("live", "live_top10", "live_greedy"):
        assert figures[f"day_01:ceiling:{name}"] == pytest.approx(3 / 10)
    assert figures["day_01:rectools:popular_1h:hr@10"] == pytest.approx(8 / 10)  # its list holds 1, 4 and 2
    of_users = {f"day_01:rectools:{name}_{days}d:hr@10" for name in ("item_knn_bm25", "als_64") for days in (1, 5)}
    assert of_users <= set(figures)
    assert all(0 <= figures[name] <= 1 for name in of_users)


@pytest.mark.parametrize("days", ["0", "2"])
def test_days_without_one_before_them_are_refused(peers, tmp_path, days):
    for day in range(2):
        written(tmp_path, day, [(60, 9, 0)])
    with pytest.raises(SystemExit, match=f"--days: wanted 1 to 1 of the folder's 2, is {days}"):
        peers.main(["--data", str(tmp_path), "--days", days, "--out", str(tmp_path / "out.json")])
