"""Tree ensembles of ai.onnx.ml: one op, its nodes as constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ircost.frontends.onnx.ml_scores import ML, as_floats, base_values, classified, numbers, transformed
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.trees import MODES

MODE_NAMES = {f"BRANCH_{name.upper()}": code for code, name in enumerate(MODES)}
LEAF, MEMBER = "LEAF", 6  # of TreeEnsemble-5, whose modes are numbers in the order of MODES, then MEMBER


@dataclass(slots=True)
class Nodes:
    """Nodes of all trees; a leaf is its own child."""

    features: list[int] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    true_children: list[int] = field(default_factory=list)
    false_children: list[int] = field(default_factory=list)
    missing_true: list[bool] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)

    def add(self, feature: int, mode: int, threshold: float, missing_true: bool) -> int:
        """A node without children yet: its own."""
        at = len(self.features)
        self.features.append(feature)
        self.modes.append(mode)
        self.thresholds.append(threshold)
        self.missing_true.append(missing_true)
        self.true_children.append(at)
        self.false_children.append(at)
        return at


@lowering("TreeEnsembleRegressor", domain=ML)
def regressor(node: Node) -> Value:
    targets = node.int("n_targets", 1)
    total = old_ensemble(node, "target", targets, node.ints("target_ids", ()))
    total = with_base(node, total, targets)
    return transformed(node, total)


@lowering("TreeEnsembleClassifier", domain=ML)
def classifier(node: Node) -> list[Value]:
    ids = node.ints("class_ids", ())
    labels = len(node.ints("classlabels_int64s", ())) or len(node.strings("classlabels_strings", ()))
    weights = numbers(node, "class_weights")
    is_single = labels == 2 and len(set(ids)) == 1
    columns = 1 if is_single else labels
    total = old_ensemble(node, "class", columns, [0] * len(ids) if is_single else ids)
    base = base_values(node)
    if base is not None:
        base = base[-1:] if is_single else base
        total = ops.add(total, ops.cast(ops.constant_of(base.astype(np.float32)), to=total.type.dtype))
    return classified(node, total, is_positive=bool((weights >= 0).all()))


def with_base(node: Node, total: Value, columns: int) -> Value:
    base = base_values(node)
    if base is None:
        return total
    if len(base) not in (1, columns):
        raise node.error(f"{len(base)} base values for {columns} targets")
    return ops.add(total, ops.cast(ops.constant_of(base.astype(np.float32)), to=total.type.dtype))


def old_ensemble(node: Node, kind: str, columns: int, ids: Sequence[int]) -> Value:
    """Versions 1 to 3: nodes by the numbers of tree and node, leaf weights by the same."""
    trees, numbers_of = node.ints("nodes_treeids", ()), node.ints("nodes_nodeids", ())
    names = node.strings("nodes_modes", ())
    features, thresholds = node.ints("nodes_featureids", ()), numbers(node, "nodes_values")
    missing = node.ints("nodes_missing_value_tracks_true", (0,) * len(trees)) or (0,) * len(trees)
    children = [node.ints(f"nodes_{side}nodeids", ()) for side in ("true", "false")]
    check_lengths(node, trees, numbers_of, names, features, thresholds, missing, *children)
    place = {key: i for i, key in enumerate(zip(trees, numbers_of, strict=True))}
    nodes = Nodes()
    for i, name in enumerate(names):
        if name != LEAF and name not in MODE_NAMES:
            raise node.error(f"nodes_modes holds '{name}', which is not known")
        nodes.add(features[i], MODE_NAMES.get(name, 0), float(thresholds[i]), bool(missing[i]))
        if name != LEAF:
            nodes.true_children[i] = found(node, place, (trees[i], children[0][i]))
            nodes.false_children[i] = found(node, place, (trees[i], children[1][i]))
    weights = np.full((len(names), columns), np.nan)
    values = numbers(node, f"{kind}_weights")
    keys = list(zip(node.ints(f"{kind}_treeids", ()), node.ints(f"{kind}_nodeids", ()), strict=True))
    check_lengths(node, keys, values, ids)
    for key, column, weight in zip(keys, ids, values, strict=True):
        if not 0 <= column < columns:
            raise node.error(f"a leaf gives to target {column} of {columns}")
        at = found(node, place, key)
        weights[at, column] = weight if np.isnan(weights[at, column]) else weights[at, column] + weight
    below = {*nodes.true_children, *nodes.false_children}
    roots = [i for i, name in enumerate(names) if i not in below or (name == LEAF and is_alone(nodes, i))]
    return ensemble(node, nodes, weights, roots, node.string("aggregate_function", "SUM"))


def is_alone(nodes: Nodes, leaf: int) -> bool:
    """Whether a leaf is the child of itself only: a tree of one node."""
    return (nodes.true_children + nodes.false_children).count(leaf) == 2


def found(node: Node, place: dict[tuple[int, int], int], key: tuple[int, int]) -> int:
    if key not in place:
        raise node.error(f"tree {key[0]} has no node {key[1]}", help="the model is damaged")
    return place[key]


def check_lengths(node: Node, first: Sequence[object], *others: Sequence[object] | np.ndarray) -> None:
    lengths = {len(first), *map(len, others)}
    if len(lengths) > 1 or not len(first):
        raise node.error(f"lists of its nodes differ in length: {sorted(lengths)}", help="the model is damaged")


@lowering("TreeEnsemble", domain=ML)
def tree_ensemble(node: Node) -> Value:
    """Version 5: children by position, among the leaves where a flag says so; sets as chains of equalities."""
    modes = [int(mode) for mode in node.array("nodes_modes").reshape(-1)]
    splits = node.array("nodes_splits").reshape(-1).astype(np.float64)
    features = node.ints("nodes_featureids", ())
    missing = node.ints("nodes_missing_value_tracks_true", ()) or (0,) * len(modes)
    sides = [(node.ints(f"nodes_{s}nodeids", ()), node.ints(f"nodes_{s}leafs", ())) for s in ("true", "false")]
    leaf_weights, targets = node.array("leaf_weights").reshape(-1), node.ints("leaf_targetids", ())
    check_lengths(node, modes, splits, features, missing, *(part for side in sides for part in side))
    check_lengths(node, targets, leaf_weights)
    members = iter(member_sets(node))
    values: list[float] = []
    nodes, chains = Nodes(), []
    for i, mode in enumerate(modes):
        values = next(members, []) if mode == MEMBER else [float(splits[i])]
        chains.append([nodes.add(features[i], 4 if mode == MEMBER else mode, v, bool(missing[i])) for v in values])
    first_leaf = len(nodes.features)
    for _ in targets:
        nodes.add(0, 0, 0.0, False)
    for i, chain in enumerate(chains):
        ends = [child(node, chains, first_leaf, ids[i], bool(leafs[i]), len(targets)) for ids, leafs in sides]
        for at, following in zip(chain, [*chain[1:], ends[1]], strict=True):
            nodes.true_children[at], nodes.false_children[at] = ends[0], following
    columns = node.int("n_targets", 1)
    weights = np.full((len(nodes.features), columns), np.nan)
    for i, (target, weight) in enumerate(zip(targets, leaf_weights, strict=True)):
        if not 0 <= target < columns:
            raise node.error(f"a leaf gives to target {target} of {columns}")
        weights[first_leaf + i, target] = weight
    roots = [child(node, chains, first_leaf, root, False, len(targets)) for root in node.ints("tree_roots", ())]
    combine = ("AVERAGE", "SUM", "MIN", "MAX")[node.int("aggregate_function", 1) % 4]
    return transformed(node, ensemble(node, nodes, weights, roots, combine))


def child(node: Node, chains: list[list[int]], first_leaf: int, index: int, is_leaf: bool, leaves: int) -> int:
    if not 0 <= index < (leaves if is_leaf else len(chains)) or (not is_leaf and not chains[index]):
        raise node.error(f"there is no {'leaf' if is_leaf else 'node'} {index}", help="the model is damaged")
    return first_leaf + index if is_leaf else chains[index][0]


def member_sets(node: Node) -> list[list[float]]:
    """Sets of values, divided by NaN."""
    sets: list[list[float]] = [[]]
    given = "membership_values" in node.attributes
    values = node.array("membership_values").reshape(-1) if given else np.array([])
    for value in values:
        if np.isnan(value):
            sets.append([])
        else:
            sets[-1].append(float(value))
    return sets


def ensemble(node: Node, nodes: Nodes, weights: np.ndarray, roots: list[int], combine: str) -> Value:
    x = as_floats(node[0])
    if not roots:
        raise node.error("no tree has a root", help="the model is damaged")
    if any(not 0 <= feature < x.type.shape[-1] for feature in nodes.features):
        raise node.error(f"a node asks for a feature that x {x.type} lacks", help="the model is damaged")
    tables = [
        *(np.array(t, np.int64) for t in (nodes.features, nodes.modes, nodes.true_children, nodes.false_children)),
        np.array(nodes.missing_true, np.bool_),
        np.array(nodes.thresholds, np.float64 if x.type.dtype.bits == 64 else np.float32),
        weights.astype(np.float32),
        np.array(roots, np.int64),
    ]
    how = {"SUM": "sum", "AVERAGE": "sum", "MIN": "min", "MAX": "max"}.get(combine)
    if how is None:
        raise node.error(f"aggregate_function = '{combine}' is not known")
    depth = longest_way(node, nodes, roots)
    total = ops.tree_ensemble(x, *map(ops.constant_of, tables), depth=depth, combine=how)
    return ops.mul(total, node.like(1 / len(roots), total)) if combine == "AVERAGE" else total


def longest_way(node: Node, nodes: Nodes, roots: list[int]) -> int:
    """Steps from a root to the furthest leaf.

    Raises:
        OnnxError: nodes lie on a circle.
    """
    level, reached, depth = set(roots), set(roots), 0
    while level and depth <= len(nodes.features):
        children = {child for at in level for child in (nodes.true_children[at], nodes.false_children[at])}
        level = children - {at for at in level if nodes.true_children[at] == at}
        reached |= level
        depth += 1
    if level or len(reached) < len(nodes.features):
        raise node.error("nodes of a tree lie on a circle, or no root reaches them", help="the model is damaged")
    return depth - 1
