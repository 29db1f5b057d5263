"""sessions -> vocabulary, examples, histories."""

from intentrec.examples.encoding import Encoding, encode, item_categories
from intentrec.examples.files import in_equal_files
from intentrec.examples.judging import JUDGED_COLUMNS, judged_users
from intentrec.examples.night import Night
from intentrec.examples.seen import SeenRule, seen_events, seen_items
from intentrec.examples.sequences import Shape, length_buckets, training_sequences, user_histories
from intentrec.examples.vocabularies import extend_feature_vocabulary, extend_vocabulary, timeline
from intentrec.examples.weighing import Weighing, effective_share, weighed

__all__ = [
    "JUDGED_COLUMNS",
    "Encoding",
    "Night",
    "SeenRule",
    "Shape",
    "Weighing",
    "effective_share",
    "encode",
    "extend_feature_vocabulary",
    "extend_vocabulary",
    "in_equal_files",
    "item_categories",
    "judged_users",
    "length_buckets",
    "seen_events",
    "seen_items",
    "timeline",
    "training_sequences",
    "user_histories",
    "weighed",
]
