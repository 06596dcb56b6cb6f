// A drawing of one score against another on equal axes, with the line on which both are equal.

const SCATTER = { widest: 520, beside: 40, left: 50, right: 14, top: 10, bottom: 46, radius: 4, reach: 14 };
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
  const svg = newDrawing(size, size, label).classed("scatter", true);
  drawAxisBelow(svg, across, size - SCATTER.bottom, titles.x);
  drawAxisLeft(svg, up, SCATTER.left, titles.y);
  const [low, high] = across.domain();
  drawLine(svg, "ideal", across(low), up(low), across(high), up(high));
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
