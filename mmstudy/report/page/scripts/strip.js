// A small drawing in a row of a table: points, an interval and its middle, on one scale for all rows.

const STRIP = { width: 220, height: 18, margin: 6 };

/** Return the scale of all rows. */
function stripScale(values) {
  return d3.scaleLinear(d3.extent(values), [STRIP.margin, STRIP.width - STRIP.margin]).nice();
}

/** Draw a row. What is not known is not drawn. */
function makeStrip(scale, { points = [], low = null, high = null, middle = null, zero = false }) {
  const svg = d3.create("svg").attr("class", "strip").attr("aria-hidden", "true");
  svg.attr("viewBox", `0 0 ${STRIP.width} ${STRIP.height}`).attr("width", STRIP.width).attr("height", STRIP.height);
  const y = STRIP.height / 2;
  const line = (name, x1, y1, x2, y2) =>
    svg.append("line").attr("class", name).attr("x1", x1).attr("y1", y1).attr("x2", x2).attr("y2", y2);
  if (zero) line("zero", scale(0), 0, scale(0), STRIP.height);
  points.forEach((value) => svg.append("circle").attr("class", "point").attr("cx", scale(value)).attr("cy", y).attr("r", 2));
  if (low !== null && high !== null) line("span", scale(low), y, scale(high), y);
  if (middle !== null) svg.append("circle").attr("class", "middle").attr("cx", scale(middle)).attr("cy", y).attr("r", 3.5);
  return svg.node();
}
