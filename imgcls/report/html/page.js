// Everything in its place.

function draw(data) {
  const place = (selector) => document.querySelector(selector);
  place("#origin").append(...originEntries(data.summary));
  place("#headline").append(...tiles(data.summary, data.names.length));

  if (data.panels.length) place("#curves .panels").append(...data.panels.map(lineChart));
  else place("#curves").remove();

  place("#confusion .matrix").append(...confusionMatrix(data));
  place("#confusion .pairs").append(...commonestMistakes(data));

  place("#reliability .columns").append(
    reliabilityDiagram(data.reliability),
    reliabilityNote(data.reliability, data.summary.expected_calibration_error),
  );

  const { table, search } = classTable(classRows(data));
  place("#classes .scroll").append(table);
  if (data.names.length > 20) place("#classes .tools").append(search);

  if (data.mistakes.length)
    place("#mistakes .cards").append(...data.mistakes.map((mistake) => mistakeCard(mistake, data.names)));
  else
    place("#mistakes .note").textContent = data.cells.some(([label, predicted]) => label !== predicted)
      ? "The pictures are made up; none is shown."
      : "There are none.";
}

draw(JSON.parse(document.getElementById("data").textContent));
