// A drawing as a file: SVG, PNG or JPG, made here without asking anybody.

const KEPT = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "opacity", "font-family", "font-size", "font-weight",
  "text-anchor", "paint-order", "stroke-linejoin", "stroke-dasharray", "display",
];
const PIXELS = 2;
const LEGEND_LINE = 18;

/** Return a drawing of the page as SVG that looks alike elsewhere: its styles are written into it, and its legend below. */
function pictureOfDrawing(svg, legend) {
  const { clientWidth: width, clientHeight } = svg;
  const height = clientHeight + LEGEND_LINE * (legend.length + 1);
  const copy = d3.select(svg.cloneNode(true));
  keepStyles(svg, copy.node());
  copy.attr("xmlns", "http://www.w3.org/2000/svg").attr("width", width).attr("height", height);
  copy.attr("viewBox", `0 0 ${width} ${height}`).attr("class", null).attr("aria-describedby", null);
  const cover = { x: 0, width, fill: colourNamed("page") };
  const put = (shape, attributes) => Object.entries(attributes).forEach(([name, value]) => shape.attr(name, value));
  put(copy.insert("rect", ":first-child"), { ...cover, y: 0, height });
  put(copy.append("rect"), { ...cover, y: clientHeight, height: height - clientHeight });
  legend.forEach(({ colour, title }, line) => {
    const y = clientHeight + LEGEND_LINE * (line + 1);
    if (colour) put(copy.append("circle"), { cx: 16, cy: y - 4, r: 5, fill: colour });
    put(copy.append("text").text(title), { x: colour ? 28 : 10, y, "font-size": 12, "font-family": "sans-serif", fill: colourNamed("text") });
  });
  return { text: new XMLSerializer().serializeToString(copy.node()), width, height };
}

function keepStyles(from, to) {
  const style = getComputedStyle(from);
  KEPT.forEach((name) => to.setAttribute(name, style.getPropertyValue(name)));
  [...from.children].forEach((child, index) => keepStyles(child, to.children[index]));
}

/** Return a picture, SVG as text with its width and height, as bytes of a form. */
async function bytesOf(picture, form) {
  if (form === "svg") return new Blob([picture.text], { type: "image/svg+xml" });
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(picture.text)}`;
  await image.decode();
  const canvas = make("canvas", { width: picture.width * PIXELS, height: picture.height * PIXELS });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, form === "jpg" ? "image/jpeg" : "image/png", 0.95));
}

/** Make the buttons that save something as a picture; how the file is called and what is in it is asked for then. */
function makeSaveButtons(what, nameOf, pictureOf) {
  return ["svg", "png", "jpg"].map((form) =>
    makeButton(form.toUpperCase(), async () => saveFile(`${nameOf()}.${form}`, await bytesOf(pictureOf(), form)), {
      "aria-label": `Save the ${what} as ${form.toUpperCase()}`,
    }),
  );
}

function saveFile(name, blob) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
