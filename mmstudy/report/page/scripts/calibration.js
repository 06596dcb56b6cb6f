// The tab of calibration and of groups of participants.

const CURVE = { width: 330, height: 300, left: 58, right: 12, top: 8, bottom: 44 };
const FEWEST_POINTS = 2;

function makeCalibrationTab() {
  const element = make("div");
  return { element, shown: () => whenChosen(() => element.replaceChildren(...calibrationParts(), ...groupParts())) };
}

function calibrationParts() {
  const rows = rowsOf(content.calibration).filter(({ model }) => models[model].series === choice.series);
  if (!rows.length) return [make("p", {}, "Of this series no calibration is known.")];
  return [
    make("h2", {}, "Calibration"),
    make("p", {}, "Whether predictions can be taken at their word: of the best model of each target, on test. A point is a bin of ten " +
      "participants at least, with the 95 % interval of what was true of them. On the dashed line, what was true is what was predicted. " +
      "Where training balanced the classes, the probabilities of a rare class are too large by that alone."),
    make("div", { class: "charts" }, rows.map(makeCurveChart)),
    makeTable({ caption: "Calibration of the best models", columns: calibrationColumns(), rows }),
  ];
}

function calibrationColumns() {
  return [
    { title: "Target", value: ({ model }) => targets[models[model].target].title },
    { title: "Inputs", value: ({ model }) => setTitle(models[model].set) },
    numberColumn("Slope, 1 is perfect", "slope"),
    numberColumn("Calibration error, 0 is perfect", "calibration_error"),
    numberColumn("Brier score, 0 is perfect", "brier"),
  ];
}

/** Return the title of a model in a figure. */
function modelTitle(model) {
  return `${targets[models[model].target].title} from ${setTitle(models[model].set)}`;
}

/** Return what the axes of a target's curve are. */
function curveTitles(target) {
  const { title, kind, unit } = targets[target];
  const named = unit ? `${title} (${unit})` : title;
  return kind === "binary"
    ? { predicted: "mean predicted probability of class 1", observed: "share of class 1" }
    : { predicted: `mean predicted ${named}`, observed: `mean true ${named}` };
}

function makeCurveChart(row) {
  const { target } = models[row.model];
  const points = rowsOf(row.curves);
  const told = [calibrationTold(row), targets[target].kind === "binary" && targets[target].unit && `Classes: ${targets[target].unit}.`];
  const isDrawn = points.length >= FEWEST_POINTS;
  const drawing = isDrawn ? drawCurve(points, target) : make("p", {}, "No curve: too few participants for two points.");
  return makeChart({ title: modelTitle(row.model), told: told.filter(Boolean).join(" "), drawing, tableOf: isDrawn ? () => curveTable(points, target) : null });
}

function calibrationTold({ slope, calibration_error: error, brier }) {
  return [
    slope === null ? "" : `Slope ${numberText(slope, 2)}: where predictions differ by 1, true values differ by ${numberText(slope, 2)}.`,
    error === null ? "" : `Calibration error ${numberText(error)}.`,
    brier === null ? "" : `Brier score ${numberText(brier)}.`,
  ].filter(Boolean).join(" ");
}

function drawCurve(points, target) {
  const { width, height, left, right, top, bottom } = CURVE;
  const titles = curveTitles(target);
  const values = points.flatMap(({ predicted, observed, low, high }) => [predicted, observed, low, high]);
  const ends = targets[target].kind === "binary" ? [0, d3.max(values)] : d3.extent(values);
  const x = d3.scaleLinear(ends, [left, width - right]).nice(5);
  const y = d3.scaleLinear(x.domain(), [height - bottom, top]);
  const svg = newDrawing(width, height, `Calibration of ${targets[target].title}: ${points.length} points. The same as a table is below.`);
  const [low, high] = x.domain();
  drawAxisBelow(svg, x, height - bottom, titles.predicted);
  drawAxisLeft(svg, y, left, titles.observed);
  drawLine(svg, "ideal", x(low), y(low), x(high), y(high));
  svg.append("path").attr("class", "curve").attr("d", d3.line(({ predicted }) => x(predicted), ({ observed }) => y(observed))(points));
  points.forEach((point) => {
    drawLine(svg, "span", x(point.predicted), y(point.low), x(point.predicted), y(point.high));
    drawPoint(svg, x(point.predicted), y(point.observed), [
      `${titles.predicted}: ${curveText(point.predicted)}`,
      `${titles.observed}: ${curveText(point.observed)} (${curveText(point.low)} to ${curveText(point.high)})`,
      `${numberText(point.people, 0)} participants or a few more`,
    ]);
  });
  return svg.node();
}

/** Return a number of a curve with the digits that it has. */
function curveText(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");
}

function curveTable(points, target) {
  const { predicted, observed } = curveTitles(target);
  const titled = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  const column = (title, name) => ({ title: titled(title), isNumber: true, value: (row) => row[name], show: (row) => curveText(row[name]) });
  const columns = [
    column(predicted, "predicted"),
    column(observed, "observed"),
    { title: "95 % interval", value: ({ low }) => low, show: ({ low, high }) => `(${curveText(low)} to ${curveText(high)})` },
    numberColumn("Participants, in tens", "people", 0),
  ];
  return { caption: `Calibration of ${targets[target].title}`, columns, rows: points };
}
