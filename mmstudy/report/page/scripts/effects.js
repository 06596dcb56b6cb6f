// The tab that says what inputs add: mixed models, and differences of two models.

const FAMILY_TITLES = {
  [LESS_ONE]: "a set less one input", "best against others": "the best set against every other",
  "best baseline": "a network against the best baseline", separate: "another method against separate models",
};
const ANY = "any";
const INTERCEPT = "intercept"; // as large as a score: drawn with the effects it would make them too small to see

function makeEffectsTab() {
  const element = make("div");
  const shown = () => whenChosen(() => element.replaceChildren(...effectParts(), ...differenceParts()));
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
  const families = d3.sort(new Set(differences.map(({ family }) => family)));
  const chosen = { family: families.includes(LESS_ONE) ? LESS_ONE : families[0], verdict: ANY };
  const verdicts = d3.sort(new Set(differences.map(({ verdict }) => verdict).filter(Boolean)));
  const choose = (name) => (value) => {
    chosen[name] = value;
    fill();
  };
  const fill = () => table.replaceChildren(makeTable(differencesTable(chosen)));
  fill();
  return [
    make("h2", {}, "Differences of two models on the same participants"),
    make("p", {}, "The score of the first less that of the other, with the 95 % interval over participants. q is p adjusted in its family " +
      "by Benjamini and Hochberg. Not told apart does not say that the two are equal: look at the interval."),
    make("div", { class: "filters" },
      makeSelect("Compare", families.map((value) => ({ value, title: FAMILY_TITLES[value] ?? value })), chosen.family, choose("family")),
      makeSelect("Verdict", [ANY, ...verdicts].map((value) => ({ value, title: value })), ANY, choose("verdict"))),
    table,
  ];
}

function differencesTable({ family, verdict }) {
  const rows = differences.filter(
    (row) => row.family === family && (verdict === ANY || row.verdict === verdict) && models[row.model].series === choice.series,
  );
  const nameOf = (index, other) => {
    const named = hasSeveralSeries && models[index].series !== models[other].series;
    return `${setTitle(models[index].set)}${named ? `, ${series[models[index].series].title}` : ""}`;
  };
  const columns = [
    { title: "Target", value: ({ model }) => targets[models[model].target].title },
    { title: "First model", value: ({ model, other }) => nameOf(model, other) },
    { title: "Other model", value: ({ model, other }) => nameOf(other, model) },
    family === LESS_ONE && { title: "Without", value: ({ less }) => less && inputTitles(less) },
    { title: "Difference", isNumber: true, value: ({ difference }) => difference, show: ({ difference }) => signedText(difference) },
    { title: "95 % interval", value: ({ low }) => low, show: ({ low, high }) => intervalText(low, high) },
    { title: "p", isNumber: true, value: ({ p }) => p, show: ({ p }) => probabilityText(p) },
    { title: "q", isNumber: true, value: ({ q }) => q, show: ({ q }) => probabilityText(q) },
    { title: "Verdict", value: (row) => row.verdict },
    numberColumn("Participants, in tens", "num_participants", 0),
  ].filter(Boolean);
  return { caption: `${rows.length} differences`, columns, rows };
}
