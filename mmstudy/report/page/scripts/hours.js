// The tab with the time that training took.

function makeHoursTab() {
  const element = make("div");
  return { element, shown: () => whenChosen(() => element.replaceChildren(...hoursParts())) };
}

function hoursParts() {
  return [make("h2", {}, "Training time"), ...totalsParts(), ...setsParts(), ...trunksParts()];
}

function totalsParts() {
  const columns = [{ title: "Part", value: ({ what }) => what }, durationColumn("Time", "hours")];
  const rows = rowsOf(content.hour_totals);
  const rowClass = ({ what }) => (what === rows.at(-1).what ? "chosen" : null);
  return [makeTable({ caption: "Time of training: the last row is the sum of the others, up to rounding", columns, rows, rowClass })];
}

function setsParts() {
  const rows = d3.sort(rowsOf(content.hours).filter((row) => row.series === choice.series), ({ set }) => set);
  const title = make("h3", {}, `By set of inputs, ${series[choice.series].title}`);
  if (!rows.length) return [title, make("p", {}, "Of this series no times are known.")];
  const minutes = d3.rollup(
    models.filter((model) => model.series === choice.series && model.minutes !== null),
    (group) => group.map((model) => model.minutes),
    (model) => model.set,
  );
  const scale = stripScale([0, ...[...minutes.values()].flat(), ...rows.map(({ high }) => high ?? 0)]);
  const columns = [
    { title: "Inputs", value: ({ set }) => setTitle(set) },
    numberColumn("Runs", "num_models", 0),
    durationColumn("Mean", "mean", 60),
    { title: "95 % interval, minutes", value: ({ low }) => low, show: ({ low, high }) => intervalText(low, high, 2) },
    {
      title: "Minutes of each model", value: ({ mean }) => mean,
      show: ({ set, mean, low, high }) => makeStrip(scale, { points: minutes.get(set) ?? [], low, high, middle: mean }),
    },
    durationColumn("In all", "hours"),
  ];
  const [low, high] = scale.domain();
  return [
    title,
    make("p", { class: "small quiet" }, `Drawn from ${numberText(low, 0)} to ${numberText(high, 0)} minutes: points are models, the large one is the mean with its interval.`),
    makeTable({ caption: "Training time by set of inputs", columns, rows }),
  ];
}

/** Return the table of the imaging networks that models share, which are of no series; nothing where there are none. */
function trunksParts() {
  const rows = rowsOf(content.trunks);
  if (!rows.length) return [];
  const columns = [
    { title: "Volumes", value: (row) => row.inputs },
    numberColumn("Trunks", "num_trunks", 0),
    durationColumn("Mean", "mean", 60),
    durationColumn("In all", "hours"),
  ];
  return [
    make("h3", {}, "Trunks"),
    make("p", { class: "small quiet" }, "A trunk is an imaging network that is trained once, for all models of the method frozen that see these volumes. Its time is in no model's."),
    makeTable({ caption: "Training time of trunks", columns, rows }),
  ];
}
