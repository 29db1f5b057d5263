import pytest

from intentrec.errors import InputError
from intentrec.starter.profiles import profile
from intentrec.starter.roles import action_word, roles_of

N = 300
USERS = [f"{7 * (n % 40)}" for n in range(N)]
ITEMS = [f"{1000 + n % 110}" for n in range(N)]
TIMES = [str(1_714_521_600 + n) for n in range(N)]
KINDS = [("view", "view", "add_to_cart", "purchase")[n % 4] for n in range(N)]


def chosen(**columns):
    profiles = [profile(name, place, texts) for place, (name, texts) in enumerate(columns.items())]
    roles = roles_of(profiles)
    return {field: column.name for field, column in roles.columns.items()}, roles.guessed


@pytest.mark.parametrize(
    "names",
    [
        ("user_id", "item_id", "timestamp", "event_type"),
        ("visitorid", "itemid", "ts", "event"),
        ("customer", "product_id", "event_time", "action"),
        ("memberId", "articleId", "date", "behavior_type"),
        ("uid", "sku", "created_at", "interaction"),
        ("u", "i", "t", "kind"),  # no name tells users and items: their order does
    ],
)
def test_names_tell_the_roles_whatever_the_order(names):
    user, item, time, action = names
    wanted = {"user_id": user, "item_id": item, "occurred_at": time, "action": action}
    assert chosen(**{user: USERS, item: ITEMS, time: TIMES, action: KINDS})[0] == wanted
    found, guessed = chosen(**{time: TIMES, action: KINDS, user: USERS, item: ITEMS})
    assert found == wanted
    assert guessed == (("user_id", "item_id") if names[0] == "u" else ())


def test_a_log_of_sessions_takes_them_for_users_and_a_user_goes_first():
    assert chosen(SessionId=USERS, ItemId=ITEMS, Time=TIMES)[0]["user_id"] == "SessionId"
    assert chosen(session_id=ITEMS, user_id=USERS, item=ITEMS, time=TIMES)[0]["user_id"] == "user_id"


def test_a_person_is_better_than_a_device_a_device_than_a_session_an_id_than_a_name():
    few = [str(n % 30) for n in range(N)]
    assert chosen(session_id=few, device_id=USERS, item=ITEMS, ts=TIMES)[0]["user_id"] == "device_id"
    assert chosen(device_id=few, anonymous_id=USERS, item=ITEMS, ts=TIMES)[0]["user_id"] == "anonymous_id"
    assert chosen(user=USERS, product_name=ITEMS, product_sku=ITEMS, ts=TIMES)[0]["item_id"] == "product_sku"


def test_of_two_clocks_the_one_that_moves_is_taken():
    starts = [str(1_714_521_600)] * N
    assert chosen(session_start=starts, user=USERS, item=ITEMS, click_timestamp=TIMES)[0]["occurred_at"] == (
        "click_timestamp"
    )


def test_a_clock_beside_days_is_neither_a_user_nor_an_item_and_is_named():
    days, clocks = [f"2024-05-{1 + n % 9:02d}" for n in range(N)], [f"{n % 24:02d}:{n % 60:02d}:00" for n in range(N)]
    columns = {"date": days, "time": clocks, "u": USERS, "i": ITEMS}
    profiles = [profile(name, place, texts) for place, (name, texts) in enumerate(columns.items())]
    roles = roles_of(profiles)
    assert {field: column.name for field, column in roles.columns.items()} == {
        "user_id": "u", "item_id": "i", "occurred_at": "date",
    }  # fmt: skip
    assert roles.clock == "time"
    assert roles_of([profile("ts", 9, TIMES), *profiles[1:]]).clock is None  # a whole time needs none


def test_ids_as_large_as_times_are_no_times():
    large = [str(1_500_000_000 + n % 90) for n in range(N)]
    found = chosen(item_id=large, user_id=USERS, ts=TIMES)[0]
    assert (found["occurred_at"], found["item_id"]) == ("ts", "item_id")


def test_kinds_prices_and_agents_are_neither_users_nor_items():
    few = [str(n % 9) for n in range(N)]
    found = chosen(user_agent=few, item_category=few, user=USERS, item_price=few, item=ITEMS, ts=TIMES)[0]
    assert (found["user_id"], found["item_id"]) == ("user", "item")


def test_further_fields_are_mapped_where_name_and_values_agree():
    numbers = [str(n) for n in range(N)]
    stars = [str(n % 5) for n in range(N)]
    found = chosen(event_id=numbers, user=USERS, item=ITEMS, ts=TIMES, step=numbers, rating=stars)[0]
    assert (found["event_id"], found["sequence"], found["value"]) == ("event_id", "step", "rating")
    assert "event_id" not in chosen(event_id=stars, user=USERS, item=ITEMS, ts=TIMES)[0]  # not one a row


def test_a_csv_without_names_is_read_by_order():
    found, guessed = chosen(_c0=USERS, _c1=ITEMS, _c2=[str(n % 10) for n in range(N)], _c3=TIMES)
    assert found == {"user_id": "_c0", "item_id": "_c1", "occurred_at": "_c3", "value": "_c2"}
    assert guessed == ("user_id", "item_id")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"user": USERS, "item": ITEMS}, "occurred_at: none of the columns user, item"),
        ({"ts": TIMES, "kind": KINDS}, "user_id: none of the columns ts, kind"),
        ({"user": USERS, "ts": TIMES}, "item_id: none of the columns user, ts"),
    ],
)
def test_a_role_without_a_column_is_an_error(columns, said):
    with pytest.raises(InputError, match=said):
        chosen(**columns)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("view", "view"), ("add_to_cart", "addtocart"), ("Cart added", "cart"),
        ("remove_from_cart", "remove"), ("AddToCart", "addtocart"),
        ("clickout item", "clickout"), ("xyz", None),
    ],
)  # fmt: skip
def test_the_strongest_known_word_tells_an_action(text, word):
    assert action_word(text) == word
