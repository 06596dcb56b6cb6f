// What is chosen for all tabs at once: the series, and the scheme of colours.

const choice = { series: Math.max(0, series.findIndex(({ method }) => method !== "baseline")), listeners: [] };

/** Call somebody now, and again whenever another series is chosen or the colours change. */
function whenChosen(listener) {
  choice.listeners.push(listener);
  listener();
}

function chooseSeries(index) {
  choice.series = index;
  choice.listeners.forEach((listener) => listener());
}

/** Make the choice of the series; nothing where there is one alone. */
function makeSeriesChoice() {
  if (!hasSeveralSeries) return [];
  const options = series.map(({ title }, value) => ({ value, title }));
  return [makeSelect("Models by", options, choice.series, (value) => chooseSeries(Number(value)))];
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chooseSeries(choice.series));
