// What of the grid is shown.

const EITHER = "either";

/** Make the filters; `changed` is called with nothing, and `shows` is asked of each model. */
function makeGridFilters(changed) {
  const hiddenDomains = new Set();
  const hiddenFlags = new Set();
  const wanted = inputs.map(() => EITHER);
  const box = (title, hidden, value) =>
    makeCheckbox(title, true, (checked) => {
      if (checked) hidden.delete(value);
      else hidden.add(value);
      changed();
    });
  const domainBoxes = domains.map((domain, index) => box(domain, hiddenDomains, index));
  const flagBoxes = presentFlags().map(({ name, title }) => box(title, hiddenFlags, name));
  const inputChoices = inputs.map(({ title }, index) => {
    const options = [EITHER, "with", "without"].map((value) => ({ value, title: value }));
    return makeSelect(title, options, EITHER, (value) => {
      wanted[index] = value;
      changed();
    });
  });
  const showsSet = (set) => wanted.every((want, input) => want === EITHER || (want === "with") === sets[set].includes(input));
  const shows = (model) =>
    !hiddenDomains.has(targets[model.target].domain) && ![...hiddenFlags].some((name) => model[name]) && showsSet(model.set);
  const element = make(
    "div",
    { class: "filters" },
    make("fieldset", {}, make("legend", {}, "Show"), domainBoxes),
    flagBoxes.length ? make("fieldset", {}, make("legend", {}, "Show models that are flagged"), flagBoxes) : null,
    make("fieldset", {}, make("legend", {}, "Sets with or without an input"), inputChoices),
  );
  return { element, shows };
}
