// The drawing of the graph.

const NO_VALUE_RADIUS = 4;
const FIT_MARGIN = 46;
const LABEL_PIXELS = 12;

/** Make the drawing in an element that the page lays out; it follows the element's size. */
function makeDrawing(nodes) {
  const svg = d3.create("svg").attr("class", "graph").attr("role", "group").attr("aria-describedby", "graph-keys");
  const world = svg.append("g");
  const edges = world.append("g").attr("class", "edges").attr("aria-hidden", "true");
  const dots = world.append("g").selectAll("g").data(nodes).join("g").attr("class", "node").attr("role", "button");
  dots.attr("tabindex", ({ index }) => (index ? -1 : 0));
  dots.append("circle").attr("class", "dot");
  dots.append("circle").attr("class", "pin").attr("r", 2.5);
  dots.append("text").text(({ index }) => targets[index].title);
  const drawing = { svg, world, dots, lines: edges.selectAll("line"), node: svg.node(), transform: d3.zoomIdentity };

  /** Draw links and looks anew. */
  drawing.restyle = (links, { radiusOf, colourOf, widthOf, labelOf }) => {
    drawing.lines = edges.selectAll("line").data(links).join("line").attr("stroke-width", widthOf);
    dots.attr("aria-label", labelOf).classed("fixed", isFixed);
    dots.select(".dot").attr("r", radiusOf).attr("fill", colourOf);
    dots.select("text").attr("dy", "0.9em").attr("y", (node) => radiusOf(node) + 2);
  };

  /** Put nodes and edges where they are now. */
  drawing.move = () => {
    dots.attr("transform", ({ x, y }) => `translate(${x},${y})`);
    drawing.lines
      .attr("x1", ({ source }) => source.x).attr("y1", ({ source }) => source.y)
      .attr("x2", ({ target }) => target.x).attr("y2", ({ target }) => target.y);
  };

  /** Light some nodes and the edges of one; null: all are as usual. */
  drawing.light = (lit, centre = null) => {
    svg.classed("lit", lit !== null);
    dots.classed("is-lit", ({ index }) => lit?.has(index) ?? false);
    drawing.lines.classed("is-lit", ({ source, target }) => centre !== null && [source.index, target.index].includes(centre));
  };

  return drawing;
}

/** Add zoom and pan to a drawing. */
function addZoom(drawing) {
  const zoom = d3.zoom().scaleExtent([0.2, 8]).on("zoom", ({ transform, sourceEvent }) => {
    drawing.transform = transform;
    drawing.wasZoomed = drawing.wasZoomed || Boolean(sourceEvent);
    drawing.world.attr("transform", transform).style("font-size", `${LABEL_PIXELS / Math.min(1, transform.k)}px`);
  });
  drawing.svg.call(zoom).on("dblclick.zoom", null);
  drawing.zoomBy = (factor) => {
    drawing.wasZoomed = true;
    drawing.svg.call(zoom.scaleBy, factor);
  };

  /** Show the whole graph. */
  drawing.fit = (nodes) => {
    const { clientWidth: width, clientHeight: height } = drawing.node;
    if (!width || !height) return;
    drawing.svg.attr("viewBox", `0 0 ${width} ${height}`);
    const [left, right] = d3.extent(nodes, ({ x }) => x);
    const [top, bottom] = d3.extent(nodes, ({ y }) => y);
    const wide = right - left + 2 * FIT_MARGIN;
    const tall = bottom - top + 2 * FIT_MARGIN;
    const scale = Math.min(width / wide, height / tall, 1.6);
    const shift = d3.zoomIdentity.translate(width / 2, height / 2).scale(scale);
    drawing.wasZoomed = false;
    drawing.svg.call(zoom.transform, shift.translate(-(left + right) / 2, -(top + bottom) / 2));
  };

  /** Bring a node to the middle. */
  drawing.centre = (node) => drawing.svg.call(zoom.translateTo, node.x, node.y);
}
