// The tab with the text for a methods section, and the limits.

function makeMethodsTab() {
  const paragraphs = content.methods_text ?? [];
  const text = make("div", { class: "methods-text" }, paragraphs.map((paragraph) => make("p", {}, paragraph)));
  const limits = make("ul", {}, (content.limits ?? []).map((limit) => make("li", {}, limit)));
  const element = make(
    "div",
    {},
    paragraphs.length
      ? [make("h2", {}, "Text for a methods section"), makeButton("Copy the text", () => copyText(text, paragraphs)), text]
      : [],
    limits.children.length ? [make("h2", {}, "Limits"), limits] : [],
  );
  return { element, shown: () => {} };
}

/** Copy paragraphs; where a browser does not let a page do so, select them for the reader to copy. */
async function copyText(element, paragraphs) {
  try {
    await navigator.clipboard.writeText(paragraphs.join("\n\n"));
    announce("Copied");
  } catch {
    getSelection().selectAllChildren(element);
    announce("The text is selected: copy it with Control and C");
  }
}
