// The one tooltip of the page: lines of text beside the pointer.

const tooltip = {
  show(event, lines) {
    const box = document.getElementById("tooltip");
    box.replaceChildren(...lines.map((line) => element("div", {}, line)));
    box.hidden = false;
    const left =
      event.clientX + 14 + box.offsetWidth > innerWidth ? event.clientX - 14 - box.offsetWidth : event.clientX + 14;
    const top =
      event.clientY + 14 + box.offsetHeight > innerHeight ? event.clientY - 14 - box.offsetHeight : event.clientY + 14;
    box.style.left = `${Math.max(0, left)}px`;
    box.style.top = `${Math.max(0, top)}px`;
  },
  hide() {
    document.getElementById("tooltip").hidden = true;
  },
};
