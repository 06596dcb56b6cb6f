// Elements of the page. Text is always set as text, never as markup.

/** Make an element. Attributes that are functions are listeners: {onclick: open}; null and false ones are left out. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

let numControls = 0;

/** Make a control with its label above it. */
function makeControl(title, control) {
  control.id ||= `control-${++numControls}`;
  return make("div", { class: "control" }, make("label", { for: control.id }, title), control);
}

/** Make a labelled choice of one of some options, each {value, title}. */
function makeSelect(title, options, value, changed) {
  const select = make(
    "select",
    { onchange: () => changed(select.value) },
    options.map((option) => make("option", { value: option.value }, option.title)),
  );
  select.value = value;
  return makeControl(title, select);
}

/** Make a labelled slider, which shows its value as text. */
function makeSlider(title, { low, high, step, value, shown = String }, changed) {
  const input = make("input", { type: "range", min: low, max: high, step, value, "aria-valuetext": shown(value) });
  const text = make("span", { class: "value", "aria-hidden": "true" }, shown(value));
  input.addEventListener("input", () => {
    text.textContent = shown(Number(input.value));
    input.setAttribute("aria-valuetext", text.textContent);
    changed(Number(input.value));
  });
  const control = makeControl(title, input);
  control.firstChild.after(text);
  return control;
}

/** Make a labelled box to tick. */
function makeCheckbox(title, checked, changed) {
  const input = make("input", { type: "checkbox", checked });
  input.addEventListener("change", () => changed(input.checked));
  return make("label", { class: "tick" }, input, " ", title);
}

/** Make a button. */
function makeButton(title, pressed, more = {}) {
  return make("button", { type: "button", onclick: pressed, ...more }, title);
}

/** Tell a screen reader what has changed. */
function announce(text) {
  document.getElementById("said").textContent = text;
}

/** Return whether the reader wants nothing to move. */
function wantsStillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
