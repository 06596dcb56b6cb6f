// The tab with the time that training took.

function makeHoursTab() {
  const element = make("div");
  return { element, shown: () => whenChosen(() => element.replaceChildren(...hoursParts())) };
}

function hoursParts() {
  const rows = d3.sort(rowsOf(content.hours).filter((row) => row.series === choice.series), ({ set }) => set);
  const told = `${numberText(content.about.hours, 1)} hours of training in all. A run that several models share counts once in this sum.`;
  if (!rows.length) return [make("h2", {}, "Training time"), make("p", {}, told), make("p", {}, "Of this series no times are known.")];
  const minutes = d3.rollup(
    models.filter((model) => model.series === choice.series && model.minutes !== null),
    (group) => group.map((model) => model.minutes),
    (model) => model.set,
  );
  const scale = stripScale([0, ...[...minutes.values()].flat(), ...rows.map(({ high }) => high ?? 0)]);
  const columns = [
    { title: "Inputs", value: ({ set }) => setTitle(set) },
    numberColumn("Models", "num_models", 0),
    numberColumn("Mean minutes", "mean", 1),
    { title: "95 % interval", value: ({ low }) => low, show: ({ low, high }) => intervalText(low, high, 1) },
    {
      title: "Minutes of each model", value: ({ mean }) => mean,
      show: ({ set, mean, low, high }) => makeStrip(scale, { points: minutes.get(set) ?? [], low, high, middle: mean }),
    },
    numberColumn("Hours in all", "hours", 1),
  ];
  const [low, high] = scale.domain();
  return [
    make("h2", {}, "Training time"),
    make("p", {}, told),
    make("p", { class: "small quiet" }, `Drawn from ${numberText(low, 0)} to ${numberText(high, 0)} minutes: points are models, the large one is the mean with its interval.`),
    makeTable({ caption: "Training time by set of inputs", columns, rows }),
  ];
}
