// What is chosen for all tabs at once: the series, and the scheme of colours.

const choice = { series: firstSeries(), listeners: [] };

/** Return the series that the address names, else the first that is no baseline. */
function firstSeries() {
  const named = series.findIndex(({ title }) => title === keptAs("series"));
  return named >= 0 ? named : Math.max(0, series.findIndex(({ method }) => method !== "baseline"));
}

/** Call somebody now, and again whenever another series is chosen or the colours change; with whether things may move. */
function whenChosen(listener) {
  choice.listeners.push(listener);
  listener(true);
}

function tellListeners(mayMove) {
  choice.listeners.forEach((listener) => listener(mayMove));
}

function chooseSeries(index) {
  choice.series = index;
  keep("series", series[index].title);
  tellListeners(true);
}

/** Make the choice of the series; nothing where there is one alone. */
function makeSeriesChoice() {
  if (!hasSeveralSeries) return [];
  const options = series.map(({ title }, value) => ({ value, title }));
  return [makeSelect("Models by", options, choice.series, (value) => chooseSeries(Number(value)))];
}

for (const query of ["(prefers-color-scheme: dark)", "print"]) {
  matchMedia(query).addEventListener("change", () => tellListeners(false));
}
