// The grid as a drawing that is saved: what the tab shows, with what its colours and marks mean.

const SHADES_TOLD = { low: "balanced accuracy 0.5 or R² 0", high: "1" };
const OUTLINE_TOLD = `best set, chosen on ${bests.some(({ chosen_on: on }) => on === "test") ? "test" : "validation"}`;
const BLANK_TOLD = "blank: no model";
const SHEET = { margin: 16, cell: 22, gap: 1, line: 16, legend: 20, heading: 30, title: 20, dot: 3.5, between: 10 };
const FONT = "sans-serif";

/** Return the name of the file, without the end that says its form. */
function gridPictureName() {
  return `grid-${series[choice.series].title.replaceAll(" ", "-")}`;
}

/** Return panels below each other, as text, with width and height. */
function gridPicture(panels) {
  const shades = makeShades();
  const sheet = makeSheet();
  const numShown = d3.sum(panels, ({ byCell }) => byCell.size);
  const numModels = models.filter((model) => model.series === choice.series).length;
  const titles = panels.flatMap(({ lines, used }) => [...lines.map(rowTitle), ...used.map((input) => inputs[input].title)]);
  const left = SHEET.margin + d3.max(titles, (title) => sheet.widthOf(title, 12)) + SHEET.between;
  let y = SHEET.margin + SHEET.title;
  sheet.write(content.about.title, SHEET.margin, y, { size: 16, weight: 600 });
  y += SHEET.title;
  sheet.write(`${series[choice.series].title}: ${numShown} of ${numModels} models`, SHEET.margin, y, { colour: "quiet" });
  panels.forEach((panel) => (y = drawPanel(sheet, panel, left, y + SHEET.between, shades)));
  return sheet.finish(drawGridLegend(sheet, y + SHEET.legend, shades));
}

function rowTitle(target) {
  return `${targets[target].title}${targets[target].kind === "continuous" ? " R²" : ""}`;
}

/** Draw a panel below a height, and return where it ends. */
function drawPanel(sheet, { domain, columns, lines, byCell, used }, left, above, shades) {
  const right = left - SHEET.between;
  let y = above + SHEET.heading;
  sheet.write(domains[domain], SHEET.margin, y - SHEET.between, { size: 13, weight: 600 });
  for (const target of lines) {
    sheet.write(rowTitle(target), right, y + SHEET.cell / 2, { anchor: "end" });
    columns.forEach((set, column) => {
      const model = byCell.get(keyOf(target, set));
      if (model) drawCell(sheet, model, left + column * (SHEET.cell + SHEET.gap), y, shades);
    });
    y += SHEET.cell + SHEET.gap;
  }
  y += SHEET.between / 2;
  for (const input of used) {
    sheet.write(inputs[input].title, right, y + SHEET.line / 2, { anchor: "end", size: 11, colour: "quiet" });
    columns.forEach((set, column) => {
      const fill = colourNamed(sets[set].includes(input) ? "text" : "line");
      sheet.put("circle", { cx: left + column * (SHEET.cell + SHEET.gap) + SHEET.cell / 2, cy: y + SHEET.line / 2, r: SHEET.dot, fill });
    });
    y += SHEET.line;
  }
  sheet.reach(left + columns.length * (SHEET.cell + SHEET.gap));
  return y;
}

function drawCell(sheet, model, x, y, shades) {
  const share = goodness(model);
  const fill = share === null ? colourNamed("page") : shades(share);
  sheet.put("rect", { x, y, width: SHEET.cell, height: SHEET.cell, rx: 2, fill });
  if (isBest(model)) outline(sheet, x, y, SHEET.cell);
  const ink = share === null ? colourNamed("text") : inkOn(fill);
  sheet.write(markOf(model), x + SHEET.cell / 2, y + SHEET.cell / 2, { anchor: "middle", size: 14, weight: 700, ink });
}

function outline(sheet, x, y, edge) {
  const width = 2.5;
  const place = { x: x + width / 2, y: y + width / 2, width: edge - width, height: edge - width };
  sheet.put("rect", { ...place, rx: 1, fill: "none", stroke: colourNamed("best"), "stroke-width": width });
}

/** Draw what colours, outlines and marks mean, a line each, and return where that ends. */
function drawGridLegend(sheet, above, shades) {
  const step = 13;
  const x = SHEET.margin;
  let y = above;
  const low = sheet.write(SHADES_TOLD.low, x, y, {});
  const shares = d3.range(0, 1.01, 0.1);
  shares.forEach((share, index) => sheet.put("rect", { x: x + low + 6 + index * step, y: y - step / 2, width: step, height: step, fill: shades(share) }));
  sheet.write(SHADES_TOLD.high, x + low + 12 + shares.length * step, y, {});
  y += SHEET.legend;
  outline(sheet, x, y - step / 2, step);
  sheet.write(OUTLINE_TOLD, x + 20, y, {});
  for (const { mark, title } of presentFlags()) {
    y += SHEET.legend;
    sheet.write(mark, x + step / 2, y, { anchor: "middle", size: 14, weight: 700 });
    sheet.write(title, x + 20, y, {});
  }
  y += SHEET.legend;
  sheet.write(BLANK_TOLD, x, y, {});
  return y + SHEET.margin;
}

/** Make a sheet that grows to the right with what is drawn on it. */
function makeSheet() {
  const svg = d3.create("svg").attr("xmlns", "http://www.w3.org/2000/svg").attr("font-family", FONT);
  const cover = svg.append("rect").attr("fill", colourNamed("page"));
  const measure = make("canvas").getContext("2d");
  const sheet = { width: 0 };
  sheet.reach = (x) => (sheet.width = Math.max(sheet.width, x + SHEET.margin));
  sheet.widthOf = (text, size, weight = 400) => {
    measure.font = `${weight} ${size}px ${FONT}`;
    return measure.measureText(text).width;
  };
  sheet.put = (shape, attributes) => {
    const element = svg.append(shape);
    Object.entries(attributes).forEach(([name, value]) => element.attr(name, value));
    return element;
  };

  /** Write a text whose middle is at a height, and return how wide it is. */
  sheet.write = (text, x, y, { anchor = "start", size = 12, weight = 400, colour = "text", ink = colourNamed(colour) }) => {
    if (!text) return 0;
    const style = { "text-anchor": anchor, "font-size": size, "font-weight": weight, fill: ink };
    sheet.put("text", { x, y: y + 0.36 * size, ...style }).text(text);
    const width = sheet.widthOf(text, size, weight);
    if (anchor === "start") sheet.reach(x + width);
    return width;
  };

  sheet.finish = (height) => {
    const width = Math.ceil(sheet.width);
    for (const element of [svg, cover]) element.attr("width", width).attr("height", height);
    svg.attr("viewBox", `0 0 ${width} ${height}`);
    return { text: new XMLSerializer().serializeToString(svg.node()), width, height };
  };
  return sheet;
}
