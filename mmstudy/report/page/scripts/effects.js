// The tab that says what inputs add: mixed models, and differences of two models.

const FAMILY_TITLES = {
  [LESS_ONE]: "a set less one input", [BEST_SET]: "the best set against every other",
  [BEST_BASELINE]: "a network against the best baseline", separate: "another method against separate models",
};
const ANY = "any";
const families = d3.sort(new Set(differences.map(({ family }) => family)));
const sought = { family: families.includes(LESS_ONE) ? LESS_ONE : families[0], target: ANY, input: ANY, verdict: ANY };
const INTERCEPT = "intercept"; // as large as a score: drawn with the effects it would make them too small to see

function makeEffectsTab() {
  const element = make("div");
  const shown = () => whenChosen(() => element.replaceChildren(...differenceParts(), ...effectParts()));
  return { element, shown };
}

function effectParts() {
  const rows = rowsOf(content.effects).filter((row) => row.series === choice.series);
  if (!rows.length) return [];
  const drawn = rows.filter(({ term }) => term !== INTERCEPT);
  const scale = stripScale([0, ...drawn.flatMap(({ low, high }) => [low, high])]);
  const columns = [
    { title: "Domain", value: ({ domain }) => domains[domain] },
    { title: "Input", value: ({ term }) => termTitle(term) },
    { title: "Score", value: ({ outcome }) => METRIC_TITLES[outcome] ?? outcome },
    { title: "Effect", isNumber: true, value: ({ estimate }) => estimate, show: ({ estimate }) => signedText(estimate) },
    { title: "95 % interval", value: ({ low }) => low, show: ({ low, high }) => intervalText(low, high) },
    { title: "Drawn", value: ({ estimate }) => estimate, show: (row) => (drawn.includes(row) ? makeStrip(scale, { ...row, middle: row.estimate, zero: true }) : "") },
    { title: "p", isNumber: true, value: ({ p }) => p, show: ({ p }) => probabilityText(p) },
    numberColumn("Models", "num_cells", 0),
    numberColumn("Targets", "num_targets", 0),
  ];
  return [
    make("h2", {}, "What each input adds, over all sets"),
    make("p", {}, "A mixed model for each domain: score = intercept + the target's own deviation + the effects of the inputs. " +
      "p is not adjusted. The models share participants: read the effects as a summary of this grid."),
    makeTable({ caption: "Effects of inputs", columns, rows }),
  ];
}

/** Return the inputs of a term, which joins those that always come together by +. */
function termTitle(term) {
  return term.split("+").map((name) => inputs.find((input) => input.name === name)?.title ?? name).join(" + ");
}

function differenceParts() {
  if (!differences.length) return [];
  const table = make("div");
  const filters = make("div", { class: "filters" });
  const fill = () => {
    const rows = wantedDifferences();
    table.replaceChildren(makeTable(differencesTable(rows)));
    announce(`${rows.length} differences shown`);
  };
  const chooseFamily = (family) => {
    sought.family = family;
    filters.replaceChildren(...differenceFilters(fill));
    fill();
  };
  const options = families.map((value) => ({ value, title: FAMILY_TITLES[value] ?? value }));
  filters.append(...differenceFilters(fill));
  fill();
  return [
    make("h2", {}, "Differences of two models on the same participants"),
    make("p", {}, "The score of the first less that of the other, with the 95 % interval over participants. q is p adjusted in its family " +
      "by Benjamini and Hochberg. Not told apart does not say that the two are equal: look at the interval."),
    make("div", { class: "filters" }, makeSelect("Compare", options, sought.family, chooseFamily), filters),
    table,
  ];
}

/** Make the choices of a target, an input and a verdict; what the family does not have in this series is not kept. */
function differenceFilters(changed) {
  const rows = familyDifferences();
  const choose = (title, name, values, titleOf) => {
    if (!values.includes(sought[name])) sought[name] = ANY;
    const options = [{ value: ANY, title: ANY }, ...values.map((value) => ({ value, title: titleOf(value) }))];
    return makeSelect(title, options, sought[name], (value) => {
      sought[name] = values.find((known) => String(known) === value) ?? ANY;
      changed();
    });
  };
  const known = (valuesOf) => d3.sort(new Set(rows.flatMap(valuesOf)));
  return [
    choose("Target", "target", known(({ model }) => models[model].target), (target) => targets[target].title),
    choose(sought.family === LESS_ONE ? "Without" : "Input", "input", known(inputsConcerned), (input) => inputs[input].title),
    choose("Verdict", "verdict", known(({ verdict }) => verdict ?? []), String),
  ];
}

/** Return the inputs that a difference is about: those left out, else those of either model. */
function inputsConcerned({ less, model, other }) {
  return less ?? [...sets[models[model].set], ...sets[models[other].set]];
}

function familyDifferences() {
  return differences.filter(({ family, model }) => family === sought.family && models[model].series === choice.series);
}

function wantedDifferences() {
  const isWanted = (name, values) => sought[name] === ANY || values.includes(sought[name]);
  return familyDifferences().filter(
    (row) =>
      isWanted("target", [models[row.model].target]) && isWanted("input", inputsConcerned(row)) && isWanted("verdict", [row.verdict]),
  );
}

function differencesTable(rows) {
  const nameOf = (index, other) => {
    const named = hasSeveralSeries && models[index].series !== models[other].series;
    return `${setTitle(models[index].set)}${named ? `, ${series[models[index].series].title}` : ""}`;
  };
  const scoreOf = (index) => (models[index].not_above_chance ? "○ " : "") + numberText(models[index].score);
  const scoreColumn = (title, which) => ({ title, isNumber: true, value: (row) => models[row[which]].score, show: (row) => scoreOf(row[which]) });
  const columns = [
    { title: "Target", value: ({ model }) => targets[models[model].target].title },
    { title: "First model", value: ({ model, other }) => nameOf(model, other) },
    scoreColumn("Its score", "model"),
    { title: "Other model", value: ({ model, other }) => nameOf(other, model) },
    scoreColumn("Score of the other", "other"),
    sought.family === LESS_ONE && { title: "Without", value: ({ less }) => less && inputTitles(less) },
    { title: "Difference", isNumber: true, value: ({ difference }) => difference, show: ({ difference }) => signedText(difference) },
    { title: "95 % interval", isNumber: true, value: ({ low }) => low, show: ({ low, high }) => intervalText(low, high) },
    { title: "p", isNumber: true, value: ({ p }) => p, show: ({ p }) => probabilityText(p) },
    { title: "q", isNumber: true, value: ({ q }) => q, show: ({ q }) => probabilityText(q) },
    { title: "Verdict", value: (row) => row.verdict },
    numberColumn("Participants (tens, rounded down)", "num_participants", 0),
  ].filter(Boolean);
  return { caption: `${rows.length} differences`, columns, rows };
}
