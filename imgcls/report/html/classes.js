// The table of classes, in any order.

const COLUMNS = [
  { key: "number", title: "#", about: "number of the class" },
  { key: "name", title: "class", about: "name of the class", text: true },
  { key: "pictures", title: "pictures", about: "how many pictures are of the class" },
  { key: "accuracy", title: "accuracy", about: "share of its pictures that were recognised", share: true },
  { key: "precision", title: "precision", about: "share of the pictures taken for it that are of it", share: true },
  { key: "f1", title: "F1", about: "harmonic mean of accuracy (recall) and precision", share: true },
  { key: "mistaken", title: "most often taken for", about: "the commonest mistake, by its count" },
];

function classRows({ names, classes, cells }) {
  const rows = names.map((name, number) => ({
    number,
    name,
    pictures: classes.pictures[number],
    accuracy: classes.accuracy[number],
    precision: classes.precision[number],
    f1: classes.f1[number],
    mistaken: null,
    taken: "",
  }));
  for (const [label, predicted, times] of cells) {
    if (label !== predicted && times > (rows[label].mistaken ?? 0)) {
      rows[label].mistaken = times;
      rows[label].taken = names[predicted];
    }
  }
  return rows;
}

function classTable(rows) {
  const body = element("tbody");
  const heads = COLUMNS.map((column) =>
    element("th", { scope: "col", title: column.about }, element("button", { type: "button" }, column.title)),
  );
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  const lines = new Map(rows.map((row) => [row, classLine(row)]));
  body.append(...lines.values());

  heads.forEach((head, number) => {
    const { key, text } = COLUMNS[number];
    head.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const ascending = before ? before === "descending" : Boolean(text) || key === "number";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const ordered = [...rows].sort(by(key, ascending));
      body.append(...ordered.map((row) => lines.get(row)));
    });
  });
  heads[0].setAttribute("aria-sort", "ascending");

  const search = element("input", {
    type: "search",
    placeholder: "class name",
    "aria-label": "show classes whose name contains",
  });
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    for (const [row, line] of lines) line.hidden = !row.name.toLowerCase().includes(wanted);
  });
  return { table, search };
}

// What has no value comes last whatever the direction.
function by(key, ascending) {
  return (a, b) => {
    if (a[key] === null || b[key] === null) return (a[key] === null) - (b[key] === null);
    const order = key === "name" ? a.name.localeCompare(b.name, "en", { numeric: true }) : a[key] - b[key];
    return (ascending ? order : -order) || a.number - b.number;
  };
}

function classLine(row) {
  const cells = COLUMNS.map(({ key, text, share }) => {
    if (text) return element("td", { class: "name", title: row.name }, row.name);
    if (share) return element("td", { class: "share" }, bar(row[key]), percent(row[key]));
    if (key !== "mistaken") return element("td", { class: "number" }, row[key].toLocaleString("en"));
    return element(
      "td",
      { class: "name", title: row.taken },
      row.mistaken === null ? "" : `${row.mistaken.toLocaleString("en")}\u00d7 ${row.taken}`,
    );
  });
  return element("tr", { "data-class": row.number }, ...cells);
}

function bar(share) {
  const full = element("i");
  full.style.width = `${100 * (share ?? 0)}%`;
  return element("span", { class: "bar" }, full);
}
