// What the page is given, with what its indices stand for. mmstudy/report/content.py says what each part is.

const content = JSON.parse(document.getElementById("content").textContent);
const { domains, flags, inputs, sets, series, targets } = content;
const models = rowsOf(content.models).map((model, index) => ({ ...model, index }));
const runs = new Map(rowsOf(content.runs).map((run) => [run.name, run]));
const bests = rowsOf(content.best);
const differences = rowsOf(content.differences);
const bestOf = new Map(bests.map((best) => [keyOf(models[best.model].target, models[best.model].series), best]));
const hasSeveralSeries = series.length > 1;

/** Return the rows of a table that is given as columns. */
function rowsOf(columns) {
  const names = Object.keys(columns ?? {});
  const length = names.length ? columns[names[0]].length : 0;
  return Array.from({ length }, (_, row) => Object.fromEntries(names.map((name) => [name, columns[name][row]])));
}

function keyOf(target, ofSeries) {
  return `${target} ${ofSeries}`;
}

/** Return the titles of some inputs. */
function inputTitles(indices) {
  return indices.map((index) => inputs[index].title).join(" + ");
}

/** Return the title of a set of inputs. */
function setTitle(index) {
  return inputTitles(sets[index]);
}

/** Return the models of a target by one series, or by all. */
function modelsOf(target, ofSeries = null) {
  return models.filter((model) => model.target === target && (ofSeries === null || model.series === ofSeries));
}

/** Return the best model of a target by a series, with how it was chosen; null where none is known. */
function bestModel(target, ofSeries) {
  const best = bestOf.get(keyOf(target, ofSeries));
  return best ? { ...models[best.model], ...best } : null;
}

/** Return whether a model is the best of its target and series. */
function isBest(model) {
  return bestOf.get(keyOf(model.target, model.series))?.model === model.index;
}

/** Return the flags that some model has, the gravest first. */
function presentFlags() {
  return flags.filter(({ name }) => models.some((model) => model[name]));
}

/** Return what speaks against a model, in words, the gravest first. */
function flagsOf(model) {
  const baseline = model.best_baseline === null ? "a baseline" : series[model.best_baseline].title;
  const tested = againstBaseline.get(model.index);
  const told = {
    not_better: () => `not better than ${baseline} (${numberText(model.baseline_score)})`,
    not_told_apart: () => `not told apart from ${baseline}${tested ? ` (difference ${differenceText(tested)})` : ""}`,
  };
  return flags.filter(({ name }) => model[name]).map(({ name, title }) => told[name]?.() ?? title);
}

/** Return the mark of the gravest flag of a model. */
function markOf(model) {
  return flags.find(({ name }) => model[name])?.mark ?? "";
}
