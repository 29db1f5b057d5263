"""Training on from an older, smaller model: what is known keeps its place, what is new is added at the end."""

from dataclasses import replace

from torch import Tensor

from intentrec.model.checkpoint import Artifact, Vocabulary
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import NetworkShape

_ITEM_IDS = "items.ids.weight"


def obstacle(old: Artifact, shape: NetworkShape, vocabulary: Vocabulary) -> str | None:
    """Return why a network of ``shape`` cannot start from ``old``, or None where it can.

    Vocabularies may only have grown at their ends; every size and switch must be the same.
    """
    ours = {field.name: field for field in shape.fields}
    if [(field.name, field.columns) for field in old.shape.fields] != [(f.name, f.columns) for f in shape.fields]:
        return "the event features are others"
    grown = replace(
        old.shape,
        num_items=shape.num_items,
        fields=shape.fields,
        dropout=shape.dropout,
        id_drop=shape.id_drop,
        target_action=shape.target_action,
    )
    if grown != shape:
        changed = [name for name in shape.as_dict() if getattr(grown, name) != getattr(shape, name)]
        return f"{', '.join(changed)} changed"
    if vocabulary.items[: len(old.vocabulary.items)] != old.vocabulary.items:
        return "items of the old model changed their index"
    for name, values in old.vocabulary.values.items():
        if name in ours and vocabulary.values.get(name, ())[: len(values)] != values:
            return f"values of {name} changed their index"
    return None


def start_from(network: IntentNetwork, old: Artifact) -> None:
    """Copy the old weights into ``network``; only call where ``obstacle`` found none.

    Rows and columns of new values keep the network's own first numbers; new items start as the unknown item, whose
    vector (with their categories) is what the old model would have scored them by.
    """
    state = network.state_dict()
    for name, weights in old.weights.items():
        ours = state[name]
        ours[tuple(slice(0, size) for size in weights.shape)] = weights.to(ours.device)
    old_items = old.weights[_ITEM_IDS]
    ids_VD: Tensor = state[_ITEM_IDS]
    ids_VD[len(old_items) :] = old_items[0].to(ids_VD.device)
