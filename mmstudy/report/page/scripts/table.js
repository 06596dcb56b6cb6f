// Tables that can be sorted.

const FIRST_ROWS = 100;

/**
 * Make a table that is sorted by the column whose heading is chosen.
 *
 * A column is {title, value: row => number or text or null, show: row => what stands in the cell, isNumber}.
 * sorted: index of the column that it is sorted by first, or null.
 */
function makeTable({ caption, columns, rows, sorted = null, descending = false, rowClass = () => null }) {
  const order = { column: sorted, descending };
  const body = make("tbody");
  const more = makeButton("", () => fill(rows.length), { class: "more" });
  const headings = columns.map((column, index) => makeHeading(column, () => sortBy(index)));

  function sortBy(index) {
    order.descending = order.column === index ? !order.descending : Boolean(columns[index].isNumber);
    order.column = index;
    fill(body.rows.length);
    announce(`Sorted by ${columns[index].title}, ${order.descending ? "largest" : "smallest"} first`);
  }

  function fill(number) {
    const ordered = order.column === null ? rows : sortRows(rows, columns[order.column].value, order.descending);
    body.replaceChildren(...ordered.slice(0, Math.max(number, FIRST_ROWS)).map((row) => makeRow(row, columns, rowClass)));
    headings.forEach((heading, index) =>
      heading.setAttribute("aria-sort", index !== order.column ? "none" : order.descending ? "descending" : "ascending"),
    );
    more.hidden = body.rows.length >= rows.length;
    more.textContent = `Show all ${rows.length} rows`;
  }

  fill(FIRST_ROWS);
  const table = make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, headings)), body);
  return make("div", {}, make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table), more);
}

function makeHeading(column, sort) {
  return make("th", { scope: "col", class: column.isNumber && "number" }, makeButton(column.title, sort));
}

function makeRow(row, columns, rowClass) {
  const cells = columns.map((column, index) =>
    make(
      index ? "td" : "th",
      { scope: index ? null : "row", class: column.isNumber && "number" },
      column.show ? column.show(row) : (column.value(row) ?? UNKNOWN),
    ),
  );
  return make("tr", { class: rowClass(row) }, cells);
}

/** Return rows sorted by a value; those without one are last whichever way. */
function sortRows(rows, valueOf, descending) {
  const isKnown = (row) => valueOf(row) !== null && valueOf(row) !== undefined;
  const compare = descending ? d3.descending : d3.ascending;
  const known = rows.filter(isKnown).sort((one, other) => compare(valueOf(one), valueOf(other)));
  return [...known, ...rows.filter((row) => !isKnown(row))];
}

/** Return a column of numbers. */
function numberColumn(title, name, decimals = 3) {
  return { title, isNumber: true, value: (row) => row[name], show: (row) => numberText(row[name], decimals) };
}

/** Return a column of times, of which so many units are an hour. */
function durationColumn(title, name, perHour = 1) {
  return { title, isNumber: true, value: (row) => row[name], show: (row) => (row[name] === null ? UNKNOWN : durationText(row[name] / perHour)) };
}
