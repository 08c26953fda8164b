"""Trees as text, LightGBM's and short: the same trees, and what is damaged is refused, whatever it was made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ircost.cost_models.learned.packing import packed
from ircost.cost_models.learned.short_text import lightgbm_text, short_text, trees_of_short_text
from ircost.cost_models.learned.stored_trees import LearnedModelError, StoredTrees
from ircost.cost_models.learned.tree_text import MOST_LEAVES, TreeArrays, tree_text
from ircost.cost_models.learned.tree_writing import compact_text, number_formats

FEATURES = 3
TWO_TREES = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=2
objective=regression_l1
feature_names=a b c
feature_infos=[0:1] [0:1] [0:1]

Tree=0
num_leaves=3
num_cat=0
split_feature=0 2
threshold=0.5 inf
decision_type=2 8
left_child=1 -1
right_child=-3 -2
leaf_value=1 2.5 -4e-3
is_linear=0
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
split_feature=
threshold=
decision_type=
left_child=
right_child=
leaf_value=10
is_linear=0
shrinkage=1


end of trees
"""


def test_children_and_leaves_have_places() -> None:
    found = tree_text(TWO_TREES, FEATURES)
    assert (found.left.tolist(), found.right.tolist(), found.roots.tolist()) == ([1, 3], [5, 4], [0, 6])
    assert (found.feature.tolist(), found.value.tolist()) == ([0, 2], [1, 2.5, -0.004, 10])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_class=1", "num_class=2"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2"),
        ("max_feature_idx=2", "max_feature_idx=9"),
        ("objective=regression_l1", "objective=binary sigmoid:1"),
        ("objective=regression_l1", "objective=regression sqrt"),
        ("num_leaves=3", "num_leaves=2"),
        ("num_leaves=1\n", "num_leaves=0\n"),
        ("num_cat=0", "num_cat=1"),
        ("is_linear=0", "is_linear=1"),
        ("split_feature=0 2", "split_feature=0 3"),
        ("split_feature=0 2", "split_feature=0 -1"),
        ("split_feature=0 2", "split_feature=0"),
        ("split_feature=0 2", "split_feature=0 99999999999999999999"),
        ("threshold=0.5 inf", "threshold=0.5 nan"),
        ("threshold=0.5 inf", "threshold=0.5 1e"),
        ("threshold=0.5 inf", "threshold=0.5 __import__"),
        ("decision_type=2 8", "decision_type=2 1"),
        ("left_child=1 -1", "left_child=0 -1"),
        ("left_child=1 -1", "left_child=1 -3"),
        ("left_child=1 -1", "left_child=1 2"),
        ("left_child=1 -1", "left_child=1 -9"),
        ("left_child=1 -1\nright_child=-3 -2", "left_child=-3 -1\nright_child=-2 1"),
        ("leaf_value=1 2.5 -4e-3", "leaf_value=1 2.5 inf"),
        ("leaf_value=1 2.5 -4e-3", "leaf_value=1 2.5 -4e-3 7"),
        ("leaf_value=1 2.5 -4e-3", "leaf_value=1  -4e-3"),
        ("leaf_value=1 2.5 -4e-3", ""),
    ],
)
def test_damage_of_text_from_lightgbm_is_told(old: str, new: str) -> None:
    assert old in TWO_TREES
    text = TWO_TREES.replace(old, new, 1)
    with pytest.raises((ValueError, KeyError)):
        tree_text(text, FEATURES)


SHORT = """features=3
decimals=4
splits_0=0.5:2
splits_2=inf:8
shape=110000
feature=0 2
split=0 0
leaf_value=10000 25000 -40 100000
"""


def test_the_short_text_is_of_the_same_trees() -> None:
    trees = tree_text(TWO_TREES, FEATURES)
    assert short_text(trees) == SHORT
    assert_same(trees_of_short_text(SHORT, FEATURES), trees)
    assert_same(tree_text(lightgbm_text(trees), FEATURES), trees)


@pytest.mark.parametrize(("trees", "leaves"), [(30, 40), (2, 2), (3, 1)])
def test_the_short_text_packs_to_less_and_predicts_the_same(trees: int, leaves: int) -> None:
    import lightgbm

    features = np.random.default_rng(0).normal(size=(2000, 5))
    features[::7, 2] = np.nan
    target = np.sin(3 * features[:, 0]) + features[:, 1] if leaves > 1 else np.ones(2000)
    parameters = {"verbose": -1, "num_threads": 1, "num_leaves": max(leaves, 2)}
    text = lightgbm.train(parameters, lightgbm.Dataset(features, target), trees).model_to_string()
    text = compact_text(text, number_formats(target))
    short = short_text(tree_text(text, 5))
    again = lightgbm_text(trees_of_short_text(short, 5))
    before, after = (lightgbm.Booster(model_str=each).predict(features, num_threads=1) for each in (text, again))
    np.testing.assert_allclose(before, after, rtol=0, atol=1e-12)
    assert short_text(trees_of_short_text(short, 5)) == short
    assert len(packed(short)) < 0.7 * len(packed(text))


def assert_same(found: TreeArrays, expected: TreeArrays) -> None:
    for name in TreeArrays.__slots__:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("features=3", "features=4"),
        ("features=3\n", ""),
        ("decimals=4", "decimals=99"),
        ("decimals=4", "decimals=four"),
        ("splits_0=0.5:2\n", ""),
        ("splits_0=0.5:2", "splits_0=0.5"),
        ("splits_0=0.5:2", "splits_0=0.5:1"),
        ("splits_0=0.5:2", "splits_0=nan:2"),
        ("splits_0=0.5:2", "splits_0=__import__:2"),
        ("shape=110000", "shape="),
        ("shape=110000", "shape=11000"),
        ("shape=110000", "shape=1100"),
        ("shape=110000", "shape=1100001"),
        ("shape=110000", "shape=110x00"),
        ("feature=0 2", "feature=0"),
        ("feature=0 2", "feature=0 1"),
        ("feature=0 2", "feature=0 3"),
        ("feature=0 2", "feature=0 -1"),
        ("feature=0 2", "feature=0 99999999999999999999"),
        ("split=0 0", "split=0 1"),
        ("split=0 0", "split=-1 0"),
        ("split=0 0", "split=0 0 0"),
        ("leaf_value=10000 25000 -40 100000", "leaf_value=10000 25000 -40"),
        ("leaf_value=10000 25000 -40 100000", "leaf_value=10000 25000 -40 0.5"),
        ("leaf_value=10000 25000 -40 100000", "leaf_value=10000 25000 -40 1-2"),
    ],
)
def test_damage_of_a_file_is_told(old: str, new: str, tmp_path: Path) -> None:
    assert old in SHORT
    (tmp_path / "seen.txt.xz").write_bytes(packed(SHORT.replace(old, new, 1)))
    with pytest.raises(LearnedModelError, match=r"seen\.txt\.xz"):
        StoredTrees(tmp_path / "seen.txt.xz", FEATURES).predict(np.zeros((1, FEATURES)))


def test_trees_that_nobody_grows_are_refused(tmp_path: Path) -> None:
    """A chain of millions of splits would take minutes to ask."""
    leaves = MOST_LEAVES + 1
    long = {
        **{"features": str(FEATURES), "decimals": "4", "splits_0": "0.5:2", "shape": "10" * (leaves - 1) + "0"},
        **dict.fromkeys(("feature", "split"), " ".join(["0"] * (leaves - 1))),
        "leaf_value": " ".join(["1"] * leaves),
    }
    (tmp_path / "seen.txt.xz").write_bytes(packed("".join(f"{name}={value}\n" for name, value in long.items())))
    with pytest.raises(LearnedModelError, match="a tree of 131,073 leaves"):
        StoredTrees(tmp_path / "seen.txt.xz", FEATURES).predict(np.zeros((1, FEATURES)))


def test_a_file_is_read_when_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "seen.txt.xz"
    trees = StoredTrees(path, FEATURES)
    with pytest.raises(LearnedModelError, match="irc train"):
        trees.predict(np.zeros((1, FEATURES)))
    path.write_bytes(packed(SHORT))
    rows = np.array([[0.25, 0, 7], [0.25, 0, np.nan], [0.75, 0, 0], [np.nan, 0, 0]])
    np.testing.assert_allclose(trees.predict(rows), [11, 12.5, 9.996, 11])
    path.unlink()
    assert trees.predict(rows[:1]) == [11]
