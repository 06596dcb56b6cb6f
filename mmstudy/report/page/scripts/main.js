// The page as a whole: what is said above the tabs, and which tabs there are.

/** Return the tabs whose parts the content has. */
function presentTabs() {
  const parts = (names) =>
    Object.entries(names).filter(([name]) => hasPart(name)).map(([name, title]) => ({ title, part: content[name] }));
  const data = parts({ data: "Data" });
  return [
    { name: "graph", title: "Graph", make: makeGraphTab },
    content.communities && { name: "communities", title: "Communities", make: makeCommunitiesTab },
    { name: "grid", title: "Grid", make: makeGridTab },
    beside && { name: "beside", title: "Beside another table", make: makeBesideTab },
    (hasPart("effects") || differences.length) && { name: "inputs", title: "What an input adds", make: makeEffectsTab },
    hasPart("hours") && { name: "time", title: "Training time", make: makeHoursTab },
    hasPart("calibration") && { name: "calibration", title: "Calibration and groups", make: makeCalibrationTab },
    data.length && { name: "data", title: "Data", make: () => makePartsTab(data) },
    (hasPart("methods_text") || hasPart("limits")) && { name: "methods", title: "Methods and limits", make: makeMethodsTab },
  ].filter(Boolean);
}

/** Return whether the content has a part with something in it. */
function hasPart(name) {
  const part = content[name];
  if (part === null || part === undefined) return false;
  return Array.isArray(part) ? part.length > 0 : Object.values(part).some((value) => value?.length !== 0);
}

function showSummary() {
  const { about } = content;
  const { models: number, ...flagged } = about.counts;
  const titles = {
    predict_one_class: "predict one class", not_above_chance: "are not above chance",
    not_better_than_baseline: "are not better than a baseline", not_told_apart_from_baseline: "are not told apart from a baseline",
  };
  const told = [
    `${number} models of ${targets.length} targets from ${sets.length} sets of inputs`,
    ...Object.entries(titles).filter(([name]) => flagged[name]).map(([name, title]) => `${flagged[name]} ${title}`),
    `${durationText(about.hours)} of training`,
  ];
  document.getElementById("summary").textContent = `${told.join(" · ")}.`;
  document.getElementById("findings").replaceChildren(...content.findings.map((finding) => make("li", {}, finding)));
  document.getElementById("notes").replaceChildren(...about.notes.map((note) => make("li", {}, note)));
  document.getElementById("series").replaceChildren(...makeSeriesChoice());
  document.getElementById("made").textContent = `Made by ${about.made_by} on ${about.made_on}. This file loads nothing and shows no single person.`;
}

document.addEventListener("fullscreenchange", () =>
  (document.fullscreenElement ?? document.body).append(document.getElementById("hint")),
);
showSummary();
showTabs(presentTabs());
if (document.body.dataset.reloadSeconds) reloadWhenIdle(Number(document.body.dataset.reloadSeconds));
