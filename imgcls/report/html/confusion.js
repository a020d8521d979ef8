// The confusion matrix: rows are true classes, columns what they were taken for. Of many classes a part can be enlarged.

const MATRIX = {
  smallest: 320,
  largest: 600,
  perClass: 90,
  label: 15,
  number: 18,
  wide: 64,
  lines: 3,
  longest: 200,
  snap: 6,
  fewest: 8,
  zoom: 2.5,
};

function confusionMatrix({ names, cells, classes }) {
  const total = names.length;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const room = document.querySelector("#confusion .columns").clientWidth - parseInt(colour("--labels")) - 2;
  const side = Math.min(MATRIX.largest, Math.max(MATRIX.smallest, total * MATRIX.perClass), room);
  const counts = new Map(cells.map(([label, predicted, times]) => [label * total + predicted, times]));
  const share = (label, times) => times / classes.pictures[label];
  // Where cells overlap, the larger share is seen.
  const ordered = [...cells].sort((a, b) => share(a[0], a[2]) - share(b[0], b[2]));
  const whole = { left: 0, top: 0, size: total };
  let view = whole;

  const scale = window.devicePixelRatio || 1;
  const canvas = element("canvas", {
    width: side * scale,
    height: side * scale,
    role: "img",
    "aria-label": "confusion matrix",
  });
  const marker = element("div", { class: "marker" });
  const rows = element("div", { class: "labels rows" });
  const columns = element("div", { class: "labels" });
  const field = element("div", { class: "field" }, canvas, marker);
  for (const node of [field, canvas]) Object.assign(node.style, { width: `${side}px`, height: `${side}px` });
  rows.style.height = columns.style.width = `${side}px`;

  function paint() {
    const cell = side / view.size;
    const pencil = canvas.getContext("2d");
    pencil.setTransform(scale, 0, 0, scale, 0, 0);
    pencil.clearRect(0, 0, side, side);
    const gap = cell >= MATRIX.label ? 1 : 0;
    if (gap) {
      pencil.fillStyle = colour("--empty");
      for (let row = Math.floor(view.top); row < view.top + view.size; row++) {
        for (let column = Math.floor(view.left); column < view.left + view.size; column++) {
          pencil.fillRect((column - view.left) * cell, (row - view.top) * cell, cell - gap, cell - gap);
        }
      }
    }
    const [ink, right, wrong] = ["--ink", "--right-cell", "--wrong-cell"].map(colour);
    pencil.textAlign = "center";
    pencil.textBaseline = "middle";
    for (const [label, predicted, times] of ordered) {
      const [x, y] = [(predicted - view.left) * cell, (label - view.top) * cell];
      if (x < -cell || y < -cell || x > side || y > side) continue;
      const seen = Math.max(cell - gap, 2); // a cell narrower than a pixel would vanish
      const strength = 0.2 + 0.8 * Math.sqrt(share(label, times));
      pencil.fillStyle = `rgb(${label === predicted ? right : wrong} / ${strength})`;
      pencil.fillRect(x + (cell - gap - seen) / 2, y + (cell - gap - seen) / 2, seen, seen);
      if (cell >= MATRIX.number) {
        const text = times.toLocaleString("en");
        pencil.font = `${Math.min(15, cell * 0.45, cell / (0.65 * text.length))}px system-ui, sans-serif`;
        pencil.fillStyle = strength > 0.6 ? "#fff" : ink;
        pencil.fillText(text, x + (cell - gap) / 2, y + (cell - gap) / 2 + 1);
      }
    }
    writeLabels(rows, names, view.top, view.size, cell, false);
    writeLabels(columns, names, view.left, view.size, cell, true);
    const level = cell >= MATRIX.wide;
    columns.className = `labels below ${level ? "level" : "upright"}`;
    pencil.font = "12px system-ui, sans-serif";
    const longest = Math.max(...names.map((name) => pencil.measureText(name).width));
    columns.style.height = level ? "" : `${Math.min(MATRIX.longest, longest) + 14}px`;
  }

  function look(next) {
    const size = Math.min(total, Math.max(Math.min(total, MATRIX.fewest), next.size));
    const inside = (start) => Math.min(total - size, Math.max(0, start));
    view = { size, left: inside(next.left), top: inside(next.top) };
    marker.hidden = true;
    tooltip.hide();
    paint();
  }

  // Around a point of the field, in shares of its sides.
  function enlarge(factor, x = 0.5, y = 0.5) {
    const size = Math.min(total, Math.max(Math.min(total, MATRIX.fewest), view.size / factor));
    look({ size, left: view.left + (view.size - size) * x, top: view.top + (view.size - size) * y });
  }

  // The pair of classes under the pointer; where cells are tiny, the nearest that occurred.
  function pairAt(x, y) {
    const cell = side / view.size;
    const pair = [Math.floor(view.top + y / cell), Math.floor(view.left + x / cell)].map((number) =>
      Math.min(total - 1, Math.max(0, number)),
    );
    if (cell >= MATRIX.snap || counts.has(pair[0] * total + pair[1])) return pair;
    let best = pair;
    let distance = MATRIX.snap;
    for (const [label, predicted] of cells) {
      const away = Math.hypot((predicted + 0.5 - view.left) * cell - x, (label + 0.5 - view.top) * cell - y);
      if (away < distance) [best, distance] = [[label, predicted], away];
    }
    return best;
  }

  let held = null;
  field.addEventListener("pointerdown", (event) => {
    if (view.size === total) return;
    held = { x: event.clientX, y: event.clientY, view };
    field.setPointerCapture(event.pointerId);
  });
  field.addEventListener("pointerup", () => (held = null));
  field.addEventListener("pointercancel", () => (held = null));
  field.addEventListener("pointermove", (event) => {
    const cell = side / view.size;
    if (held) {
      const [across, down] = [event.clientX - held.x, event.clientY - held.y];
      look({ size: view.size, left: held.view.left - across / cell, top: held.view.top - down / cell });
      return;
    }
    const box = field.getBoundingClientRect();
    const [label, predicted] = pairAt(event.clientX - box.left, event.clientY - box.top);
    const times = counts.get(label * total + predicted) ?? 0;
    const pictures = classes.pictures[label];
    marker.hidden = false;
    Object.assign(marker.style, {
      left: `${(predicted - view.left) * cell - 1}px`,
      top: `${(label - view.top) * cell - 1}px`,
      width: `${Math.max(cell, 3)}px`,
      height: `${Math.max(cell, 3)}px`,
    });
    tooltip.show(event, [
      `true: ${names[label]}`,
      `taken for: ${names[predicted]}`,
      `${times.toLocaleString("en")} of ${count(pictures, "picture")}${pictures ? `, ${percent(times / pictures)}` : ""}`,
    ]);
  });
  field.addEventListener("pointerleave", () => {
    marker.hidden = true;
    tooltip.hide();
  });
  field.addEventListener("dblclick", (event) => {
    const box = field.getBoundingClientRect();
    enlarge(MATRIX.zoom, (event.clientX - box.left) / side, (event.clientY - box.top) / side);
  });

  marker.hidden = true;
  paint();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  const drawing = element("div", { class: "drawing" }, rows, field, columns);
  return side / total < MATRIX.number
    ? [zoomButtons(enlarge, () => look(whole)), drawing, matrixKey()]
    : [drawing, matrixKey()];
}

// Every so many names, as many as there is room for; in several lines, or upright, where one has too little.
function writeLabels(box, names, start, size, cell, across) {
  const step = Math.ceil(MATRIX.label / cell);
  const labels = [];
  for (
    let number = Math.ceil(start / step - 0.5) * step;
    number < Math.min(names.length, start + size);
    number += step
  ) {
    const middle = (number + 0.5 - start) * cell;
    if (middle < 0 || middle > size * cell) continue;
    const label = element("span", { title: names[number] }, names[number]);
    const room = Math.max(cell, MATRIX.label);
    const upright = across && cell < MATRIX.wide;
    const gap = upright ? 0 : 2;
    if (!upright) {
      label.className = "lines";
      label.style.webkitLineClamp = across ? MATRIX.lines : Math.floor(room / MATRIX.label);
    }
    if (across) Object.assign(label.style, { left: `${middle - room / 2 + gap}px`, width: `${room - 2 * gap}px` });
    else label.style.top = `${middle}px`;
    if (upright) label.style.lineHeight = `${room}px`;
    labels.push(label);
  }
  box.replaceChildren(...labels);
}

function zoomButtons(enlarge, reset) {
  const button = (text, about, act) => {
    const node = element("button", { type: "button", title: about }, text);
    node.addEventListener("click", act);
    return node;
  };
  return element(
    "div",
    { class: "tools" },
    button("+", "enlarge", () => enlarge(MATRIX.zoom)),
    button("\u2212", "show more", () => enlarge(1 / MATRIX.zoom)),
    button("whole matrix", "show all classes", reset),
    element("span", { class: "note" }, "double-click to enlarge, drag to move"),
  );
}

function matrixKey() {
  return element(
    "p",
    { class: "note" },
    "Rows: true classes. Columns: what they were taken for. ",
    element("span", { class: "key right" }, "right"),
    " ",
    element("span", { class: "key wrong" }, "wrong"),
    " The stronger the colour, the larger the share of the true class.",
  );
}

function commonestMistakes({ names, cells, classes }, limit = 10) {
  const mistakes = cells.filter(([label, predicted]) => label !== predicted).sort((a, b) => b[2] - a[2]);
  if (!mistakes.length) return [element("caption", {}, "There are none.")];
  return mistakes
    .slice(0, limit)
    .map(([label, predicted, times]) =>
      element(
        "tr",
        {},
        element("td", { class: "number" }, `${times.toLocaleString("en")}\u00d7`),
        element(
          "td",
          { class: "name", title: `${names[label]} \u2192 ${names[predicted]}` },
          names[label],
          element("div", {}, `\u2192 ${names[predicted]}`),
        ),
        element("td", { class: "number" }, percent(times / classes.pictures[label], 0)),
      ),
    );
}
