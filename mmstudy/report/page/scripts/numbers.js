// Numbers as text.

const UNKNOWN = "–";
const METRIC_TITLES = {
  r2: "R²", balanced_accuracy: "balanced accuracy", r: "r", mae: "MAE", precision: "precision", recall: "recall",
  f1: "F1", auc: "AUC", average_precision: "average precision", threshold: "threshold", prevalence: "prevalence",
  brier: "Brier score",
};

/** Return a number with so many decimals, or a dash where it is not known. */
function numberText(value, decimals = 3) {
  if (value === null || value === undefined) return UNKNOWN;
  const form = { minimumFractionDigits: decimals, maximumFractionDigits: decimals, signDisplay: "negative" }; // no −0.000
  return value.toLocaleString("en", form).replace("-", "−");
}

/** Return a number with its sign. */
function signedText(value, decimals = 3) {
  const text = numberText(value, decimals);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** Return an interval; nothing where it is not known. */
function intervalText(low, high, decimals = 3) {
  const isKnown = typeof low === "number" && typeof high === "number";
  return isKnown ? `(${numberText(low, decimals)} to ${numberText(high, decimals)})` : "";
}

/** Return a probability. */
function probabilityText(value) {
  if (value === null || value === undefined) return UNKNOWN;
  return value < 0.0005 ? value.toExponential(1).replace("-", "−") : numberText(value);
}

function percentText(share) {
  return `${Math.round(share * 100)} %`;
}

/** Return a time in the unit that suits it. */
function durationText(hours) {
  const minutes = 60 * hours;
  const size = Math.abs(minutes);
  if (size < 1) return `${numberText(60 * minutes, 1)} seconds`;
  return size < 120 ? `${numberText(minutes, size < 10 ? 1 : 0)} minutes` : `${numberText(hours, 1)} hours`;
}

/** Return the name of the score of a target. */
function metricTitle(target) {
  return METRIC_TITLES[targets[target].metric] ?? targets[target].metric;
}

/** Return the score of a model with its name and interval. */
function scoreText(model) {
  const interval = intervalText(model.score_low, model.score_high);
  return `${metricTitle(model.target)} ${numberText(model.score)}${interval && ` ${interval}`}`;
}

/** Return lines as sentences in a row, for those who hear them. */
function sentences(lines) {
  return lines.filter(Boolean).map((line) => `${line.replace(/\.$/, "")}.`).join(" ");
}

/** Return how a best model was chosen, as a sentence. */
function choiceText(best) {
  if (best.chosen_on === "test") return "Chosen by the test score that is shown, which is therefore too good.";
  const gain = best.optimism
    ? ` The best test score of any set is ${numberText(best.best_test_score)}: ${numberText(best.optimism)} higher.`
    : "";
  return `Chosen on validation, then measured on test.${gain}`;
}
