"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const chart = document.getElementById("chart");
const detail = document.getElementById("detail");
const search = document.getElementById("search");
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 15, 30].map(n => n * SECOND), ...[1, 2, 5, 15, 30].map(n => n * MINUTE),
  ...[1, 3, 6, 12].map(n => n * HOUR), ...[1, 2, 7, 14, 30, 90, 180, 365].map(n => n * DAY),
];
const PADDING = Math.max((data.end - data.begin) * 0.015, 500);
const WHOLE = { from: data.begin - PADDING, to: data.end + PADDING };
const view = { ...WHOLE };
let chosen = null;
let width = 0;
let left = 0;

const pixels = at => left + (at - view.from) / (view.to - view.from) * (width - left);
const two = number => String(number).padStart(2, "0");

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function html(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function written(at, step) {
  const on = new Date(at);
  const day = `${on.getUTCDate()} ${on.toLocaleString("en", { month: "short", timeZone: "UTC" })}`;
  const time = `${two(on.getUTCHours())}:${two(on.getUTCMinutes())}`;
  if (step >= 30 * DAY) return `${day} ${on.getUTCFullYear()}`;
  if (step >= DAY || (at % DAY === 0)) return day;
  return step < MINUTE ? `${time}:${two(on.getUTCSeconds())}` : time;
}

function axis(svg, height) {
  const most = Math.max(2, Math.floor((width - left) / 90));
  const span = view.to - view.from;
  const step = STEPS.find(one => span / one <= most) || 365 * DAY;
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const x = pixels(at);
    svg.append(element("line", { class: "grid", x1: x, x2: x, y1: 18, y2: height }));
    if (x < width - 42) svg.append(element("text", { x: x + 2, y: 12 }, written(at, step)));
  }
}

function clusters() {
  const seen = data.events.filter(one => one.at >= view.from && one.at <= view.to);
  const found = [];
  for (const one of seen) {
    const last = found[found.length - 1];
    if (last && pixels(one.at) - last.x < 20) last.events.push(one);
    else found.push({ x: pixels(one.at), events: [one] });
  }
  return found;
}

function toneOf(events) {
  return ["bad", "change", "good", "quiet"].find(tone => events.some(one => one.tone === tone));
}

function marks(svg, y) {
  for (const { x, events } of clusters()) {
    const many = events.length > 1;
    const has = events.some(one => one.position === chosen);
    const mark = element("circle", {
      class: `mark ${toneOf(events)}${has ? " chosen" : ""}`, cx: x, cy: y, r: many ? 9 : 6,
      "data-positions": events.map(one => one.position).join(" "),
    });
    mark.append(element("title", {}, many ? `${events.length} events` : events[0].text));
    mark.addEventListener("click", () => (many ? offer(events) : choose(events[0].position)));
    svg.append(mark);
    if (many) {
      const count = events.length > 99 ? "99+" : events.length;
      svg.append(element("text", { class: "count", x, y: y + 4 }, count));
    }
  }
}

function bands(svg, row, y, height) {
  for (const one of row.bands) {
    if (one.end < view.from || one.begin > view.to) continue;
    const from = Math.max(left, pixels(one.begin));
    const to = Math.min(width, one.lasts ? pixels(WHOLE.to) : pixels(one.end));
    const rect = element("rect", {
      class: `band ${one.kind}`, x: from, y, width: Math.max(3, to - from), height, rx: 4,
    });
    rect.append(element("title", {}, one.label));
    rect.addEventListener("click", () => choose(one.position, one));
    svg.append(rect, element("rect", { class: `edge ${one.kind}`, x: from, y, width: 3, height }));
    const room = Math.floor((to - from - 10) / 6.5);
    const label = one.label.length > room ? `${one.label.slice(0, room - 1)}…` : one.label;
    if (room > 3) {
      svg.append(element("text", { class: "inside", x: from + 6, y: y + height - 6 }, label));
    }
  }
}

function draw() {
  width = chart.clientWidth;
  const isNarrow = width < 600;
  left = isNarrow ? 10 : 96;
  const [line, bar] = isNarrow ? [38, 20] : [27, 21];
  const height = 60 + data.rows.length * line;
  const svg = element("svg", { height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  axis(svg, height);
  if (!isNarrow) svg.append(element("text", { x: 0, y: 40 }, "Events"));
  data.rows.forEach((row, at) => {
    const top = 58 + at * line;
    const isFirst = at === 0 || data.rows[at - 1].group !== row.group;
    const label = isNarrow && row.group !== row.label ? `${row.group}: ${row.label}` : row.group;
    if (isFirst || isNarrow) {
      svg.append(element("text", { x: 0, y: isNarrow ? top + 11 : top + 15 }, label));
    }
    bands(svg, row, isNarrow ? top + 15 : top, bar);
  });
  const current = data.events.find(one => one.position === chosen);
  if (current && current.at >= view.from && current.at <= view.to) {
    const x = pixels(current.at);
    svg.append(element("line", { class: "cursor", x1: x, x2: x, y1: 46, y2: height }));
  }
  marks(svg, 36);
  chart.replaceChildren(svg);
}

function offer(events) {
  const buttons = events.slice(0, 50).map(one => {
    const button = html("button", `${new Date(one.at).toISOString().slice(11, 19)}  ${one.text}`);
    button.type = "button";
    button.addEventListener("click", () => choose(one.position));
    return button;
  });
  detail.replaceChildren(html("strong", `${events.length} events`), ...buttons);
  if (events.length > buttons.length) detail.append(html("p", "Zoom in to see the others."));
  detail.hidden = false;
}

function choose(position, band) {
  chosen = position;
  document.querySelector(".event.chosen")?.classList.remove("chosen");
  const item = document.getElementById(`e${position}`);
  item?.classList.add("chosen");
  const title = item?.querySelector(".what").textContent;
  const parts = [html("strong", title || `Event ${position}, which is not on this page`)];
  if (band) {
    const until = band.lasts ? "it lasts" : new Date(band.end).toISOString();
    parts[0].textContent = `${band.label}: ${new Date(band.begin).toISOString()} to ${until}`;
    parts.push(html("p", title || ""));
  }
  if (item) {
    parts.push(item.querySelector(".facts").cloneNode(true));
    const link = html("a", `Event ${position} in the list`);
    link.href = `#e${position}`;
    link.addEventListener("click", () => { item.querySelector("details").open = true; });
    parts.push(link);
  }
  detail.replaceChildren(...parts);
  detail.hidden = false;
  draw();
}

function show(from, to) {
  const span = Math.min(Math.max(to - from, SECOND / 2), WHOLE.to - WHOLE.from);
  view.from = Math.min(Math.max(from, WHOLE.from), WHOLE.to - span);
  view.to = view.from + span;
  draw();
}

function zoom(factor, at = (view.from + view.to) / 2) {
  show(at - (at - view.from) * factor, at + (view.to - at) * factor);
}

function step(by) {
  const at = data.events.findIndex(one => one.position === chosen);
  const next = data.events[at < 0 ? (by > 0 ? 0 : data.events.length - 1) : at + by];
  if (!next) return;
  if (next.at < view.from || next.at > view.to) {
    const half = (view.to - view.from) / 2;
    show(next.at - half, next.at + half);
  }
  choose(next.position);
}

const deeds = {
  in: () => zoom(0.5), out: () => zoom(2), all: () => show(WHOLE.from, WHOLE.to),
  earlier: () => show(view.from - (view.to - view.from) / 3, view.to - (view.to - view.from) / 3),
  later: () => show(view.from + (view.to - view.from) / 3, view.to + (view.to - view.from) / 3),
  before: () => step(-1), after: () => step(1),
};
const keys = {
  ArrowLeft: "before", ArrowRight: "after", "+": "in", "=": "in", "-": "out", 0: "all",
};

document.querySelectorAll("[data-do]").forEach(button => {
  button.addEventListener("click", deeds[button.dataset.do]);
});
chart.addEventListener("keydown", event => {
  const deed = keys[event.key];
  if (!deed || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  deeds[deed]();
});
chart.addEventListener("wheel", event => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  const share = (event.clientX - chart.getBoundingClientRect().left - left) / (width - left);
  zoom(event.deltaY > 0 ? 1.25 : 0.8, view.from + share * (view.to - view.from));
}, { passive: false });

search.addEventListener("input", () => {
  const wanted = search.value.toLowerCase();
  document.querySelectorAll(".event").forEach(item => {
    item.hidden = !item.textContent.toLowerCase().includes(wanted);
  });
  document.querySelectorAll(".day").forEach(day => {
    day.hidden = !day.querySelector(".event:not([hidden])");
  });
});

search.hidden = false;
document.getElementById("drawing").hidden = false;
new ResizeObserver(draw).observe(chart);
draw();
