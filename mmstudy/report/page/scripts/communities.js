// The tab of communities: a tree of targets from coarse to fine, beside a map of how strong every tie is.

const MAP = { step: 46, dot: 5, names: 150, cell: 20, top: 30, below: 130, margin: 8 };
const NO_TIE = -1;

function makeCommunitiesTab() {
  const { method } = content.communities;
  const frame = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tree and map of the communities" });
  const picture = () => pictureOfDrawing(frame.firstChild, communityLegend());
  const tools = make("div", { class: "tools" }, makeSaveButtons("communities", () => "communities", picture));
  const legend = make("ul", { class: "legend" });
  const element = make(
    "div",
    {},
    make("h2", {}, "How targets hang together"),
    make("p", {}, `Communities are targets that are tied more strongly to each other than to others. ${method} How certain a community is, this does not say: ` +
      "other targets, or another seed, may give others."),
    make("p", { class: "small quiet" }, `The tree goes from all targets on the left, through the communities from coarse to fine, to single targets. Each line of the map ` +
      `is a target, and the columns come in the same order. Shades are ranks of the ${communityEdges().title}. Frames are communities. What is not known is blank.`),
    tools,
    frame,
    legend,
    makeFolded("The communities as a table", communityTable),
    makeFolded("The ties as a table", pairTable),
  );
  const draw = () => {
    frame.replaceChildren(drawCommunities());
    const shades = make("li", {}, "weakest tie ", makeShadeSteps(makeShades()), " strongest");
    legend.replaceChildren(...communityLegend().map(legendItem), shades);
  };
  return { element, shown: () => whenChosen(draw) };
}

function communityLegend() {
  return domains.map((title, domain) => ({ title, colour: hueOf(domain) }));
}

/** Return the edges by which the communities were found; they are those of one series, or of labels. */
function communityEdges() {
  const { edges, series: place } = content.communities;
  return content.edges.find((measure) => measure.name === edges && measure.series === place);
}

function drawCommunities() {
  const { levels, order } = content.communities;
  const { step, names, cell, top, below, margin } = MAP;
  const tree = step * (levels.length + 1);
  const left = margin + tree + names;
  const size = cell * order.length;
  const [width, height] = [left + size + margin, top + size + below];
  const svg = newDrawing(width, height, `${order.length} targets in ${new Set(levels[0]).size} communities. The same as tables is below.`);
  svg.classed("communities", true);
  const lineOf = (line) => top + (line + 0.5) * cell;
  drawMap(svg, left, top);
  drawFrames(svg, left, top);
  drawTree(svg, (depth) => margin + depth * step, lineOf);
  const label = (x, y, turn, index) =>
    svg.append("text").attr("transform", `translate(${x},${y}) rotate(${turn})`).attr("dy", "0.35em").attr("text-anchor", "end").text(targets[index].title);
  order.forEach((target, line) => {
    label(left - 6, lineOf(line), 0, target);
    label(left + (line + 0.5) * cell, top + size + 8, -90, target);
  });
  svg.append("text").attr("class", "axis-title").attr("x", left).attr("y", top - 10).text(communityEdges().title);
  return svg.node();
}

/** Draw the branches and their ends; a branch says who is in it. */
function drawTree(svg, xOf, yOf) {
  const { levels, order } = content.communities;
  const groupsOf = [() => 0, ...levels.map((level) => (target) => level[target]), (target) => target];
  const places = groupsOf.map((group) => d3.rollup(order, (members) => d3.mean(members, (target) => order.indexOf(target)), group));
  groupsOf.slice(1).forEach((group, depth) => {
    d3.groups(order, group).forEach(([key, members]) => {
      const [start, end] = [places[depth].get(groupsOf[depth](members[0])), places[depth + 1].get(key)];
      svg.append("path").attr("class", "branch").attr("d", `M${xOf(depth)},${yOf(start)}V${yOf(end)}H${xOf(depth + 1)}`);
    });
  });
  levels.forEach((level, depth) => {
    const number = new Set(level).size;
    d3.groups(order, (target) => level[target]).forEach(([key, members]) => {
      const lines = [`community ${key + 1} of ${number}`, `${members.length} targets: ${members.map((target) => targets[target].title).join(", ")}`];
      drawDot(svg, xOf(depth + 1), yOf(places[depth + 1].get(key)), null, lines);
    });
  });
  order.forEach((target, line) =>
    drawDot(svg, xOf(levels.length + 1), yOf(line), hueOf(targets[target].domain), [targets[target].title, domains[targets[target].domain]]));
}

function drawDot(svg, x, y, colour, lines) {
  svg.append("circle").attr("class", colour ? "leaf" : "knot").attr("cx", x).attr("cy", y).attr("r", MAP.dot).attr("fill", colour)
    .on("pointerenter", (event) => showHint(lines, event.clientX, event.clientY))
    .on("pointerleave", hideHint);
}

/** Draw the cells of the map, each shaded by its rank among all. */
function drawMap(svg, left, top) {
  const { order } = content.communities;
  const measure = communityEdges();
  const ranks = normalised(measure.strength, "rank");
  const shades = makeShades();
  const edgeOf = new Map(measure.one.flatMap((one, edge) => [[keyOf(one, measure.other[edge]), edge], [keyOf(measure.other[edge], one), edge]]));
  const map = svg.append("g");
  order.forEach((one, line) =>
    order.forEach((other, column) => {
      const edge = edgeOf.get(keyOf(one, other)) ?? NO_TIE;
      const fill = one === other ? colourNamed("line") : edge === NO_TIE ? colourNamed("page") : shades(ranks[edge]);
      map.append("rect").attr("x", left + column * MAP.cell).attr("y", top + line * MAP.cell).attr("width", MAP.cell - 1)
        .attr("height", MAP.cell - 1).attr("fill", fill).datum({ one, other, edge });
    }),
  );
  map.on("pointermove", (event) => showTie(event, measure)).on("pointerleave", hideHint);
}

function showTie(event, measure) {
  const { one, other, edge } = d3.select(event.target).datum() ?? {};
  if (one === undefined || one === other) return hideHint();
  const told = edge === NO_TIE ? "not known" : `${strengthText(measure, edge)}, ${edge + 1} of ${measure.strength.length}`;
  return showHint([`${targets[one].title} and ${targets[other].title}`, `${measure.title}: ${told}`], event.clientX, event.clientY);
}

function drawFrames(svg, left, top) {
  const { levels, order } = content.communities;
  levels.forEach((level, depth) =>
    d3.groups(order, (target) => level[target]).forEach(([, members]) => {
      const [start, size] = [order.indexOf(members[0]) * MAP.cell, members.length * MAP.cell];
      svg.append("rect").attr("class", depth ? "community" : "community coarse").attr("x", left + start - 0.5).attr("y", top + start - 0.5)
        .attr("width", size).attr("height", size);
    }),
  );
}

function communityTable() {
  const { levels, order } = content.communities;
  const columns = [
    { title: "Target", value: (target) => targets[target].title },
    { title: "Domain", value: (target) => domains[targets[target].domain] },
    ...levels.map((level) => ({ title: `One of ${new Set(level).size} communities`, isNumber: true, value: (target) => level[target] + 1 })),
  ];
  return { caption: "Targets and their communities", columns, rows: order };
}

function pairTable() {
  const measure = communityEdges();
  const level = content.communities.levels[0];
  const rows = measure.strength.map((_, edge) => ({ edge, one: measure.one[edge], other: measure.other[edge] }));
  const columns = [
    { title: "Target", value: ({ one }) => targets[one].title },
    { title: "Other target", value: ({ other }) => targets[other].title },
    { title: measure.title, isNumber: true, value: ({ edge }) => measure.strength[edge], show: ({ edge }) => strengthText(measure, edge) },
    { title: "In one community", value: ({ one, other }) => (level[one] === level[other] ? "yes" : "no") },
  ];
  return { caption: "Ties, the strongest first", columns, rows };
}
