"""Smallest cut of a network: the cheapest of all two-way decisions about items that depend on one another.

Source: Dinic, "Algorithm for solution of a problem of maximum flow in networks with power estimation", 1970; that such
decisions are cuts: Kolmogorov, Zabih, "What energy functions can be minimized via graph cuts?", PAMI 26(2), 2004.
"""

from __future__ import annotations

from collections import deque

UNBOUNDED = 1 << 62


class Network:
    """Nodes are numbers from 0; whole capacities, so that equal costs are equal.

    >>> network = Network()
    >>> here, a, b, there = (network.node() for _ in range(4))
    >>> for tail, head, capacity in ((here, a, 5), (a, b, 1), (b, there, 5)):
    ...     network.edge(tail, head, capacity)
    >>> network.sink_side(here, there) == {b, there}
    True
    """

    def __init__(self) -> None:
        self._heads: list[int] = []
        self._left: list[int] = []  # what may still flow; edge e's reverse is e ^ 1
        self._edges: list[list[int]] = []

    def node(self) -> int:
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, tail: int, head: int, capacity: int) -> None:
        for node, other, left in ((tail, head, capacity), (head, tail, 0)):
            self._edges[node].append(len(self._heads))
            self._heads.append(other)
            self._left.append(left)

    def sink_side(self, source: int, sink: int) -> set[int]:
        """Nodes on the sink's side of a smallest cut; of all such cuts, the one with the fewest there."""
        while True:
            level = self._levels(source)
            if level[sink] < 0:
                return self._reaching(sink)
            self._fill(source, sink, level)

    def _levels(self, source: int) -> list[int]:
        level = [-1] * len(self._edges)
        level[source] = 0
        queue = deque([source])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:
                head = self._heads[edge]
                if self._left[edge] and level[head] < 0:
                    level[head] = level[node] + 1
                    queue.append(head)
        return level

    def _fill(self, source: int, sink: int, level: list[int]) -> None:
        """Sends flow along shortest paths until each has a full edge; a walk, since paths may be long."""
        following = [0] * len(self._edges)
        path: list[int] = []
        node = source
        while True:
            if node == sink:
                amount = min(self._left[edge] for edge in path)
                for edge in path:
                    self._left[edge] -= amount
                    self._left[edge ^ 1] += amount
                path, node = [], source
            edge = self._next(node, level, following)
            if edge >= 0:
                path.append(edge)
                node = self._heads[edge]
            elif node == source:
                return
            else:
                level[node] = -1
                node = self._heads[path.pop() ^ 1]

    def _next(self, node: int, level: list[int], following: list[int]) -> int:
        edges = self._edges[node]
        while following[node] < len(edges):
            edge = edges[following[node]]
            if self._left[edge] and level[self._heads[edge]] == level[node] + 1:
                return edge
            following[node] += 1
        return -1

    def _reaching(self, sink: int) -> set[int]:
        found = {sink}
        queue = deque([sink])
        while queue:
            for edge in self._edges[queue.popleft()]:
                tail = self._heads[edge]
                if self._left[edge ^ 1] and tail not in found:
                    found.add(tail)
                    queue.append(tail)
        return found
