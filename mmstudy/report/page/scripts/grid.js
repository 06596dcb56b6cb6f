// The tab with the grid: targets × sets of inputs, a panel for each domain.

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };

function makeGridTab() {
  const panels = make("div", { class: "panels" });
  const filters = makeGridFilters(() => fill());
  const pane = makePane("grid-target", (target) => panels.querySelector(`[data-target="${target}"]`)?.focus());
  const shown = () => domains.map((_, domain) => gridPanel(domain, filters)).filter(Boolean);
  const tools = make("div", { class: "tools" }, makeSaveButtons("grid", gridPictureName, () => gridPicture(shown())));
  const key = make("div", { class: "grid-key" });
  const element = make("div", {}, filters.element, tools, key, make("div", { class: "grid-tab" }, panels, pane.element));

  function fill() {
    const shades = makeShades();
    key.replaceChildren(...gridKey(shades));
    const made = shown().map((panel) => makeGridPanel(panel, shades, pane));
    panels.replaceChildren(...(made.length ? made : [make("p", {}, "No model is left by these filters.")]));
    const number = panels.querySelectorAll("td.cell").length;
    announce(`${number} models shown`);
    if (pane.target !== null) pane.show(pane.target);
  }

  return { element, shown: () => whenChosen(fill) };
}

function gridKey(shades) {
  return [
    make("span", {}, `${SHADES_TOLD.low} `, makeShadeSteps(shades), ` ${SHADES_TOLD.high}`),
    make("span", {}, make("span", { class: "sample best-cell", "aria-hidden": "true" }), ` ${OUTLINE_TOLD}`),
    ...presentFlags().map(({ mark, title }) => make("span", {}, make("span", { class: "mark", "aria-hidden": "true" }, mark), ` ${title}`)),
    make("span", {}, BLANK_TOLD),
  ];
}

/** Return what the filters leave of a domain: its sets and targets, and the model of each cell; null where it is nothing. */
function gridPanel(domain, filters) {
  const shown = models.filter(
    (model) =>
      targets[model.target].domain === domain && model.series === choice.series && filters.shows(model),
  );
  if (!shown.length) return null;
  const columns = d3.sort(new Set(shown.map(({ set }) => set)));
  return {
    domain,
    columns,
    lines: d3.sort(new Set(shown.map(({ target }) => target))),
    byCell: new Map(shown.map((model) => [keyOf(model.target, model.set), model])),
    used: inputs.map((_, input) => input).filter((input) => columns.some((set) => sets[set].includes(input))),
  };
}

function makeGridPanel({ domain, columns, lines, byCell, used }, shades, pane) {
  const rows = lines.map((target) => makeGridRow(target, columns, byCell, shades, pane));
  const headings = columns.map((set) => make("th", { scope: "col" }, make("span", { class: "unseen" }, setTitle(set))));
  const table = make(
    "table",
    { class: "grid", role: "grid", "aria-label": `${domains[domain]}: score of each target from each set of inputs` },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, make("span", { class: "unseen" }, "Target")), headings)),
    make("tbody", {}, rows),
    make("tfoot", { "aria-hidden": "true" }, makeDots(columns, used)),
  );
  addCellKeys(table, pane);
  return make("section", {}, make("h3", {}, domains[domain]), make("div", { class: "scroll" }, table));
}

function makeGridRow(target, columns, byCell, shades, pane) {
  const { title, kind } = targets[target];
  const open = makeButton(title, () => pane.show(target), { class: "link", "data-target": target });
  const unit = kind === "continuous" ? make("span", { class: "quiet" }, " R²") : null;
  const cells = columns.map((set) => makeCell(byCell.get(keyOf(target, set)), shades));
  return make("tr", {}, make("th", { scope: "row" }, open, unit), cells);
}

function makeCell(model, shades) {
  if (!model) return make("td", { class: "empty" }, make("span", { class: "unseen" }, "no model"));
  const words = [numberText(model.score), isBest(model) ? "best set" : "", ...flagsOf(model), ...besideLines(model)].filter(Boolean).join(", ");
  const cell = make(
    "td",
    { class: isBest(model) ? "cell best-cell" : "cell", tabindex: -1, "data-model": model.index },
    make("span", { class: "unseen" }, words),
    make("span", { class: "mark", "aria-hidden": "true" }, markOf(model)),
  );
  const share = goodness(model);
  if (share !== null) {
    cell.style.background = shades(share);
    cell.style.color = inkOn(shades(share));
  }
  return cell;
}

/** Make a line for each input with a dot below each set that has it. */
function makeDots(columns, used) {
  return used.map((input) => {
    const dots = columns.map((set) => make("td", {}, make("span", { class: sets[set].includes(input) ? "dot has" : "dot" })));
    return make("tr", {}, make("th", {}, inputs[input].title), dots);
  });
}

/** Let one cell of a panel have the tab stop; arrows go on from it, Enter opens its target. */
function addCellKeys(table, pane) {
  const cellOf = (event) => event.target.closest("td.cell");
  const modelOf = (cell) => models[Number(cell.dataset.model)];
  table.querySelector("td.cell").tabIndex = 0;
  table.addEventListener("pointerover", (event) => {
    const cell = cellOf(event);
    if (cell) showHint(modelLines(modelOf(cell)), event.clientX, event.clientY);
    else hideHint();
  });
  table.addEventListener("pointerleave", hideHint);
  table.addEventListener("focusin", (event) => cellOf(event) && showHintAt(modelLines(modelOf(cellOf(event))), cellOf(event)));
  table.addEventListener("focusout", hideHint);
  table.addEventListener("click", (event) => cellOf(event) && pane.show(modelOf(cellOf(event)).target));
  table.addEventListener("keydown", (event) => {
    const cell = cellOf(event);
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") hideHint();
    if (event.key === "Enter") pane.show(modelOf(cell).target);
    if (!STEPS[event.key]) return;
    event.preventDefault();
    nextCell(table, cell, ...STEPS[event.key])?.focus();
  });
  table.addEventListener("focusin", (event) => {
    if (!cellOf(event)) return;
    table.querySelectorAll('td[tabindex="0"]').forEach((cell) => (cell.tabIndex = -1));
    cellOf(event).tabIndex = 0;
  });
}

/** Return the next cell that has a model; an infinite step goes to the last one. */
function nextCell(table, cell, down, right) {
  const cells = down
    ? [...table.tBodies[0].rows].map((row) => row.cells[cell.cellIndex])
    : [...cell.parentElement.cells];
  const step = Math.sign(down || right);
  const ahead = cells.filter((other) => other.classList.contains("cell") && Math.sign(cells.indexOf(other) - cells.indexOf(cell)) === step);
  const isFar = Math.abs(down || right) === Infinity;
  return step > 0 === isFar ? ahead.at(-1) : ahead[0];
}
