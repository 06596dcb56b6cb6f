// The box that says what is under the pointer or has the focus.

/** Show lines beside a point of the window, the first one bold. */
function showHint(lines, x, y) {
  const box = document.getElementById("hint");
  box.replaceChildren(...lines.filter(Boolean).map((line, index) => make(index ? "p" : "h4", {}, line)));
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const room = { x: document.documentElement.clientWidth - width - 8, y: innerHeight - height - 8 };
  box.style.left = `${Math.max(8, Math.min(x + 14, room.x))}px`;
  box.style.top = `${Math.max(8, y + 18 > room.y ? y - height - 12 : y + 18)}px`;
}

/** Show lines in an upper corner of a frame, on the side where a point is not. */
function showHintInCorner(lines, frame, x) {
  const { left, right, top } = frame.getBoundingClientRect();
  const isLeft = x - left < (right - left) / 2;
  showHint(lines, isLeft ? right : left, top);
  const box = document.getElementById("hint");
  box.style.left = `${isLeft ? right - box.offsetWidth - 8 : left + 8}px`;
  box.style.top = `${Math.max(8, top + 8)}px`;
}

/** Show lines below an element. */
function showHintAt(lines, element) {
  const { left, bottom, width } = element.getBoundingClientRect();
  showHint(lines, left + width / 2, bottom - 14);
}

function hideHint() {
  document.getElementById("hint").hidden = true;
}

/** Return what is said of a model in a hint. */
function modelLines(model) {
  return [
    `${targets[model.target].title} from ${setTitle(model.set)}`,
    scoreText(model),
    model.val_score === null ? "" : `on validation ${numberText(model.val_score)}`,
    isBest(model) ? `The best set. ${choiceText(bestModel(model.target, model.series))}` : "",
    ...flagsOf(model),
    ...besideLines(model),
  ];
}
