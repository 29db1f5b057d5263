from datetime import UTC, date, datetime, timedelta

import pytest
from tests.frames import assert_frames_equal

from intentrec.gate import overrides_of, withdrawal_of
from intentrec.tables import GATE_DECISIONS

DAY = date(2024, 5, 3)
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def decided(verdict, hour, day=DAY):
    return (day, f"m{hour}", verdict, None, None, [], "because", "run", NOON + timedelta(hours=hour))


@pytest.mark.parametrize(
    ("decisions", "withdrawn", "own"),
    [
        ([decided("promoted", 1), decided("pinned", 2)], [], []),
        ([decided("withdrawn", 1), decided("refused", 2)], ["m1"], ["m1"]),
        ([decided("withdrawn", 1), decided("lifted", 2)], [], ["m1", "m2"]),
        ([decided("withdrawn", 3), decided("lifted", 2), decided("withdrawn", 1)], ["m3"], ["m1", "m2", "m3"]),
        ([decided("withdrawn", 1, DAY - timedelta(days=1)), decided("demoted", 2)], [], ["m2"]),
    ],
)
def test_lists_are_withdrawn_until_lifted_and_a_pin_is_for_later_nights(spark, decisions, withdrawn, own):
    rows = spark.createDataFrame(decisions, GATE_DECISIONS.schema)

    def chosen(names):
        return spark.createDataFrame([row for row in decisions if row[1] in names], GATE_DECISIONS.schema)

    assert_frames_equal(withdrawal_of(rows, DAY), chosen(withdrawn))
    assert_frames_equal(overrides_of(rows, DAY), chosen(own))
    assert [row["model_id"] for row in overrides_of(rows, DAY).collect()] == own  # oldest first
