// Curves over epochs.

const CHART = { width: 360, height: 220, left: 46, right: 10, top: 10, bottom: 30 };
const MAX_DOTS = 60;
const SERIES = 6; // colours in page.css

function lineChart({ title, curves }) {
  const { width, height, left, right, top, bottom } = CHART;
  const format = title === "accuracy" ? percent : short;
  const points = Object.values(curves).flat();
  const [firstEpoch, lastEpoch] = extent(
    points.map(([epoch]) => epoch),
    0,
  );
  const [low, high] = extent(
    points.map(([, value]) => value),
    0.06,
  );
  const across = (epoch) => left + ((epoch - firstEpoch) / (lastEpoch - firstEpoch)) * (width - left - right);
  const down = (value) => height - bottom - ((value - low) / (high - low)) * (height - top - bottom);

  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title} over epochs` });
  for (const value of ticks(low, high, 5)) {
    svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: down(value), y2: down(value) }));
    const text = title === "accuracy" ? `${short(100 * value)}\u00a0%` : short(value);
    svg.append(shape("text", { class: "tick", x: left - 6, y: down(value) + 4, "text-anchor": "end" }, text));
  }
  for (const epoch of ticks(firstEpoch, lastEpoch, 6).filter(Number.isInteger)) {
    svg.append(
      shape(
        "text",
        { class: "tick", x: across(epoch), y: height - bottom + 16, "text-anchor": "middle" },
        String(epoch),
      ),
    );
  }
  svg.append(shape("text", { class: "tick", x: width - right, y: height - 1, "text-anchor": "end" }, "epoch"));
  const guide = shape("line", { class: "guide", y1: top, y2: height - bottom, visibility: "hidden" });
  svg.append(guide);

  const legend = element("div", { class: "legend" });
  Object.entries(curves).forEach(([name, values], number) => {
    const line = values.map(([epoch, value]) => `${across(epoch)},${down(value)}`).join(" ");
    const curve = shape("g", { class: `series-${number % SERIES}` }, shape("polyline", { points: line }));
    for (const [epoch, value] of values.length > MAX_DOTS ? [] : values) {
      curve.append(shape("circle", { cx: across(epoch), cy: down(value), r: 2.4 }));
    }
    svg.append(curve);
    legend.append(element("span", { class: `series-${number % SERIES}` }, name));
  });

  const epochs = [...new Set(points.map(([epoch]) => epoch))];
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const nearest = epochs.reduce((best, epoch) =>
      Math.abs(across(epoch) - x) < Math.abs(across(best) - x) ? epoch : best,
    );
    guide.setAttribute("x1", across(nearest));
    guide.setAttribute("x2", across(nearest));
    guide.setAttribute("visibility", "visible");
    const lines = Object.entries(curves).map(([name, values]) => [name, values.find(([epoch]) => epoch === nearest)]);
    const known = lines.filter(([, point]) => point).map(([name, [, value]]) => `${name}  ${format(value)}`);
    tooltip.show(event, [`epoch ${nearest}`, ...known]);
  });
  svg.addEventListener("pointerleave", () => {
    guide.setAttribute("visibility", "hidden");
    tooltip.hide();
  });
  return element("figure", {}, element("h3", {}, title), svg, legend);
}

// Smallest and largest, apart by a share of their distance, and apart at all where they are one.
function extent(values, margin) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  if (high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high)))
    return [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  return [low - (high - low) * margin, high + (high - low) * margin];
}
