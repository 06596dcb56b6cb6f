// A page that is served is loaded again while what it tells of grows, unless somebody is using it.

/** Load the page again after so many seconds in which nobody has touched it; what is chosen stays, for it is in the address. */
function reloadWhenIdle(seconds) {
  let timer = null;
  const begin = () => {
    clearTimeout(timer);
    timer = setTimeout(() => location.reload(), seconds * 1000);
  };
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel"]) addEventListener(kind, begin, { passive: true });
  begin();
}
