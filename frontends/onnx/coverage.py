"""Which operators are taken, and how: read off the lowerings and off ONNX's own schemas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx

import ircost.frontends.onnx.lowerings  # noqa: F401  # registers every operator
from ircost.frontends.onnx.node import LOWERINGS
from ircost.frontends.onnx.older_opsets import CHANGES, FIRST_OPSET
from ircost.frontends.onnx.refused import REFUSED

DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft")
NATIVE, EXPANDED, REFUSED_FORM, MISSING = "native", "function", "refused", "missing"


@dataclass(frozen=True, slots=True)
class OperatorCoverage:
    """How one operator is taken.

    Args:
        domain: "" is ``ai.onnx``.
        name: of the operator.
        forms: of each version that ONNX defined how it is taken: ``native`` by a lowering of ours, ``function`` by
            the body that ONNX gives it, ``refused`` for a reason, ``missing``. One that ONNX does not define (of
            com.microsoft) has one version, 1.
        reason: why it is refused.
    """

    domain: str
    name: str
    forms: dict[int, str]
    reason: str = ""

    @property
    def newest(self) -> str:
        """How the newest version is taken."""
        return self.forms[max(self.forms)]

    def versions(self, how: str) -> str:
        """``7, 13`` of the versions that are taken that way."""
        return ", ".join(str(version) for version, form in sorted(self.forms.items()) if form == how)


def coverage() -> list[OperatorCoverage]:
    """All operators that ONNX defines and all others that are taken, by domain and name."""
    schemas = schemas_by_operator()
    taken: dict[tuple[str, str], list[Any]] = {key: [] for key in LOWERINGS if key not in schemas}
    found = [one_operator(domain, name, forms) for (domain, name), forms in {**schemas, **taken}.items()]
    return sorted(found, key=lambda row: (DOMAINS.index(row.domain), row.name))


def schemas_by_operator() -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain in DOMAINS and not schema.deprecated:
            found[schema.domain, schema.name].append(schema)
    return found


def one_operator(domain: str, name: str, schemas: Iterable[Any]) -> OperatorCoverage:
    schemas = sorted(schemas, key=lambda schema: int(schema.since_version))
    if not schemas:
        return OperatorCoverage(domain, name, {1: NATIVE})
    last_of_opset_7 = max((s.since_version for s in schemas if s.since_version <= FIRST_OPSET), default=0)
    forms = {
        int(s.since_version): how_taken(s, is_older=not domain and s.since_version < last_of_opset_7) for s in schemas
    }
    return OperatorCoverage(domain, name, forms, REFUSED.get((domain, name), ""))


def how_taken(schema: Any, is_older: bool) -> str:
    """How one version of an operator is taken; ``is_older`` if opset 7 has another one."""
    key = (schema.domain, schema.name)
    if key in REFUSED or (is_older and schema.name not in CHANGES):
        return REFUSED_FORM
    if key in LOWERINGS or key == ("", "Constant"):
        return NATIVE
    return EXPANDED if schema.has_function or schema.has_context_dependent_function else MISSING
