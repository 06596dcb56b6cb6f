// Another table's scores beside those of the models here, where target and set of inputs are the same.

const beside = content.beside ?? null;
const besideOf = new Map(rowsOf(beside?.cells).map((cell) => [cell.model, cell]));
const ALL_DOMAINS = "all";
const DOMAIN_KEPT = "beside-domain";
const ONE_CLASS_THERE = "predicts one class there";

/** Return what a hint says of the same cell in the other table. */
function besideLines(model) {
  const there = besideOf.get(model.index);
  if (!there) return [];
  const flag = there.predicts_one_class ? `, ${ONE_CLASS_THERE}` : "";
  return [`${beside.name}: ${numberText(there.score)}${flag}; difference ${signedText(there.difference)}, not tested`];
}

/** Return the columns that a table of models has for the other table. */
function besideColumns() {
  if (!beside) return [];
  const valueOf = (name) => ({ index }) => besideOf.get(index)?.[name] ?? null;
  return [
    { title: "Other table", isNumber: true, value: valueOf("score"), show: thereCell },
    { title: "Difference to it", isNumber: true, value: valueOf("difference"), show: (row) => signedText(valueOf("difference")(row)) },
  ];
}

function thereCell({ index }) {
  const there = besideOf.get(index);
  const told = [
    there?.predicts_one_class && "predicts one class",
    there?.num_models > 1 && `mean of ${there.num_models} models`,
  ].filter(Boolean);
  return [numberText(there?.score), told.length ? make("span", { class: "interval" }, told.join(", ")) : null];
}

/** Return what is to be known of a target before its scores are read against those of the other table. */
function besideParts(target) {
  const row = besideTarget(target);
  if (!row) return [];
  const told = `Other table: ${beside.name}. Difference: the score here less that there. It is not tested, for that needs predictions ` +
    "of both on the same participants, and the participants are others, as far as is known.";
  return [make("p", { class: "small quiet" }, [told, ...row.cautions].join(" "))];
}

/** Return what is said of a target by the chosen series. */
function besideTarget(target) {
  return rowsOf(beside?.targets).find((row) => row.target === target && row.series === choice.series) ?? null;
}

function makeBesideTab() {
  const body = make("div");
  const pane = makePane("beside-target", (target) => body.querySelector(`[data-target="${target}"]`)?.focus());
  const fill = () => {
    body.replaceChildren(...besideTabParts(pane));
    if (pane.target !== null) pane.show(pane.target);
  };
  return { element: make("div", { class: "grid-tab" }, body, pane.element), shown: () => whenChosen(fill) };
}

function besideTabParts(pane) {
  const compared = models.filter(({ index, series: of }) => of === choice.series && besideOf.has(index));
  const { told } = rowsOf(beside.series).find(({ series: of }) => of === choice.series);
  return [
    make("h2", {}, `The scores here beside those of ${beside.name}`),
    make("p", {}, told),
    make("ul", { class: "cautions" }, beside.cautions.map((caution) => make("li", {}, caution))),
    ...(compared.length ? comparedParts(compared, pane) : []),
    make("h2", {}, "What is not compared"),
    makeUnmatched(),
  ];
}

/** Make the drawings and tables of compared cells, of all domains or of the one that stands in the address. */
function comparedParts(compared, pane) {
  const parts = make("div");
  const present = d3.sort(new Set(compared.map(({ target }) => targets[target].domain))).map((of) => domains[of]);
  const chosen = () => (present.includes(keptAs(DOMAIN_KEPT)) ? keptAs(DOMAIN_KEPT) : ALL_DOMAINS);
  const isShown = ({ target }) => chosen() === ALL_DOMAINS || domains[targets[target].domain] === chosen();
  const fill = () => {
    const shown = compared.filter(isShown);
    const drawings = ["continuous", "binary"].map((kind) => makeBesideScatter(kind, shown, pane)).filter(Boolean);
    const rows = rowsOf(beside.targets).filter((row) => row.series === choice.series && isShown(row));
    parts.replaceChildren(
      make("div", { class: "scatters" }, drawings), makeTable(besideTargetsTable(rows, pane)), makeTable(besideCellsTable(shown, pane)),
    );
  };
  const choose = (value) => {
    keep(DOMAIN_KEPT, value === ALL_DOMAINS ? null : value);
    fill();
  };
  fill();
  return [
    make("h2", {}, "Each cell"),
    make("p", {}, "A point is a target and a set of inputs. Above the line the score is higher here. The pointer on a point says what it is, " +
      "a click opens its target; the table of cells has the same."),
    make("div", { class: "filters" },
      makeSelect("Domain", [ALL_DOMAINS, ...present].map((value) => ({ value, title: value })), chosen(), choose)),
    parts,
  ];
}

/** Draw the cells of targets of one kind; null where there are none. */
function makeBesideScatter(kind, compared, pane) {
  const points = compared.filter(({ target }) => targets[target].kind === kind).map((model) => {
    const there = besideOf.get(model.index);
    const isOpen = Boolean(model.predicts_one_class || there.predicts_one_class);
    return { model, x: there.score, y: model.score, colour: hueOf(targets[model.target].domain), isOpen };
  });
  if (!points.length) return null;
  const metric = metricTitle(points[0].model.target);
  const svg = makeScatter({
    points, lowest: LOWEST_DRAWN[kind], titles: { x: `${metric} there`, y: `${metric} here` },
    label: `${metric} here against ${metric} there, ${points.length} cells; the table of cells has the same values`,
    linesOf: ({ model }) => modelLines(model), chosen: ({ model }) => pane.show(model.target),
  });
  const legend = [
    ...d3.sort(new Set(points.map(({ model }) => targets[model.target].domain))).map((of) => ({ colour: hueOf(of), title: domains[of] })),
    { title: [points.some(({ isOpen }) => isOpen) && "open: predicts one class, here or there", "line: both scores are equal"].filter(Boolean).join("; ") },
  ];
  const save = makeSaveButtons(`drawing of ${metric}`, () => `beside-${kind}`, () => pictureOfDrawing(svg, legend));
  return make("figure", {}, make("div", { class: "tools" }, save), svg, make("ul", { class: "legend" }, legend.map(legendItem)));
}

function targetButton(target, pane, more = {}) {
  return makeButton(targets[target].title, () => pane.show(target), { class: "link", ...more });
}

function besideTargetsTable(rows, pane) {
  const best = ({ target }) => bestModel(target, choice.series);
  const withSet = (score, set) => [numberText(score), make("span", { class: "interval" }, set)];
  const columns = [
    { title: "Target", value: ({ target }) => targets[target].title, show: ({ target }) => targetButton(target, pane, { "data-target": target }) },
    numberColumn("Cells", "num_cells", 0),
    numberColumn("Higher here", "higher", 0),
    numberColumn("Lower here", "lower", 0),
    { title: "Mean difference", isNumber: true, value: (row) => row.mean_difference, show: (row) => signedText(row.mean_difference) },
    { title: "Best here", value: (row) => best(row)?.score, show: (row) => (best(row) ? withSet(best(row).score, setTitle(best(row).set)) : UNKNOWN) },
    { title: "Best there", value: (row) => row.best_score, show: (row) => withSet(row.best_score, row.best_set) },
    numberColumn("Predict one class there", "one_class", 0),
    { title: "In what the two differ", value: (row) => row.cautions.join(" "), show: (row) => row.cautions.map((of) => make("div", { class: "differs" }, of)) },
  ];
  return { caption: `${rows.length} targets`, columns, rows };
}

function besideCellsTable(compared, pane) {
  const flags = (model) => [...flagsOf(model), besideOf.get(model.index).predicts_one_class && ONE_CLASS_THERE].filter(Boolean).join(", ");
  const columns = [
    { title: "Target", value: ({ target }) => targets[target].title, show: ({ target }) => targetButton(target, pane) },
    { title: "Inputs", value: ({ set }) => setTitle(set) },
    { title: "Score", value: ({ target }) => metricTitle(target) },
    numberColumn("Here", "score"),
    ...besideColumns(),
    { title: "Flags", value: flags },
  ];
  return { caption: `${compared.length} cells`, columns, rows: compared };
}

function makeUnmatched() {
  const rows = rowsOf(beside.unmatched);
  if (!rows.length) return make("p", {}, "Every cell here has one there, and every cell there has one here.");
  const named = ({ targets: names }) => names.map((name) => name.replaceAll("_", " ")).join(", ");
  const columns = [
    { title: "Why", value: ({ reason }) => reason },
    numberColumn("Cells here", "here", 0),
    numberColumn("Cells there", "there", 0),
    { title: "Targets", value: named },
  ];
  return makeTable({ caption: "Cells that are in one alone, or have no score", columns, rows });
}
