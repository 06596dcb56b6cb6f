// Drawings with axes: the frame of one, with what it shows and the same as a table, and its axes.

/** Make a figure of a drawing; `tableOf` is called for what is in its table, or null where there is none. */
function makeChart({ title, told, drawing, tableOf }) {
  const same = tableOf && makeFolded("As a table", tableOf);
  return make("figure", { class: "chart" }, make("h3", {}, title), drawing, make("figcaption", {}, told), same);
}

/** Make a table that is folded away; it is made when it is opened, for a page has many. */
function makeFolded(title, tableOf) {
  const element = make("details", { class: "same" }, make("summary", {}, title));
  element.addEventListener("toggle", () => element.childElementCount === 1 && element.append(makeTable(tableOf())));
  return element;
}

/** Begin a drawing of a fixed size, which is scaled down where there is less room. */
function newDrawing(width, height, label) {
  const svg = d3.create("svg").attr("class", "chart").attr("viewBox", `0 0 ${width} ${height}`);
  return svg.attr("width", width).attr("height", height).attr("role", "img").attr("aria-label", label);
}

/** Draw the axis below, with its title. */
function drawAxisBelow(svg, scale, y, title, numTicks = 5) {
  svg.append("g").attr("transform", `translate(0,${y})`).call(d3.axisBottom(scale).ticks(numTicks).tickSizeOuter(0));
  const [left, right] = scale.range();
  svg.append("text").attr("class", "axis-title").attr("x", (left + right) / 2).attr("y", y + 34).attr("text-anchor", "middle").text(title);
}

/** Draw the axis on the left, with its title. */
function drawAxisLeft(svg, scale, x, title) {
  svg.append("g").attr("transform", `translate(${x},0)`).call(d3.axisLeft(scale).ticks(5).tickSizeOuter(0));
  const middle = d3.mean(scale.range());
  svg.append("text").attr("class", "axis-title").attr("transform", `translate(12,${middle}) rotate(-90)`).attr("text-anchor", "middle").text(title);
}

function drawLine(svg, name, x1, y1, x2, y2) {
  return svg.append("line").attr("class", name).attr("x1", x1).attr("y1", y1).attr("x2", x2).attr("y2", y2);
}

/** Draw a point that says what it is to the pointer. */
function drawPoint(svg, x, y, lines) {
  svg.append("circle").attr("class", "middle").attr("cx", x).attr("cy", y).attr("r", 4)
    .on("pointerenter", (event) => showHint(lines, event.clientX, event.clientY))
    .on("pointerleave", hideHint);
}
