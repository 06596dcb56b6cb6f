// The tab with the graph of targets.

const SHARE_WITHOUT_MEASURE = 0.2;

/** Make the tab; `shown` is called when it is seen for the first time, for only then has it a size. */
function makeGraphTab() {
  const graph = makeGraph();
  const search = makeSearch(graph);
  addKeys(graph, search.input);
  addPointer(graph);
  addZoom(graph.drawing);
  const legend = make("ul", { class: "legend" });
  const table = makeGraphTable(graph);
  const frame = make("div", { class: "frame" }, graph.drawing.node);
  const tools = make("div", { class: "tools" }, graphButtons(graph));
  const side = make("div", { class: "side" }, search.element, makeGraphControls(graph.settings, (mayMove) => graph.update(mayMove)));
  frame.prepend(tools);
  frame.append(legend);
  graph.whenRestyled = () => {
    legend.replaceChildren(...legendOf(graph).map(legendItem));
    table.fill();
  };
  const keys = make("p", { id: "graph-keys", class: "small quiet" }, `By keyboard: ${KEYS_TOLD}`);
  const element = make("div", {}, make("div", { class: "graph-tab" }, side, frame, graph.pane.element), keys, table.element);
  return { element, shown: () => startGraph(graph) };
}

function startGraph(graph) {
  whenChosen((mayMove) => graph.update(mayMove));
  graph.forces.settle();
  graph.drawing.fit(graph.nodes);
  new ResizeObserver(() => graph.drawing.wasZoomed || graph.drawing.fit(graph.nodes)).observe(graph.drawing.node);
}

function makeGraph() {
  const nodes = targets.map((_, index) => ({ index }));
  const drawing = makeDrawing(nodes);
  const graph = { nodes, drawing, settings: { ...GRAPH_SETTINGS, ...keptMeasures() }, links: [], whenRestyled: () => {} };
  graph.forces = makeForces(nodes, drawing.move);
  graph.pane = makePane("graph-target", (target) => graph.focusNode(nodes[target]), (target) => fixButton(graph, nodes[target]));
  graph.nodeMeasure = () => measureNamed(content.nodes, graph.settings.nodeMeasure);
  graph.edgeMeasure = () => measureNamed(content.edges, graph.settings.edgeMeasure);
  graph.grouping = () => groupingNamed(graph.settings.grouping);
  graph.focusNode = (node) => drawing.dots.filter((other) => other === node).node().focus();
  graph.restyle = () => restyle(graph);
  graph.update = (mayMove) => updateGraph(graph, mayMove);
  graph.open = (node) => graph.pane.show(node.index, neighboursOf(node.index, graph.links));
  graph.showNode = (node) => showNode(graph, node);
  graph.showNone = () => (hideHint(), drawing.light(null));
  graph.toggleFixed = (node) => {
    if (isFixed(node)) releaseNode(node);
    else fixNode(node);
    announce(`${targets[node.index].title} is ${isFixed(node) ? "fixed" : "released"}`);
    graph.update(true);
  };
  return graph;
}

function fixButton(graph, node) {
  return makeButton(isFixed(node) ? "Release" : "Fix", () => graph.toggleFixed(node));
}

function updateGraph(graph, mayMove) {
  graph.links = strongestLinks(graph.edgeMeasure(), graph.settings.share, graph.settings.edgeScale);
  const { clientWidth, clientHeight } = graph.drawing.node;
  graph.forces.update(graph.settings, graph.links, restyle(graph), clientHeight > clientWidth);
  if (mayMove) graph.forces.warm();
  else graph.drawing.move();
  if (graph.pane.target !== null) graph.open(graph.nodes[graph.pane.target]);
}

/** Draw sizes and colours anew; return how large a node is. */
function restyle(graph) {
  const { settings } = graph;
  const measure = graph.nodeMeasure();
  const shares = measure ? normalised(measure.values, settings.nodeScale) : targets.map(() => SHARE_WITHOUT_MEASURE);
  const radius = d3.scaleSqrt([0, 1], [settings.smallest, settings.largest]);
  const radiusOf = ({ index }) => (shares[index] === null ? NO_VALUE_RADIUS : radius(shares[index]));
  const { groups } = graph.grouping();
  graph.drawing.restyle(graph.links, {
    radiusOf,
    colourOf: ({ index }) => hueOf(groups[index]),
    widthOf: ({ relative }) => 0.4 + relative * (settings.width - 0.4),
    labelOf: (node) => sentences([...nodeLines(node.index), isFixed(node) ? "fixed" : ""]),
  });
  graph.drawing.svg.attr("aria-label", `Graph of ${targets.length} targets with ${graph.links.length} edges`);
  graph.whenRestyled();
  return radiusOf;
}

/** Return what is said of a target: its best model with inputs, score and interval. */
function nodeLines(target) {
  const best = bestModel(target, choice.series);
  const { title, domain } = targets[target];
  if (!best) return [title, domains[domain], "no score"];
  return [title, domains[domain], `best from ${setTitle(best.set)}`, scoreText(best), choiceText(best), ...flagsOf(best)];
}

/** Light a node and its neighbours, and say what it is in a corner, where no neighbour is covered. */
function showNode(graph, node) {
  const neighbours = neighboursOf(node.index, graph.links);
  graph.drawing.light(new Set([node.index, ...neighbours.map(({ target }) => target)]), node.index);
  const lines = [...nodeLines(node.index), neighbours.length === 1 ? "1 neighbour" : `${neighbours.length} neighbours`];
  const { left } = graph.drawing.dots.filter((other) => other === node).node().getBoundingClientRect();
  showHintInCorner(lines, graph.drawing.node, left);
}

function legendOf(graph) {
  const { groups, names } = graph.grouping();
  const found = d3.sort(new Set(groups)).map((group) => ({ colour: hueOf(group), title: names[group] }));
  const sizes = graph.nodeMeasure();
  const edges = graph.edgeMeasure();
  const told = [sizes && `size: ${sizes.title}`, edges && `edges: ${edges.title}, the strongest ${graph.links.length} of ${edges.strength.length}`];
  return [...found, { title: told.filter(Boolean).join("; ") }];
}

function legendItem({ colour, title }) {
  const dot = colour ? make("span", { class: "swatch" }) : null;
  if (dot) dot.style.background = colour;
  return make("li", {}, dot, title);
}

function graphButtons(graph) {
  const release = () => {
    graph.nodes.forEach(releaseNode);
    graph.update(true);
  };
  const fill = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else graph.drawing.node.closest(".graph-tab").requestFullscreen();
  };
  return [
    makeButton("+", () => graph.drawing.zoomBy(1.25), { "aria-label": "Zoom in" }),
    makeButton("−", () => graph.drawing.zoomBy(0.8), { "aria-label": "Zoom out" }),
    makeButton("Show all", () => graph.drawing.fit(graph.nodes)),
    makeButton("Fix all", () => (graph.nodes.forEach((node) => fixNode(node)), graph.restyle())),
    makeButton("Release all", release),
    makeButton("Full screen", fill),
    ...makeSaveButtons("graph", () => "targets", () => pictureOfDrawing(graph.drawing.node, legendOf(graph))),
  ];
}
