// The tabs. Each is made when it is first seen, and all of them before the page is printed.

/** Show tabs, each {name, title, make: () => {element, shown}}. */
function showTabs(list) {
  const bar = make("div", { role: "tablist", "aria-label": "Parts of the report" });
  const tabs = list.map((tab) => ({ ...tab, ...tabElements(tab, () => select(tab.name)) }));
  bar.append(...tabs.map(({ button }) => button));
  document.getElementById("tabs").replaceChildren(bar);
  document.getElementById("panels").replaceChildren(...tabs.map(({ panel }) => panel));

  function select(name) {
    hideHint();
    tabs.forEach((tab) => {
      const isChosen = tab.name === name;
      tab.button.setAttribute("aria-selected", isChosen);
      tab.button.tabIndex = isChosen ? 0 : -1;
      tab.panel.hidden = !isChosen;
      if (isChosen) fillTab(tab);
    });
    keepTab(name);
  }

  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs.at((tabs.findIndex(({ button }) => button === event.target) + step) % tabs.length);
    next.button.focus();
    select(next.name);
  });
  addEventListener("beforeprint", () => tabs.forEach(fillTab));
  select((tabs.find(({ name }) => name === address.tab) ?? tabs[0]).name);
}

function tabElements({ name, title }, select) {
  const attributes = { role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, type: "button", onclick: select };
  const panel = make("section", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true });
  return { button: make("button", attributes, title), panel };
}

/** Make what is on a tab, if it has not been made. */
function fillTab(tab) {
  if (tab.panel.hasChildNodes()) return;
  const { element, shown } = tab.make();
  tab.panel.append(make("h2", { class: "printed" }, tab.title), element);
  shown();
}
