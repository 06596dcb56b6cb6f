// A drawing of one score against another on equal axes, with the line on which both are equal.

const SCATTER = { widest: 520, beside: 40, left: 50, right: 14, top: 10, bottom: 46, radius: 4, reach: 14, ticks: 6 };
const LOWEST_DRAWN = { continuous: -0.2, binary: 0.4 }; // one bad model would press all others together

/**
 * Draw points, each {x, y, colour, isOpen}.
 *
 * lowest: end of the axes, where points are drawn that lie below it; linesOf: what the hint says of a point; chosen: called with the
 * point that is clicked.
 */
function makeScatter({ points, lowest, titles, label, linesOf, chosen }) {
  const size = Math.min(SCATTER.widest, document.documentElement.clientWidth - SCATTER.beside);
  const values = points.flatMap(({ x, y }) => [x, y]);
  const ends = [Math.max(lowest, d3.min(values)), Math.max(lowest, d3.max(values))];
  const room = 0.04 * (ends[1] - ends[0]) || 0.01;
  const scale = (range) => d3.scaleLinear([ends[0] - room, ends[1] + room], range).clamp(true);
  const across = scale([SCATTER.left, size - SCATTER.right]);
  const up = scale([size - SCATTER.bottom, SCATTER.top]);
  const svg = d3.create("svg").attr("class", "scatter").attr("width", size).attr("height", size).attr("role", "img").attr("aria-label", label);
  drawAxes(svg, size, across, up, titles);
  const places = points.map((point) => ({ point, x: across(point.x), y: up(point.y) }));
  const dots = svg.append("g").selectAll("circle").data(places).join("circle");
  dots.attr("class", ({ point }) => (point.isOpen ? "dot open" : "dot"));
  dots.attr("cx", ({ x }) => x).attr("cy", ({ y }) => y).attr("r", SCATTER.radius);
  dots.attr("fill", ({ point }) => (point.isOpen ? "none" : point.colour)).attr("stroke", ({ point }) => point.colour);
  const nearest = d3.quadtree(places, ({ x }) => x, ({ y }) => y);
  const placeAt = (event) => nearest.find(...d3.pointer(event, svg.node()), SCATTER.reach);
  const light = (lit) => dots.classed("is-lit", (place) => place === lit);
  svg.on("pointermove", (event) => {
    const place = placeAt(event);
    light(place);
    if (place) showHint(linesOf(place.point), event.clientX, event.clientY);
    else hideHint();
  });
  svg.on("pointerleave", () => (light(null), hideHint()));
  svg.on("click", (event) => placeAt(event) && chosen(placeAt(event).point));
  return svg.node();
}

function drawAxes(svg, size, across, up, titles) {
  const foot = size - SCATTER.bottom;
  svg.append("g").attr("transform", `translate(0,${foot})`).call(d3.axisBottom(across).ticks(SCATTER.ticks));
  svg.append("g").attr("transform", `translate(${SCATTER.left},0)`).call(d3.axisLeft(up).ticks(SCATTER.ticks));
  const title = (text, x, y) => svg.append("text").attr("class", "axis-title").attr("x", x).attr("y", y).text(text);
  title(titles.x, (SCATTER.left + size - SCATTER.right) / 2, size - 8);
  title(titles.y, -(SCATTER.top + foot) / 2, 13).attr("transform", "rotate(-90)");
  const [low, high] = across.domain();
  const line = svg.append("line").attr("class", "diagonal");
  line.attr("x1", across(low)).attr("y1", up(low)).attr("x2", across(high)).attr("y2", up(high));
}
