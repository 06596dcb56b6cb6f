// What can be set of the graph.

const GRAPH_SETTINGS = {
  nodeMeasure: "best_balanced_accuracy", edgeMeasure: content.about.source === "runs" ? "corrected_distance" : "published_distance", share: PUBLISHED_SHARE, grouping: "domain",
  nodeScale: "value", edgeScale: "value", smallest: 5, largest: 20, width: 3, charge: 420, distance: 110, gravity: 0.08,
};

const KEPT_MEASURES = { nodeMeasure: "nodes", edgeMeasure: "edges", grouping: "colours" };

/** Return the measures that the address names; one that there is none of any more is passed over where it is used. */
function keptMeasures() {
  const named = Object.entries(KEPT_MEASURES).map(([setting, name]) => [setting, keptAs(name)]);
  return Object.fromEntries(named.filter(([, value]) => value !== null));
}

/** Make the controls; `changed` is called with whether the nodes may move. They are made anew for another series. */
function makeGraphControls(settings, changed) {
  const set = (name, mayMove) => (value) => {
    settings[name] = value;
    if (KEPT_MEASURES[name]) keep(KEPT_MEASURES[name], value);
    changed(mayMove);
  };
  const element = make("div", { class: "controls" });
  whenChosen(() => element.replaceChildren(...measureControls(settings, set), looksControls(settings, set)));
  return element;
}

function measureControls(settings, set) {
  const edges = measuresOf(content.edges);
  const edgeMeasure = measureNamed(content.edges, settings.edgeMeasure);
  const nodes = measuresOf(content.nodes);
  const told = make("p", { class: "small quiet" }, edgeMeasure?.told);
  const options = (measures) => measures.map(({ name, title }) => ({ value: name, title }));
  const chooseEdges = (value) => {
    set("edgeMeasure", true)(value);
    told.textContent = measureNamed(content.edges, value).told;
  };
  const number = edgeMeasure?.strength.length ?? 0;
  const shown = (edge) => `${edge} of ${number} (${percentText(number ? edge / number : 0)})`;
  return [
    nodes.length ? makeSelect("Size of nodes", options(nodes), measureNamed(nodes, settings.nodeMeasure).name, set("nodeMeasure", true)) : "",
    makeSelect("Colour of nodes", groupings(), groupingNamed(settings.grouping).value, set("grouping", false)),
    edges.length ? makeSelect("Edges", options(edges), edgeMeasure.name, chooseEdges) : make("p", {}, "This series has no edges."),
    told,
    makeSlider("Edges shown", { low: 0, high: number, step: 1, value: number ? numEdges(edgeMeasure, settings.share) : 0, shown }, (value) =>
      set("share", true)(number ? value / number : 0)),
  ].filter(Boolean);
}

function looksControls(settings, set) {
  const slider = (title, name, low, high, step, mayMove) =>
    makeSlider(title, { low, high, step, value: settings[name] }, set(name, mayMove));
  const scales = Object.entries(NORMALISATIONS).map(([value, title]) => ({ value, title }));
  return make(
    "details",
    {},
    make("summary", {}, "Sizes and forces"),
    makeSelect("Scale of nodes", scales, settings.nodeScale, set("nodeScale", true)),
    slider("Smallest node", "smallest", 2, 20, 1, false),
    slider("Largest node", "largest", 6, 50, 1, false),
    makeSelect("Scale of edges", scales, settings.edgeScale, set("edgeScale", true)),
    slider("Widest edge", "width", 0.5, 12, 0.5, false),
    slider("Repulsion", "charge", 0, 1500, 20, true),
    slider("Length of edges", "distance", 20, 300, 5, true),
    slider("Pull to the middle", "gravity", 0, 0.5, 0.01, true),
  );
}

/** Make the search: the targets that match are lit, Enter goes to the first. */
function makeSearch(graph) {
  const input = make("input", { type: "search", id: "search", list: "targets", autocomplete: "off", "aria-keyshortcuts": "/" });
  const found = () => {
    const text = input.value.trim().toLowerCase();
    return text ? graph.nodes.filter(({ index }) => targets[index].title.toLowerCase().includes(text)) : null;
  };
  input.addEventListener("input", () => {
    const nodes = found();
    graph.drawing.light(nodes && new Set(nodes.map(({ index }) => index)));
    announce(nodes ? `${nodes.length} targets match` : "");
  });
  input.addEventListener("keydown", (event) => {
    const [first] = event.key === "Enter" ? (found() ?? []) : [];
    if (!first) return;
    graph.drawing.centre(first);
    graph.focusNode(first);
  });
  const options = make("datalist", { id: "targets" }, targets.map(({ title }) => make("option", { value: title })));
  const element = makeControl("Find a target", input);
  element.append(options);
  return { element, input };
}
