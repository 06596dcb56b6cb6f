// Parts of the content that need no drawing of their own, shown as tables, pictures and texts by their shape.

const OF_INDICES = {
  target: (index) => targets[index].title, domain: (index) => domains[index], series: (index) => series[index].title,
  set: setTitle, input: (index) => inputs[index].title,
  model: (index) => {
    const { target, set, series: place } = models[index];
    return `${targets[target].title} from ${setTitle(set)}${hasSeveralSeries ? `, ${series[place].title}` : ""}`;
  },
};

/** Make the tab of some parts, each under its title: {title, part}. */
function makePartsTab(parts) {
  const element = make("div", {}, parts.map(({ title, part }) => [make("h2", {}, title), makePart(title, part)]).flat());
  return { element, shown: () => {} };
}

function makePart(title, part) {
  if (part === null || typeof part !== "object") return make("p", {}, textOf(part));
  if ("png" in part) return makePicture(part);
  if (Array.isArray(part)) return make("div", { class: "parts" }, part.map((of) => makePart(of?.title ?? title, of)));
  const names = Object.keys(part);
  const columns = names.filter((name) => Array.isArray(part[name]) && part[name].length === part[names[0]]?.length && !isNested(part[name]));
  const others = names.filter((name) => !columns.includes(name) && !["name", "title"].includes(name));
  return make(
    "div",
    {},
    columns.length ? makeTable({ caption: title, columns: columns.map(partColumn), rows: rowsOf(pick(part, columns)) }) : null,
    others.map((name) => [make("h3", {}, wordsOf(name)), makePart(wordsOf(name), part[name])]).flat(),
  );
}

function isNested(values) {
  return values.some((value) => value !== null && typeof value === "object");
}

function pick(part, names) {
  return Object.fromEntries(names.map((name) => [name, part[name]]));
}

const TEXTS = ["name", "split", "what_it_is"]; // columns of words

function partColumn(name) {
  const titleOf = OF_INDICES[name];
  if (titleOf) return { title: wordsOf(name), value: (row) => (row[name] === null ? null : titleOf(row[name])) };
  return { title: wordsOf(name), isNumber: !TEXTS.includes(name), value: (row) => row[name], show: (row) => textOf(row[name]) };
}

function textOf(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" ? numberText(value, Number.isInteger(value) ? 0 : 3) : (value ?? UNKNOWN);
}

function wordsOf(name) {
  const words = METRIC_TITLES[name] ?? name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function makePicture({ title, png }) {
  return make("figure", {}, make("img", { src: `data:image/png;base64,${png}`, alt: title }), make("figcaption", {}, title));
}
