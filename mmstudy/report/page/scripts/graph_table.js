// The graph as a table: what the drawing shows, in words.

/** Make the table of the nodes and their neighbours, made anew whenever it is opened. */
function makeGraphTable(graph) {
  const element = make("details", { class: "same" }, make("summary", {}, "The graph as a table"));
  const fill = () => element.open && element.replaceChildren(element.firstChild, makeTable(graphTable(graph)));
  element.addEventListener("toggle", fill);
  return { element, fill };
}

function graphTable(graph) {
  const measure = graph.nodeMeasure();
  const rows = targets.map((target, index) => ({
    ...target, index, best: bestModel(index, choice.series), neighbours: neighboursOf(index, graph.links),
    group: graph.grouping().names[graph.grouping().groups[index]],
  }));
  const grouped = graph.grouping().value === "domain" ? [] : [{ title: "Community", value: ({ group }) => group }];
  const columns = [
    { title: "Target", value: ({ title }) => title, show: (row) => makeButton(row.title, () => graph.open(graph.nodes[row.index]), { class: "link" }) },
    { title: "Domain", value: ({ domain }) => domains[domain] },
    ...grouped,
    { title: "Best inputs", value: ({ best }) => best && setTitle(best.set) },
    { title: "Score", value: ({ best }) => best?.score, isNumber: true, show: ({ best }) => (best ? scoreText(best) : UNKNOWN) },
    measure && { title: measure.title, isNumber: true, value: ({ index }) => measure.values[index], show: ({ index }) => numberText(measure.values[index]) },
    { title: "Neighbours, the strongest first", isNumber: true, value: ({ neighbours }) => neighbours.length, show: neighboursCell },
  ].filter(Boolean);
  return { caption: "Targets, the best model of each, and its neighbours", columns, rows };
}

function neighboursCell({ neighbours }) {
  const names = neighbours.map(({ target }) => targets[target].title);
  return `${names.length}${names.length ? ": " : ""}${names.join(", ")}`;
}
