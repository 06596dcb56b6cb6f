// The graph by keyboard: one node has the tab stop, arrows go to the next one.

const MOVE = 12;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS_TOLD =
  "Arrow keys go from node to node, Enter opens the models of a target, Space fixes or releases a node, Shift with an " +
  "arrow moves it, + and − zoom, 0 shows all, / goes to the search, Escape closes.";

/** Let keys do what the pointer does. */
function addKeys(graph, search) {
  const { drawing } = graph;
  drawing.svg.on("keydown", (event) => {
    const node = d3.select(event.target.closest(".node")).datum();
    const act = ARROWS[event.key] && node ? () => goOrMove(graph, node, event) : keyActions(graph, node, search)[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  drawing.dots.on("focus", (event, node) => {
    drawing.dots.attr("tabindex", (other) => (other === node ? 0 : -1));
    graph.showNode(node);
  });
  drawing.dots.on("blur", graph.showNone);
}

function keyActions(graph, node, search) {
  const { drawing } = graph;
  const ofNode = node && { Enter: () => graph.open(node), " ": () => graph.toggleFixed(node) };
  return {
    ...ofNode,
    "+": () => drawing.zoomBy(1.25), "-": () => drawing.zoomBy(0.8), 0: () => drawing.fit(graph.nodes),
    "/": () => search.focus(), Escape: () => (graph.pane.close(), graph.showNone()),
  };
}

function goOrMove(graph, node, event) {
  const [x, y] = ARROWS[event.key];
  if (event.shiftKey) {
    fixNode(node, node.x + x * MOVE, node.y + y * MOVE);
    graph.restyle();
    graph.drawing.move();
    graph.showNode(node);
    return;
  }
  const next = nextNode(graph.nodes, node, x, y);
  if (next) graph.focusNode(next);
}

/** Return the nearest node in a direction; those off to the side count as farther. */
function nextNode(nodes, node, x, y) {
  const cost = (other) => {
    const [along, across] = [(other.x - node.x) * x + (other.y - node.y) * y, (other.x - node.x) * y - (other.y - node.y) * x];
    return along > 0 && Math.abs(across) <= 2 * along ? along + 2 * Math.abs(across) : Infinity;
  };
  const nearest = d3.least(nodes.filter((other) => other !== node), cost);
  return nearest && cost(nearest) < Infinity ? nearest : null;
}
