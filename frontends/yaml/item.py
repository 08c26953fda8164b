"""One entry of a list of layers: ``conv: {out: 64}``, its name, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.frontends.yaml.document import PARAM, names_at, text_at
from ircost.frontends.yaml.errors import YamlGraphError
from ircost.ir.yaml_document import Entry

# What editors show of each.
AROUND = {
    "name": "what later layers call the result; a list names several results",
    "from": "names of the values it takes; the result of the layer before where left out",
    "repeat": "so many in a row, each with weights of its own",
    "index": "a name for the number of the repeat, from 0, in expressions",
}


@dataclass(frozen=True, slots=True)
class Item:
    """A layer as written.

    Args:
        kind: the word for it.
        settings: below that word; nothing is an entry with ''.
        names: of its results.
        sources: names of what it takes; none means the result before.
        repeat: how often; None means once.
        index: name of the number of the repeat; may be empty.
        number: place in the list, from 0.
    """

    entry: Entry
    kind: str
    settings: Entry
    names: tuple[Entry, ...]
    sources: tuple[Entry, ...]
    repeat: Entry | None
    index: str
    number: int

    @property
    def label(self) -> str:
        """Its name, or its kind and place: ``conv_3``."""
        return self.names[0].value if self.names else f"{self.kind}_{self.number + 1}"

    def without_repeat(self) -> Entry:
        """The same layer once, on what is there."""
        return Entry({self.kind: self.settings}, self.entry.file, self.entry.line, self.entry.column)


def read_item(entry: Entry, number: int) -> Item:
    """Raises:
    YamlGraphError: it is no layer, or says more than one.
    """
    if isinstance(entry.value, str):
        if not entry.value:
            raise YamlGraphError("an empty layer", at=entry.position, help="- relu, or - conv: {out: 64, kernel: 3}")
        nothing = Entry("", entry.file, entry.line, entry.column)
        return Item(entry, entry.value, nothing, (), (), None, "", number)
    if not isinstance(entry.value, dict):
        raise YamlGraphError("a layer is a word or a section", at=entry.position, help="- conv: {out: 64, kernel: 3}")
    around = {key: inner for key, inner in entry.section.items() if key in AROUND}
    kinds = [key for key in entry.section if key not in AROUND]
    if len(kinds) != 1:
        said = f"a layer says what it is once, here: {', '.join(kinds) or 'nothing'}"
        help = f"a dash for each layer; beside it stand {', '.join(AROUND)}"
        raise YamlGraphError(said, at=entry.position, help=help)
    settings = entry.section[kinds[0]]
    index = text_at(around["index"], "index") if "index" in around else ""
    if index and (not PARAM.match(index) or "repeat" not in around):
        raise YamlGraphError(f"index: '{index}'", at=around["index"].position, help="a name, beside 'repeat'")
    placed = Entry(entry.value, settings.file, settings.line, settings.column)
    return Item(
        placed,
        kinds[0],
        settings,
        names_at(around.get("name"), "name"),
        names_at(around.get("from"), "from"),
        around.get("repeat"),
        index,
        number,
    )
