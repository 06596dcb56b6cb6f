// The pane of a target: every model of it.

/** Make the pane, which is empty until a target is shown; `buttonsOf` a target stand beside the one that closes it. */
function makePane(closed, buttonsOf = () => []) {
  const element = make("aside", { class: "pane", hidden: true, "aria-label": "Models of a target" });
  element.addEventListener("keydown", (event) => event.key === "Escape" && close());
  const pane = { element, target: null, show, close };

  function show(target, neighbours = []) {
    const isNew = pane.target !== target;
    pane.target = target;
    const closing = makeButton("Close", close, { "aria-keyshortcuts": "Escape" });
    const buttons = make("div", { class: "buttons" }, buttonsOf(target), closing);
    element.replaceChildren(buttons, ...paneParts(target, neighbours));
    element.hidden = false;
    element.setAttribute("aria-label", `Models of ${targets[target].title}`);
    if (isNew) element.querySelector("h2").focus();
  }

  function close() {
    const last = pane.target;
    if (last === null) return;
    pane.target = null;
    element.hidden = true;
    closed(last);
  }

  return pane;
}

function paneParts(target, neighbours) {
  const { title, domain, kind, unit } = targets[target];
  const best = bestModel(target, choice.series);
  const told = [domains[domain], kind, unit].filter(Boolean).join(" · ");
  return [
    make("h2", { tabindex: -1 }, title),
    make("p", { class: "quiet" }, told),
    best
      ? make("p", { class: "best" }, "Best: ", make("b", {}, setTitle(best.set)), `, ${scoreText(best)}. ${choiceText(best)}`)
      : make("p", {}, "No model of this series has a score."),
    makeTable(modelsTable(target)),
    make("p", { class: "small quiet" }, additionsTold(target)),
    neighbours.length ? neighbourList(neighbours) : null,
  ].filter(Boolean);
}

function additionsTold(target) {
  const isTested = modelsOf(target).some((model) => added.has(model.index));
  return isTested
    ? "Adds: score less that of the same set without one input, on the same participants, with the 95 % interval; " +
      "q is p adjusted by Benjamini and Hochberg."
    : "Adds: score less that of the next smaller sets. Without the predictions there are no intervals and no tests.";
}

function neighbourList(neighbours) {
  const items = neighbours.map(({ target, strength }) => make("li", {}, `${targets[target].title}: ${numberText(strength)}`));
  return make("details", {}, make("summary", {}, `${items.length} neighbours among the edges shown`), make("ul", {}, items));
}

function modelsTable(target) {
  const isContinuous = targets[target].kind === "continuous";
  const metrics = isContinuous ? ["mae", "r", "balanced_accuracy"] : ["auc", "average_precision", "precision", "recall", "f1"];
  const rows = modelsOf(target);
  const all = [
    { title: "Inputs", value: (row) => setTitle(row.set), show: setCell },
    hasSeveralSeries ? { title: "Models by", value: (row) => series[row.series].title } : null,
    { title: metricTitle(target), isNumber: true, value: (row) => row.score, show: scoreCell },
    { title: "Adds", isNumber: true, value: largestAddition, show: additionsCell },
    { title: "Flags", value: (row) => flagsOf(row).join(", "), show: (row) => flagsOf(row).join(", ") },
    numberColumn("Validation", "val_score"),
    ...metrics.map((name) => numberColumn(METRIC_TITLES[name], name)),
    numberColumn("Test samples, in tens", "n_test", 0),
    numberColumn("Minutes", "minutes", 0),
    { title: "Runs", value: (row) => row.runs.join(" "), show: runsCell },
  ];
  const isEmpty = ({ value }) => rows.every((row) => [null, undefined, ""].includes(value(row)));
  const columns = all.filter((column) => column && !isEmpty(column));
  const sorted = columns.findIndex(({ title }) => title === metricTitle(target));
  const rowClass = (row) => [isBest(row) && "chosen", flagsOf(row).length && "flagged"].filter(Boolean).join(" ") || null;
  return { caption: `All ${rows.length} models of ${targets[target].title}`, columns, rows, sorted, descending: true, rowClass };
}

function setCell(row) {
  return isBest(row) ? [setTitle(row.set), " ", make("span", { class: "tag" }, "best set")] : setTitle(row.set);
}

function scoreCell(row) {
  const interval = intervalText(row.score_low, row.score_high);
  return [numberText(row.score), interval ? make("span", { class: "interval" }, interval) : null];
}

function largestAddition(row) {
  return d3.max(additionsOf(row), ({ difference }) => difference) ?? null;
}

function additionsCell(row) {
  return additionsOf(row).map((addition) => make("div", { class: "line" }, additionText(addition)));
}

function runsCell(row) {
  const address = content.about.runs;
  return row.runs.map((run) =>
    make("div", { class: "line" }, address ? make("a", { href: `${address}/${encodeURIComponent(run)}/report.html` }, run) : run),
  );
}
