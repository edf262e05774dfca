"""The list of layers, as the tree of the model's modules."""

from __future__ import annotations

from collections.abc import Container
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.reactive import var
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from tuivis.engine.values import LayerInfo
from tuivis.errors import printable
from tuivis.intents import LayerChosen
from tuivis.state import State
from tuivis.widgets.intent import Intent


class LayerTree(Tree[LayerInfo]):
    """Draws `state.layers`; posts `LayerChosen` as the cursor moves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "layer down", show=False, id="layers.down"),
        Binding("k", "cursor_up", "layer up", show=False, id="layers.up"),
        Binding("g,home", "scroll_home", "first layer", show=False, id="layers.first"),
        Binding("G,end", "scroll_end", "last layer", show=False, id="layers.last"),
    ]

    state: var[State] = var(State(), init=False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("layers", id=id)
        self.show_root = False
        self.guide_depth = 2
        self.auto_expand = False
        self._by_name: dict[str, TreeNode[LayerInfo]] = {}
        self._listed: tuple[LayerInfo, ...] = ()

    def watch_state(self, old: State, new: State) -> None:
        """Fill the tree when the layers are others, and put the cursor on the layer on screen."""
        if new.layers != self._listed:
            self._listed = new.layers
            self._fill()
        if old.look.frozen != new.look.frozen:
            for marked in (old.look.frozen, new.look.frozen):
                if marked and marked[0] in self._by_name:
                    self._by_name[marked[0]].refresh()
        node = self._by_name.get(new.view.layer)
        if node is not None and node is not self.cursor_node:
            for parent in _parents(node):
                parent.expand()
            with self.prevent(Tree.NodeHighlighted):
                self.move_cursor(node)
            self.scroll_to_node(node, animate=False)

    def _fill(self) -> None:
        self.clear()
        self._by_name = {}
        for info in self._listed:
            above = _above(info.name, self._by_name)
            parent = self._by_name.get(above, self.root)
            label = info.name.removeprefix(above).removeprefix(".")
            self._by_name[info.name] = parent.add(Text(printable(label)), info, expand=True)
        for node in self._by_name.values():
            node.allow_expand = bool(node.children)

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[LayerInfo]) -> None:
        """Look at the layer under the cursor."""
        if event.node.data is not None and event.node.data.name != self.state.view.layer:
            self.post_message(Intent(LayerChosen(event.node.data.name)))

    def render_label(self, node: TreeNode[LayerInfo], base_style: Style, style: Style) -> Text:
        """Return the layer's name, and its units and map size dimmed."""
        label = super().render_label(node, base_style, style)
        info = node.data
        if info is None:
            return label
        if self.state.look.frozen and self.state.look.frozen[0] == info.name:
            label.append(" ◆", Style(color="cyan"))
        size = f" {info.units}" if info.units else " not shown"
        if info.height * info.width > 1:
            size += f"×{info.height}²" if info.height == info.width else f"×{info.height}×{info.width}"
        label.append(size, Style(dim=True))
        return label


def _above(name: str, nodes: Container[str]) -> str:
    """Return the innermost module around `name` that is among `nodes`, or an empty string."""
    while "." in name:
        name = name.rpartition(".")[0]
        if name in nodes:
            return name
    return ""


def _parents(node: TreeNode[LayerInfo]) -> list[TreeNode[LayerInfo]]:
    """Return the nodes above `node`, innermost first."""
    parents = []
    above = node.parent
    while above is not None:
        parents.append(above)
        above = above.parent
    return parents
