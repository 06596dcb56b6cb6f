// The graph by pointer: hover, click, drag.

/** Let the pointer light, open and drag nodes, and tell how strong an edge is. */
function addPointer(graph) {
  const { drawing } = graph;
  drawing.dots
    .on("pointerenter", (event, node) => graph.showNode(node))
    .on("pointerleave", graph.showNone)
    .on("click", (event, node) => graph.open(node))
    .on("dblclick", (event, node) => graph.toggleFixed(node))
    .call(makeDrag(graph));
  drawing.svg.select(".edges")
    .on("pointermove", (event) => showEdge(graph, event))
    .on("pointerleave", hideHint);
}

/** A dragged node stays where it is put until it is released; the others follow, unless nothing is to move. */
function makeDrag(graph) {
  let isMoving = false;
  return d3.drag()
    .clickDistance(4)
    .on("drag", (event, node) => {
      if (!isMoving && !wantsStillness()) graph.forces.warm();
      isMoving = true;
      hideHint();
      fixNode(node, event.x, event.y);
      graph.drawing.move();
    })
    .on("end", () => {
      if (isMoving) graph.restyle();
      isMoving = false;
    });
}

function showEdge(graph, event) {
  const link = d3.select(event.target).datum();
  if (!link?.source) return;
  const names = `${targets[link.source.index].title} and ${targets[link.target.index].title}`;
  showHint([names, `${graph.edgeMeasure().title}: ${link.text}`], event.clientX, event.clientY);
}
