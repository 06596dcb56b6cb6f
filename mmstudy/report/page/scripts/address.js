// What is chosen and opened stands in the address, behind the name of the tab: it is there again when the page is loaded
// again or opened from a bookmark, also from a file, and no server is told of it.

const address = { tab: location.hash.slice(1).split("&")[0], kept: new URLSearchParams(location.hash.split("&").slice(1).join("&")) };

/** Return what is kept under a name; null where there is nothing. */
function keptAs(name) {
  return address.kept.get(name);
}

/** Keep a text under a name; null forgets what was kept. */
function keep(name, text) {
  if (text === keptAs(name)) return; // browsers count how often an address is written
  if (text === null) address.kept.delete(name);
  else address.kept.set(name, text);
  writeAddress();
}

function keepTab(name) {
  address.tab = name;
  writeAddress();
}

function writeAddress() {
  history.replaceState(null, "", `#${[address.tab, address.kept].filter(String).join("&")}`);
}
