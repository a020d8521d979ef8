// The reliability diagram: how often answers of each confidence are right, and how many there are.

const DIAGRAM = { width: 470, height: 448, left: 50, right: 24, top: 10, plot: 310, gap: 22, histogram: 64 };

function reliabilityDiagram({ counts, confidence, accuracy }) {
  const { width, height, left, right, top, plot, gap, histogram } = DIAGRAM;
  const bins = counts.length;
  const across = (share) => left + share * (width - left - right);
  const down = (share) => top + (1 - share) * plot;
  const floor = top + plot + gap + histogram;
  const most = Math.max(...counts, 1);
  const step = across(1 / bins) - across(0);

  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "accuracy by confidence" });
  const hatching = {
    id: "hatching",
    width: 6,
    height: 6,
    patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)",
  };
  svg.append(shape("pattern", hatching, shape("line", { x1: 1, x2: 1, y1: 0, y2: 6 })));
  for (const share of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    svg.append(shape("line", { class: "grid", x1: left, x2: across(1), y1: down(share), y2: down(share) }));
    svg.append(
      shape("text", { class: "tick", x: left - 6, y: down(share) + 4, "text-anchor": "end" }, percent(share, 0)),
    );
    svg.append(
      shape("text", { class: "tick", x: across(share), y: floor + 17, "text-anchor": "middle" }, percent(share, 0)),
    );
  }
  for (let bin = 0; bin < bins; bin++) {
    const column = { x: across(bin / bins) + 1, width: step - 2 };
    const group = shape("g", { class: "bin" });
    if (counts[bin]) {
      const [low, high] = [accuracy[bin], confidence[bin]].sort((a, b) => a - b);
      group.append(
        shape("rect", { class: "accuracy", ...column, y: down(accuracy[bin]), height: down(0) - down(accuracy[bin]) }),
      );
      group.append(shape("rect", { class: "gap", ...column, y: down(high), height: down(low) - down(high) }));
      const tall = Math.max(1.5, (counts[bin] / most) * histogram);
      group.append(shape("rect", { class: "pictures", ...column, y: floor - tall, height: tall }));
    }
    group.append(shape("rect", { class: "target", x: across(bin / bins), width: step, y: top, height: floor - top }));
    group.addEventListener("pointermove", (event) =>
      tooltip.show(event, binLines(bin, bins, counts[bin], confidence[bin], accuracy[bin])),
    );
    group.addEventListener("pointerleave", () => tooltip.hide());
    svg.append(group);
  }
  svg.append(shape("line", { class: "diagonal", x1: across(0), y1: down(0), x2: across(1), y2: down(1) }));
  svg.append(shape("line", { class: "axis", x1: left, x2: across(1), y1: down(0), y2: down(0) }));
  svg.append(shape("line", { class: "axis", x1: left, x2: across(1), y1: floor, y2: floor }));
  svg.append(shape("text", { class: "tick", x: across(0.5), y: height - 4, "text-anchor": "middle" }, "confidence"));
  svg.append(
    shape(
      "text",
      { class: "tick", transform: `translate(11 ${down(0.5)}) rotate(-90)`, "text-anchor": "middle" },
      "accuracy",
    ),
  );
  svg.append(
    shape(
      "text",
      { class: "tick", transform: `translate(11 ${floor - histogram / 2}) rotate(-90)`, "text-anchor": "middle" },
      "pictures",
    ),
  );
  svg.append(
    shape(
      "text",
      { class: "tick", x: across(1), y: floor - histogram - 3, "text-anchor": "end" },
      `up to ${most.toLocaleString("en")}`,
    ),
  );
  return element("figure", { class: "diagram" }, svg);
}

function binLines(bin, bins, pictures, confidence, accuracy) {
  const lines = [
    `confidence ${percent(bin / bins, 0)} to ${percent((bin + 1) / bins, 0)}: ${count(pictures, "picture")}`,
  ];
  return pictures ? [...lines, `mean confidence ${percent(confidence)}`, `accuracy ${percent(accuracy)}`] : lines;
}

function reliabilityNote({ counts, confidence, accuracy }, error) {
  const total = counts.reduce((sum, pictures) => sum + pictures, 0);
  const mean = (values) => counts.reduce((sum, pictures, bin) => sum + pictures * (values[bin] ?? 0), 0) / total;
  const [sure, right] = [mean(confidence), mean(accuracy)];
  const verdict =
    Math.abs(sure - right) < 0.01
      ? "about as sure as it should be"
      : sure > right
        ? "surer than it should be"
        : "less sure than it should be";
  const note = element(
    "div",
    { class: "beside" },
    element("p", { class: "large" }, "ECE ", element("b", {}, percent(error, 2))),
  );
  if (total) {
    note.append(
      element(
        "p",
        {},
        `On average the network gives its answer ${percent(sure)} and is right in ${percent(right)}: ${verdict}.`,
      ),
    );
  }
  note.append(
    element("p", { class: "key accuracy" }, "accuracy of the answers of this confidence"),
    element(
      "p",
      { class: "key gap" },
      "distance from their mean confidence; the expected calibration error is its mean over all pictures",
    ),
    element("p", { class: "key pictures" }, "how many pictures got such an answer"),
    element(
      "p",
      { class: "note" },
      "On the dashed line confidence and accuracy agree. A bar that ends below it means answers that are surer than they are right.",
    ),
  );
  return note;
}
