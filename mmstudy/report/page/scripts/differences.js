// Differences of two models: what a model adds to smaller sets, and how far it is from the best set and the best baseline.

const LESS_ONE = "less one input";
const BEST_SET = "best against others";
const BEST_BASELINE = "best baseline";
const added = d3.group(differencesIn(LESS_ONE), ({ model }) => model);
const bestAgainst = new Map(differencesIn(BEST_SET).map((difference) => [difference.other, difference]));
const againstBaseline = new Map(differencesIn(BEST_BASELINE).map((difference) => [difference.model, difference]));

function differencesIn(family) {
  return differences.filter((difference) => difference.family === family);
}

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

/** Return the tested difference of a model to the best set of its series, which comes second here; null without one. */
function differenceToBest(model) {
  const tested = bestAgainst.get(model.index);
  if (!tested) return null;
  const turned = (value) => (value === null ? null : -value);
  return { difference: turned(tested.difference), low: turned(tested.high), high: turned(tested.low), q: tested.q };
}

/** Return what one input adds, as text. */
function additionText({ less, ...difference }) {
  return `${inputTitles(less)} ${differenceText(difference)}`;
}

/** Return a difference as text, with its interval and q where it was tested. */
function differenceText({ difference, low, high, q }) {
  const certainty = certaintyText({ low, high, q });
  return `${signedText(difference)}${certainty && ` ${certainty}`}`;
}

/** Return how sure a difference is. */
function certaintyText({ low, high, q }) {
  return [intervalText(low, high), q === null ? "" : `q ${probabilityText(q)}`].filter(Boolean).join(", ");
}
