// Colours, all from the style sheet, so that light and dark are one thing to change.

const NUM_HUES = 8;
const NUM_SHADES = 4;
const FLOORS = { continuous: 0, binary: 0.5 };

function colourNamed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Return the colour of a domain or community. */
function hueOf(index) {
  return colourNamed(`hue-${index % NUM_HUES}`);
}

/** Return how good a score is: 0 as guessing, 1 perfect. */
function goodness(model) {
  if (model.score === null) return null;
  const floor = FLOORS[targets[model.target].kind];
  return Math.min(1, Math.max(0, (model.score - floor) / (1 - floor)));
}

/** Return a function from goodness to a colour. */
function makeShades() {
  return d3.piecewise(d3.interpolateRgb, d3.range(NUM_SHADES).map((index) => colourNamed(`shade-${index}`)));
}

/** Make a line of steps from the first shade to the last. */
function makeShadeSteps(shades) {
  const steps = d3.range(0, 1.01, 0.1).map((share) => {
    const step = make("span", { class: "step" });
    step.style.background = shades(share);
    return step;
  });
  return make("span", { class: "steps", "aria-hidden": "true" }, steps);
}

/** Return the colour of text that can be read on a colour. */
function inkOn(colour) {
  const { r, g, b } = d3.rgb(colour);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff";
}
