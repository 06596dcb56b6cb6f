// How well groups of participants are predicted: a figure for each best model and metric.

const GROUPS = { width: 380, left: 120, right: 16, line: 20, bottom: 44 };
const SMALLER_IS_BETTER = ["mae", "brier"];

function groupParts() {
  const rows = rowsOf(content.subgroups).filter(({ model }) => models[model].series === choice.series);
  if (!rows.length) return [];
  const charts = d3.groups(rows, ({ model }) => model, ({ metric }) => metric);
  return [
    make("h2", {}, "Groups of participants"),
    make("p", {}, "The best model of each target in groups of test participants, with 95 % intervals. The dashed line is all of them " +
      "together. Groups differ in other things too, for instance in how much the target varies within them."),
    make("div", { class: "charts" }, charts.flatMap(([model, metrics]) => metrics.map(([metric, of]) => makeGroupChart(model, metric, of)))),
  ];
}

function makeGroupChart(model, metric, rows) {
  const { target } = models[model];
  const title = metricWithUnit(metric, target);
  const better = SMALLER_IS_BETTER.includes(metric) ? "smaller" : "larger";
  const [{ overall }] = rows;
  const all = overall === null ? "" : ` All together: ${numberText(overall)}.`;
  return makeChart({
    title: `${modelTitle(model)}: ${title}`, told: `${title}, ${better} is better.${all}`,
    drawing: drawGroups(rows, title, targets[target].title), tableOf: () => groupTable(rows, title, targets[target].title),
  });
}

function metricWithUnit(metric, target) {
  const { unit } = targets[target];
  const title = METRIC_TITLES[metric] ?? metric;
  return metric === "mae" && unit ? `${title} (${unit})` : title;
}

function drawGroups(rows, title, ofTarget) {
  const { width, left, right, line, bottom } = GROUPS;
  const lines = d3.groups(rows, ({ by }) => by).flatMap(([by, of]) => [{ heading: by }, ...of]);
  const height = lines.length * line + bottom;
  const svg = newDrawing(width, height, `${title} of ${ofTarget} in ${rows.length} groups. The same as a table is below.`);
  const x = d3.scaleLinear(d3.extent(rows.flatMap(groupValues)), [left, width - right]).nice(4);
  drawAxisBelow(svg, x, height - bottom, title, 4);
  const [{ overall }] = rows;
  if (overall !== null) drawLine(svg, "ideal", x(overall), 0, x(overall), height - bottom);
  lines.forEach((row, index) => {
    const y = (index + 0.5) * line;
    const isHeading = row.heading !== undefined;
    svg.append("text").attr("class", isHeading ? "heading" : null).attr("x", isHeading ? 0 : left - 10).attr("y", y)
      .attr("dy", "0.35em").attr("text-anchor", isHeading ? "start" : "end").text(isHeading ? row.heading : row.group);
    if (isHeading) return;
    if (row.low !== null && row.high !== null) drawLine(svg, "span", x(row.low), y, x(row.high), y);
    drawPoint(svg, x(row.value), y, [
      `${row.by}: ${row.group}`, `${title} ${numberText(row.value)} ${intervalText(row.low, row.high)}`,
      `${numberText(row.n, 0)} test samples or a few more`,
    ]);
  });
  return svg.node();
}

function groupValues({ value, low, high, overall }) {
  return [value, low, high, overall].filter((number) => number !== null);
}

function groupTable(rows, title, ofTarget) {
  const columns = [
    { title: "By", value: ({ by }) => by },
    { title: "Group", value: ({ group }) => group },
    numberColumn(title, "value"),
    { title: "95 % interval", value: ({ low }) => low, show: ({ low, high }) => intervalText(low, high) },
    numberColumn("Test samples, in tens", "n", 0),
  ];
  return { caption: `${title} of ${ofTarget} by group`, columns, rows };
}
