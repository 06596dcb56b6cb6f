// What of the grid is shown.

const EITHER = "either";

/** Make the filters; `changed` is called with nothing, what is shown is asked with `showsTarget`, `showsSet`, `showsModel`. */
function makeGridFilters(changed) {
  const hidden = new Set();
  const wanted = inputs.map(() => EITHER);
  const filters = { flagged: true };
  const domainBoxes = domains.map((domain, index) =>
    makeCheckbox(domain, true, (checked) => {
      if (checked) hidden.delete(index);
      else hidden.add(index);
      changed();
    }),
  );
  const inputChoices = inputs.map(({ title }, index) => {
    const options = [EITHER, "with", "without"].map((value) => ({ value, title: value }));
    return makeSelect(title, options, EITHER, (value) => {
      wanted[index] = value;
      changed();
    });
  });
  const flagBox = makeCheckbox("models with a flag", true, (checked) => {
    filters.flagged = checked;
    changed();
  });
  filters.showsDomain = (domain) => !hidden.has(domain);
  filters.showsSet = (set) => wanted.every((want, input) => want === EITHER || (want === "with") === sets[set].includes(input));
  filters.showsModel = (model) => filters.flagged || !flagsOf(model).length;
  filters.element = make(
    "div",
    { class: "filters" },
    make("fieldset", {}, make("legend", {}, "Show"), domainBoxes, flagBox),
    make("fieldset", {}, make("legend", {}, "Sets with or without an input"), inputChoices),
  );
  return filters;
}
