// Where the nodes of the graph are drawn to.

const STILL_TICKS = 300;

/** Make the simulation; it calls `moved` after each step. The same content always gives the same layout. */
function makeForces(nodes, moved) {
  const links = d3.forceLink().id(({ index }) => index);
  const charge = d3.forceManyBody();
  const [x, y, apart] = [d3.forceX(), d3.forceY(), d3.forceCollide()];
  const simulation = d3.forceSimulation(nodes).stop().on("tick", moved);
  simulation.force("links", links).force("charge", charge).force("x", x).force("y", y).force("apart", apart);

  /** Take new settings and links; the nodes stay where they are until `settle` or `warm`. */
  function update(settings, ofLinks, radiusOf, isTall) {
    links.links(ofLinks).distance(({ relative }) => settings.distance * (1.5 - relative));
    charge.strength(-settings.charge);
    x.strength(settings.gravity * (isTall ? 2 : 1)); // the graph gets the shape of its frame
    y.strength(settings.gravity * (isTall ? 1 : 2));
    apart.radius((node) => radiusOf(node) + 9);
  }

  /** Let the nodes find their places without showing the way. */
  function settle() {
    simulation.stop().alpha(1).tick(STILL_TICKS);
    moved();
  }

  /** Let the nodes move to new places; at once where the reader wants nothing to move. */
  function warm() {
    if (wantsStillness()) settle();
    else simulation.alpha(0.5).restart();
  }

  return { update, settle, warm };
}

/** Hold a node where it is, or at a place. */
function fixNode(node, x = node.x, y = node.y) {
  node.fx = node.x = x;
  node.fy = node.y = y;
}

function releaseNode(node) {
  node.fx = node.fy = null;
}

function isFixed(node) {
  return typeof node.fx === "number";
}
