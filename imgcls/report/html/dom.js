// Elements and numbers. Text enters the page as text nodes only, never as markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const DASH = "\u2013";

function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function percent(share, digits = 1) {
  return share === null ? DASH : `${(100 * share).toFixed(digits)}\u00a0%`;
}

function count(number, singular, plural = `${singular}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? singular : plural}`;
}

function short(number) {
  const rounded = Number(number.toPrecision(3));
  return rounded && Math.abs(rounded) < 1e-4 ? rounded.toExponential() : String(rounded);
}

// Round numbers that divide a range into about `wanted` parts.
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const result = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number++) {
    result.push(number * step);
  }
  return result;
}
