"""Small dated raw logs with a pattern that can be learnt, their catalogue, and a config for them.

People walk in circles through the ten items of the category they like best; every fifth item they buy. The first day
is the longest; one item appears only on the last day, three people come late, one item cannot be had.
"""

import csv
import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

FIRST_DAY = date(2024, 5, 1)
NUM_USERS, NUM_ITEMS, NUM_DAYS = 40, 30, 4
K = 5
CATEGORIES = ("tea", "cake", "fruit")
NEW_ITEM, UNAVAILABLE_ITEM = "i29", "i07"
LATE_USERS = ("u37", "u38", "u39")
# Two nights of the same logs, after one whose history is too short to train on: a day to hold out, one to validate on.
SHORT_NIGHT, FIRST_NIGHT, SECOND_NIGHT = (FIRST_DAY + timedelta(days=days) for days in (1, 2, 3))

# Thousands of small jobs end before the second compiler's work pays: some 30 % less processor time in
# tests/ledger/test_run.py. The first alone gets 48 MB for its code, which the classes of Spark fill.
# Delta keeps the logs of 10,000 tables; 476 of the tests' held 1 GB. Those of four warehouses are enough.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m -Ddelta.log.cacheSize=96"
CONFIG = """\
warehouse: warehouse
input:
  events:
    path: "{logs}/*.json"
    format: json
    columns: {{user_id: who, item_id: what, occurred_at: at, action: did, event_id: id}}
    context: [device, price]
  items:
    path: "{logs}/items.csv"
    format: csv
    columns: {{item_id: id, title: name, categories: kinds, available: live}}
    category_separator: "|"
  users: {{path: "{logs}/users.csv", format: csv, columns: {{user_id: id, segment: group}}}}
  actions: {{view: 1.0, buy: {{weight: 2.0}}}}
  future_days: 9
  max_rejected_share: 0.05
examples: {{history_length: 16, event_features: [action, categories, device], numeric_features: [price]}}
model: {{width: 8, layers: 1}}
training: {{workers: 1, launcher: single, epochs: 2, learning_rate: 0.03, events_per_batch: 64}}
evaluation: {{k: [5, 10], popularity_hours: [6, 24, 72], gate: {{mode: dry_run}}}}
recommendations: {{k: 5, similar_items: 3}}
spark:
  master: "local[2]"
  conf: {{spark.sql.shuffle.partitions: 2, spark.driver.memory: 1500m, spark.driver.extraJavaOptions: "{java}"}}
"""


def write_config(folder: Path, logs: Path) -> Path:
    """Write a config whose warehouse lies in ``folder``, which may be new."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "nightly.yaml"
    file.write_text(CONFIG.format(logs=logs, java=JAVA_OPTIONS))
    return file


def write_rules(config: Path, logs: Path) -> None:
    """Write some rules that every list can keep, and put them into the config."""
    rules = [
        {"rule": "not for the new", "kind": "exclude", "item_field": "item_id", "item_value": "i29",
         "user_field": "segment", "user_value": "new"},
        {"rule": "mixed", "kind": "cap", "item_field": "categories", "amount": 4},
        {"rule": "buy again", "kind": "seen", "action": "buy", "days": 2},
    ]  # fmt: skip
    (logs / "rules.json").write_text("".join(f"{json.dumps(rule)}\n" for rule in rules))
    place = f'  rules: {{path: "{logs}/rules.json", format: json}}\n'
    config.write_text(config.read_text().replace("  actions:", f"{place}  actions:"))


def write_logs(folder: Path, seed: int = 7, person: str = "u{:02d}") -> Path:
    """Write one file of JSON lines a day, the catalogue and the users; two rows are bad and one comes twice.

    ``person`` makes an id of a user's number.
    """
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    place = {user: rng.randrange(NUM_ITEMS) for user in range(NUM_USERS)}
    for number in range(NUM_DAYS):
        day = FIRST_DAY + timedelta(days=number)
        walks = ((person.format(user), _events(user, number, place, rng)) for user in range(NUM_USERS))
        lines = [json.dumps({**row, "id": f"{name}{row['id']}", "who": name}) for name, walk in walks for row in walk]
        if number == 1:
            lines[3:3] = ["{broken", lines[0], json.dumps({**json.loads(lines[0]), "id": "x", "did": "steal"})]
        (folder / f"{day}.json").write_text("".join(f"{line}\n" for line in lines))
    with (folder / "items.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "name", "kinds", "live"])
        for item in range(NUM_ITEMS):
            name = f"i{item:02d}"
            kinds = "|".join([CATEGORIES[item // 10], *(["gift"] if item % 5 == 0 else [])])
            rows.writerow([name, f"Item {item}", kinds, "no" if name == UNAVAILABLE_ITEM else "yes"])
    groups = ["new" if user % 4 == 0 else "old" for user in range(NUM_USERS)]
    people = "".join(f"{person.format(user)},{group}\n" for user, group in enumerate(groups))
    (folder / "users.csv").write_text("id,group\n" + people)
    return folder


def _events(user: int, number: int, place: dict[int, int], rng: random.Random) -> list[dict[str, object]]:
    """Return a user's walk on one day: two sittings, events minutes apart."""
    name = f"u{user:02d}"
    if name in LATE_USERS and number < 2:
        return []
    at = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + timedelta(days=number, minutes=rng.randrange(300, 600))
    rows = []
    for step in range(8 if number == 0 else 5):
        at += timedelta(minutes=rng.randrange(1, 20) if step != 3 else 180)
        item = _next_item(place[user], rng)
        if f"i{item:02d}" == NEW_ITEM and number < NUM_DAYS - 1:
            item = 20
        place[user] = item
        rows.append({
            "id": f"-{number}-{step}", "who": name, "what": f"i{item:02d}", "at": at.isoformat(),
            "did": "buy" if item % 5 == 0 else "view", "device": "phone" if user % 2 else "desk", "price": item / 2,
        })  # fmt: skip
    return rows


def _next_item(item: int, rng: random.Random) -> int:
    if rng.random() < 0.1:
        return rng.randrange(NUM_ITEMS)
    return item - item % 10 + (item + 1) % 10
