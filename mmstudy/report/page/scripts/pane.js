// The pane of a target: every model of it.

/**
 * Make the pane, which is empty until a target is shown; `buttonsOf` a target stand beside the one that closes it.
 *
 * Its target is kept in the address under the pane's name. One that stands there at first is shown by whoever fills the
 * tab, as any target that is shown already: the focus stays where it is.
 */
function makePane(name, closed, buttonsOf = () => []) {
  const element = make("aside", { class: "pane", hidden: true, "aria-label": "Models of a target" });
  element.addEventListener("keydown", (event) => event.key === "Escape" && close());
  const kept = targets.findIndex((target) => target.name === keptAs(name));
  const pane = { element, target: kept < 0 ? null : kept, show, close };

  function show(target, neighbours = []) {
    const isNew = pane.target !== target;
    pane.target = target;
    keep(name, targets[target].name);
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
    keep(name, null);
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
    best ? bestLine(best) : make("p", {}, "No model of this series has a score."),
    ...besideParts(target),
    makeTable(modelsTable(target)),
    make("p", { class: "small quiet" }, differencesTold(target)),
    neighbours.length ? neighbourList(neighbours) : null,
  ].filter(Boolean);
}

function bestLine(best) {
  const found = flagsOf(best);
  const flagged = found.length ? make("strong", { class: "warned" }, `Flags: ${found.join("; ")}.`) : null;
  const told = [make("b", {}, setTitle(best.set)), `, ${scoreText(best)}. ${choiceText(best)} `];
  return make("p", { class: "best" }, "Best: ", told, flagged);
}

function differencesTold(target) {
  const rows = modelsOf(target);
  if (!rows.some((model) => added.has(model.index) || bestAgainst.has(model.index))) {
    return "Adds: score less that of the next smaller sets. Without the predictions there are no intervals and no tests.";
  }
  return "Adds: score less that of the same set without one input. Against the best set: score less that of the best set " +
    "of the same series. Both on the same participants, with the 95 % interval; q is p adjusted by Benjamini and Hochberg.";
}

function neighbourList(neighbours) {
  const items = neighbours.map(({ target, text }) => make("li", {}, `${targets[target].title}: ${text}`));
  return make("details", {}, make("summary", {}, `${items.length} neighbours among the edges shown`), make("ul", {}, items));
}

// Metrics under the names of the published table, which says less than they are.
const PUBLISHED_TITLES = {
  auc: "micro AUC", precision: "macro precision", recall: "macro recall", f1: "macro F1",
  balanced_accuracy: "balanced accuracy (median split)",
};

function modelsTable(target) {
  const isContinuous = targets[target].kind === "continuous";
  const metrics = isContinuous ? ["mae", "r", "balanced_accuracy"] : ["auc", "average_precision", "precision", "recall", "f1"];
  const rows = modelsOf(target);
  const all = [
    { title: "Inputs", value: (row) => setTitle(row.set), show: setCell },
    hasSeveralSeries ? { title: "Models by", value: (row) => series[row.series].title } : null,
    { title: metricTitle(target), isNumber: true, value: (row) => row.score, show: scoreCell },
    ...besideColumns(),
    { title: "Adds", isNumber: true, value: largestAddition, show: additionsCell },
    { title: "Against the best set", isNumber: true, value: (row) => differenceToBest(row)?.difference, show: bestSetCell },
    { title: "Flags", value: (row) => flagsOf(row).join(", "), show: flagsCell },
    numberColumn("Validation", "val_score"),
    ...metrics.map((name) => numberColumn(PUBLISHED_TITLES[name] ?? METRIC_TITLES[name], name)),
    numberColumn("Test samples (tens, rounded down)", "n_test", 0),
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

function flagsCell(row) {
  return flagsOf(row).map((flag) => make("div", { class: "flag" }, flag));
}

function bestSetCell(row) {
  const tested = differenceToBest(row);
  if (!tested) return isBest(row) ? "" : UNKNOWN;
  return [signedText(tested.difference), make("span", { class: "interval" }, certaintyText(tested))];
}

function runsCell(row) {
  return row.runs.map((name) => makeRun(runs.get(name)));
}

/** Make the name of a run, linked to what there is of it, with the commands that make what there is not. */
function makeRun(run) {
  const commands = [!run.page && run.page_command, !run.bundle && run.bundle_command].filter(Boolean);
  const bundle = run.bundle && make("a", { href: run.bundle, "aria-label": `bundle of ${run.name}` }, "bundle");
  return make(
    "div",
    { class: "run" },
    make("div", { class: "line" }, run.page ? make("a", { href: run.page }, run.name) : run.name, bundle && [" · ", bundle]),
    commands.length
      ? make("details", {}, make("summary", { "aria-label": `commands for ${run.name}` }, "commands"), commands.map(makeCommand))
      : null,
  );
}

/** Make a command with a button that copies it. */
function makeCommand(command) {
  const code = make("code", {}, command);
  const copy = makeButton("Copy", () => copyText(code, [command]), { "aria-label": `Copy ${command}` });
  return make("div", { class: "command" }, code, copy);
}
