// Pictures that were taken for something else, and what was looked at.

function mistakeCard({ path, label, predicted, scores, picture, overlay }, names) {
  return element(
    "article",
    { class: "card" },
    element(
      "div",
      { class: "pair" },
      photo(picture, "the picture"),
      ...(overlay ? [photo(overlay, `where the network saw ${names[predicted]}`)] : []),
    ),
    answer("taken for", names[predicted], scores[0], "wrong"),
    answer("is", names[label], scores[1], "true"),
    element("p", { class: "path", title: path }, path.split("/").pop()),
  );
}

function photo(jpeg, alt) {
  return element("img", { src: `data:image/jpeg;base64,${jpeg}`, alt });
}

function answer(verb, name, score, kind) {
  return element(
    "p",
    { class: `answer ${kind}` },
    element("span", {}, verb),
    element("b", { title: name }, name),
    element("em", {}, percent(score)),
  );
}
