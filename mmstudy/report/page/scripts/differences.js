// What a model adds to the next smaller sets of inputs.

const LESS_ONE = "less one input";
const added = d3.group(differences.filter(({ family }) => family === LESS_ONE), ({ model }) => model);

/**
 * Return what a model adds to each next smaller set that its target has by the same series.
 *
 * Tested differences where there are predictions of both on the same participants; else the plain difference of the
 * two scores, without an interval.
 */
function additionsOf(model) {
  const additions = added.get(model.index) ?? smallerModels(model).map((other) => ({
    less: sets[model.set].filter((input) => !sets[other.set].includes(input)),
    difference: model.score === null || other.score === null ? null : model.score - other.score,
    low: null, high: null, q: null,
  }));
  return d3.sort(additions, ({ less }) => less[0]);
}

/** Return the models from the largest sets that are part of a model's set. */
function smallerModels(model) {
  const isPart = (one, other) => one.length < other.length && one.every((input) => other.includes(input));
  const smaller = modelsOf(model.target, model.series).filter((other) => isPart(sets[other.set], sets[model.set]));
  return smaller.filter((one) => !smaller.some((other) => isPart(sets[one.set], sets[other.set])));
}

/** Return what one input adds, as text. */
function additionText({ less, difference, low, high, q }) {
  const interval = intervalText(low, high);
  const certainty = q === null ? "" : `, q ${probabilityText(q)}`;
  return `${inputTitles(less)} ${signedText(difference)}${interval && ` ${interval}`}${certainty}`;
}
