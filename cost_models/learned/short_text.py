"""Trees as the text that files of them hold: half as long as LightGBM's when it is packed, and of the same trees.

One line for each column of all trees' nodes, as a walk from the left comes upon them; a split is told by its place
among those of its feature, and what is a child of what by where nodes and leaves lie in the walk:

    features=3                  that splits may ask
    decimals=4                  of the values of leaves, which are whole numbers here
    splits_0=0.5:2 1.5:2        of the first feature, each a threshold and LightGBM's decision_type
    shape=1010010               1 a node, 0 a leaf: here trees of three leaves, and of two
    feature=0 2 0               of each node
    split=1 0 0                 of each node, its place among those of its feature
    leaf_value=-47 12 3 8 5
"""

from __future__ import annotations

import numpy as np

from ircost.cost_models.learned.tree_text import TreeArrays, checked_trees, fields, numbers, starts_of

DECIMALS = range(4, 13)  # that leaves may have; more are rounded
HEAD = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx={last}
objective=regression_l1
feature_names={names}
feature_infos={infos}
"""


def short_text(trees: TreeArrays) -> str:
    """The text of trees."""
    shape, nodes, leaves = _walked(trees)
    asked = np.stack([trees.feature, trees.threshold, trees.kind], axis=1)[nodes]
    splits, place = np.unique(asked, axis=0, return_inverse=True)
    first = np.searchsorted(splits[:, 0], np.arange(trees.features + 1))
    scale, decimals = leaf_scale(trees.value)
    told = [f"{threshold!r}:{int(kind)}" for threshold, kind in splits[:, 1:].tolist()]
    feature = trees.feature[nodes]
    lines = {
        **{"features": str(trees.features), "decimals": str(decimals)},
        **{f"splits_{of}": " ".join(told[first[of] : first[of + 1]]) for of in range(trees.features)},
        "shape": "".join("01"[is_node] for is_node in shape),
        "feature": _words(feature),
        "split": _words(place.ravel() - first[feature]),
        "leaf_value": _words(np.rint(trees.value[leaves] * scale).astype(np.int64)),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items() if value or not name.startswith("splits"))


def leaf_scale(values: np.ndarray) -> tuple[float, int]:
    """The least power of ten that makes whole numbers of them, as far as decimals are kept, and its exponent."""
    for decimals in DECIMALS:
        scaled = values * 10.0**decimals
        if np.allclose(scaled, np.rint(scaled), rtol=0, atol=1e-6):
            break
    return 10.0**decimals, decimals


def _walked(trees: TreeArrays) -> tuple[list[bool], np.ndarray, np.ndarray]:
    """What a walk from the left comes upon: whether it is a node, the nodes, and the leaves, each by its place."""
    count = len(trees.feature)
    left, right = trees.left.tolist(), trees.right.tolist()
    walk, ahead = [], trees.roots.tolist()[::-1]
    while ahead:
        place = ahead.pop()
        walk.append(place)
        if place < count:
            ahead += (right[place], left[place])
    found = np.array(walk)
    is_node = found < count
    return is_node.tolist(), found[is_node], found[~is_node] - count - 1


def _words(values: np.ndarray) -> str:
    return " ".join(map(str, values.tolist()))


def trees_of_short_text(text: str, features: int) -> TreeArrays:
    """The trees.

    Raises:
        ValueError, KeyError: something is missing, no number or out of range, or the shape is none of whole trees.
    """
    lines = fields(text)
    if lines["features"] != str(features):
        raise ValueError(f"features is {lines['features']}, {features} expected")
    if lines["decimals"] not in map(str, DECIMALS):
        raise ValueError(f"{lines['decimals']} decimals of leaves")
    if lines["shape"].encode().translate(None, b"01"):
        raise ValueError("shape: ones and zeros expected")
    is_node = np.frombuffer(lines["shape"].encode(), dtype=np.uint8) == ord("1")
    nodes, left, right = _children(is_node)
    feature = numbers("feature", [lines["feature"]], int(nodes.sum()), int)
    split = numbers("split", [lines["split"]], len(feature), int)
    if len(feature) and not 0 <= feature.min() <= feature.max() < features:
        raise ValueError(f"splits of features beyond the {features} that there are")
    told = [lines.get(f"splits_{of}", "").split() for of in range(features)]
    own = np.array([len(splits) for splits in told])
    if len(feature) and (split.min() < 0 or (split >= own[feature]).any()):
        raise ValueError("a split is none of its feature's")
    words = [word.partition(":")[::2] for splits in told for word in splits]
    threshold = numbers("threshold", [word for word, _ in words], len(words), float)
    kind = numbers("decision_type", [word for _, word in words], len(words), int)
    place = (np.cumsum(own) - own)[feature] + split
    leaves = numbers("leaf_value", [lines["leaf_value"]], len(feature) + len(nodes), int)
    value = leaves / 10.0 ** int(lines["decimals"])
    return checked_trees(TreeArrays(features, nodes, feature, threshold[place], kind[place], left, right, value))


def _children(is_node: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[trees] how many nodes each has, and [all nodes] the places of left and right children (see ``TreeArrays``).

    What follows a node is its left child. The right one follows the first leaf that brings the walk, in which each
    node opens one subtree more and each leaf closes one, below where it was before the node.

    Raises:
        ValueError: the last tree ends before it is whole, or there is none.
    """
    step = np.where(is_node, 1, -1)
    is_open = np.cumsum(step)
    lowest = np.minimum.accumulate(np.append(0, is_open))
    ends = np.flatnonzero(np.diff(lowest))
    if not len(is_node) or not len(ends) or ends[-1] != len(is_node) - 1:
        raise ValueError("shape: the last tree is cut short")
    count = int(is_node.sum())
    place = np.where(is_node, np.cumsum(is_node) - 1, count + np.cumsum(~is_node))
    nodes = np.flatnonzero(is_node)
    # Steps are of one, so the first place below a node's level is one below it.
    length = len(is_node)
    shifted = is_open - is_open.min()
    key = shifted * length + np.arange(length)
    order = np.argsort(key)
    wanted = (shifted[nodes] - 1) * length + nodes
    closed = order[np.searchsorted(key[order], wanted)]
    return np.diff(np.cumsum(is_node)[ends], prepend=0), place[nodes + 1], place[closed + 1]


def lightgbm_text(trees: TreeArrays) -> str:
    """The same trees as LightGBM reads them."""
    head = HEAD.format(
        last=trees.features - 1,
        names=" ".join(f"Column_{number}" for number in range(trees.features)),
        infos=" ".join(["none"] * trees.features),
    )
    count = len(trees.feature)
    start, leaf_start = (np.repeat(starts, trees.nodes) for starts in starts_of(trees.nodes))
    left, right = (
        np.where(child < count, child - start, leaf_start - 1 - child) for child in (trees.left, trees.right)
    )
    columns = {
        **{"split_feature": trees.feature, "threshold": trees.threshold, "decision_type": trees.kind},
        **{"left_child": left, "right_child": right},
    }
    ends = np.cumsum(trees.nodes)
    own = {name: np.split(column, ends[:-1]) for name, column in columns.items()}
    own["leaf_value"] = np.split(trees.value, (ends + np.arange(1, len(ends) + 1))[:-1])
    blocks = []
    for number, size in enumerate(trees.nodes.tolist()):
        told = "\n".join(f"{name}={' '.join(map(repr, parts[number].tolist()))}" for name, parts in own.items())
        blocks.append(f"Tree={number}\nnum_leaves={size + 1}\nnum_cat=0\n{told}\nis_linear=0\nshrinkage=1\n\n")
    return "\n".join([head, *blocks]) + "\nend of trees\n"
