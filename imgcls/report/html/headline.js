// What was evaluated, and how it did in a few numbers.

function originEntries(summary) {
  return Object.entries(summary)
    .filter(([name, value]) => value && (typeof value === "string" || name === "left_out"))
    .map(([name, value]) => [name.replace("_", " "), String(value)])
    .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", { title: value }, value)));
}

function tiles(summary, classes) {
  const accuracies = Object.keys(summary).filter((name) => /^top\d+$/.test(name));
  return [
    ...accuracies.map((name) => tile(name, name.replace("top", "top-"), percent(summary[name], 2), summary[name])),
    tile("loss", "loss", summary.loss === null ? DASH : summary.loss.toFixed(4), summary.loss),
    tile(
      "mean_class_accuracy",
      "mean over classes",
      percent(summary.mean_class_accuracy, 2),
      summary.mean_class_accuracy,
    ),
    tile(
      "expected_calibration_error",
      "calibration error",
      percent(summary.expected_calibration_error, 2),
      summary.expected_calibration_error,
    ),
    tile("pictures", count(classes, "class", "classes"), count(summary.pictures, "picture"), summary.pictures),
  ];
}

function tile(name, label, text, value) {
  const attributes = { class: "tile", "data-name": name, title: `${name}: ${value}` };
  return element("div", attributes, element("b", {}, text), element("span", {}, label));
}
