"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const hidden = new Set();
  // As on the page: never rounded up to 100 or down to 0.
  const points = (v) => v > 0 && v < 0.0005 ? "<0.1" : v >= 0.9995 && v < 1 ? ">99.9" : (100 * v).toFixed(1);
  const share = (v) => points(v) + " %";
  const plain = (v) => Number(v).toLocaleString("en", { maximumSignificantDigits: 4 });
  const drawing = "http://www.w3.org/2000/svg";

  // What is said of a point, by line.
  function words(panel, { line, i }) {
    const tick = panel.x.ticks.find((t) => t[0] === line.x[i]), end = panel.y.percent ? share : plain;
    let value = panel.y.percent ? share(line.y[i]) : `${panel.y.label}: ${plain(line.y[i])}`;
    if (line.low) value += ` (${end(line.low[i])} to ${end(line.high[i])})`;
    const said = [data.series[line.s].name, `${panel.x.label}: ${tick ? tick[1] : plain(line.x[i])}`, value];
    if (line.each) said.push(`each: ${line.each[i].slice(0, 10).map(points).join(", ")}`);
    const tests = line.tests && line.tests[i] ? `${plain(line.tests[i])} problems each` : "";
    const seeds = line.seeds ? `${line.seeds[i]} seed${line.seeds[i] === 1 ? "" : "s"}` : "";
    if (seeds || tests) said.push([seeds, tests].filter(Boolean).join(", "));
    if (line.run) said.push(`run ${line.run}`);
    if (line.ring === i) said.push(line.kind === "points" ? "on the Pareto front" : "as in training");
    return said;
  }

  // Where a value stands in the picture, in the picture's own units.
  function along(axis, v) {
    const [start, end, low, high] = axis.place, at = axis.log ? Math.log10(Math.max(v, 1e-300)) : v;
    return start + (end - start) * Math.min(1, Math.max(0, (at - low) / (high - low)));
  }

  const tip = document.createElement("div");
  tip.id = "tip"; tip.hidden = true; tip.setAttribute("role", "status");
  document.body.append(tip);
  const picked = document.createElementNS(drawing, "circle");
  picked.setAttribute("class", "picked"); picked.setAttribute("r", 8);

  // In a crowded picture the line pointed at stands out, with its band.
  function single(svg, line) {
    svg.classList.toggle("pointing", Boolean(line));
    for (const part of svg.querySelectorAll("g[data-series]")) part.classList.toggle("near", Boolean(line) && +part.dataset.series === line.s);
  }
  function forget() { tip.hidden = true; picked.remove(); document.querySelectorAll("svg.pointing").forEach((svg) => single(svg, null)); }
  for (const box of document.querySelectorAll(".plot")) {
    const svg = box.querySelector("svg"), panel = data.figures[box.dataset.figure].panels[+box.dataset.panel];
    const spots = panel.lines.flatMap((line) => line.x.map((v, i) => ({ line, i, x: along(panel.x, v), y: along(panel.y, line.y[i]) })));
    let here = null;
    const shown = () => spots.filter((spot) => !hidden.has(spot.line.s));
    function say(spot) {
      here = spot;
      if (!spot) { forget(); return; }
      if (svg.dataset.most) single(svg, spot.line);
      picked.setAttribute("cx", spot.x); picked.setAttribute("cy", spot.y);
      svg.append(picked);
      const [name, ...rest] = words(panel, spot).map((text) => Object.assign(document.createElement("div"), { textContent: text }));
      name.className = "who";
      tip.replaceChildren(name, ...rest);
      tip.hidden = false;
      const at = new DOMPoint(spot.x, spot.y).matrixTransform(svg.getScreenCTM()), size = tip.getBoundingClientRect();
      const left = at.x + 14 + size.width < innerWidth ? at.x + 14 : Math.max(4, at.x - 14 - size.width);
      tip.style.left = `${left + scrollX}px`;
      tip.style.top = `${Math.max(4, at.y - size.height - 10) + scrollY}px`;
    }
    const point = (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const far = (spot) => Math.hypot(spot.x - at.x, spot.y - at.y);
      const near = shown().reduce((best, spot) => !best || far(spot) < far(best) ? spot : best, null);
      say(near && far(near) < 40 ? near : null);
    };
    box.addEventListener("pointermove", point);
    box.addEventListener("pointerdown", point);
    box.addEventListener("pointerleave", () => say(null));
    box.addEventListener("blur", () => say(null));
    // With the keyboard: along a line, or to the nearest point of the next.
    box.tabIndex = 0;
    box.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") say(null);
      const all = shown();
      if (!move || !all.length) return;
      event.preventDefault();
      if (!here || hidden.has(here.line.s)) { say(all[0]); return; }
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        const next = all.find((spot) => spot.line === here.line && spot.i === here.i + move);
        if (next) say(next);
        return;
      }
      const lines = [...new Set(all.map((spot) => spot.line))];
      const line = lines[(lines.indexOf(here.line) + move + lines.length) % lines.length];
      say(all.filter((spot) => spot.line === line).reduce((best, spot) => Math.abs(spot.x - here.x) < Math.abs(best.x - here.x) ? spot : best));
    });
  }

  const toggles = [...document.querySelectorAll("[data-toggle]")];
  function apply() {
    hidden.clear();
    for (const box of toggles) if (!box.checked) hidden.add(+box.dataset.toggle);
    for (const part of document.querySelectorAll("[data-series]")) {
      const off = hidden.has(+part.dataset.series);
      if (part instanceof SVGElement) part.style.display = off ? "none" : "";
      else part.classList.toggle("off", off), refresh(part);
    }
    forget();
    for (const svg of document.querySelectorAll("svg[data-most]")) {
      const shown = [...svg.querySelectorAll("g[data-series]")].filter((part) => part.style.display !== "none");
      svg.classList.toggle("crowded", shown.length > +svg.dataset.most);
    }
    const said = document.getElementById("how-many");
    if (said) said.textContent = `${toggles.filter((box) => box.checked).length} of ${toggles.length}`;
    document.querySelectorAll("[data-family-of]").forEach((b) => {
      b.setAttribute("aria-pressed", toggles.some((box) => box.dataset.family === b.dataset.familyOf && box.checked));
    });
    count();
  }
  function refresh(part) {
    part.hidden = ["off", "unmatched", "elsewhere"].some((why) => part.classList.contains(why));
    if (part.nextElementSibling?.matches(".more")) part.nextElementSibling.hidden = part.hidden;
  }
  // One task or one study of those on the page: parts of others go, parts of none in particular stay.
  const choices = [...document.querySelectorAll("[data-filter]")];
  function narrow() {
    for (const part of document.querySelectorAll("[data-task], [data-study]")) {
      part.classList.toggle("elsewhere", choices.some(({ value, dataset: { filter: kind } }) =>
        value && kind in part.dataset && !part.dataset[kind].split(" ").includes(value)));
      refresh(part);
      // Who asks for a study wants to see it.
      if (part.matches(".task[data-study]:not([hidden])") && choices.some(({ value, dataset }) => value && dataset.filter === "study"))
        part.querySelector(":scope > details.part")?.setAttribute("open", "");
    }
    count();
  }
  choices.forEach((one) => one.addEventListener("change", () => { forget(); narrow(); }));
  toggles.forEach((box) => box.addEventListener("change", apply));
  document.querySelectorAll("[data-all]").forEach((b) => b.addEventListener("click", () => {
    toggles.forEach((box) => { box.checked = b.dataset.all === "1"; });
    apply();
  }));
  // All networks of a family go at once, or come back if none is shown.
  document.querySelectorAll("[data-family-of]").forEach((b) => b.addEventListener("click", () => {
    const mine = toggles.filter((box) => box.dataset.family === b.dataset.familyOf), any = mine.some((box) => box.checked);
    mine.forEach((box) => { box.checked = !any; });
    apply();
  }));

  function value(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
    const number = Number(text.replace(/,/g, ""));
    return text === "" || Number.isNaN(number) ? text : number;
  }
  const missing = (v) => v === "nan" || v === "–" || v === "";
  function compare(a, b) {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }
  // The row that says more of a row, if there is one.
  const more = (row) => row.nextElementSibling?.matches(".more") ? row.nextElementSibling : null;
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (head.classList.contains("fixed")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].filter((row) => !row.matches(".more")).map((row) => [value(row, column), row]);
        rows.sort(([a], [b]) => missing(a) || missing(b) ? compare(a, b) : up ? compare(a, b) : compare(b, a));
        body.append(...rows.flatMap(([, row]) => [row, more(row)].filter(Boolean)));
      });
    });
  }

  const filter = document.getElementById("filter"), output = document.getElementById("shown");
  const runs = [...document.querySelectorAll("#runs-table tbody tr:not(.more)")];
  function count() {
    const n = runs.filter((row) => !row.hidden).length;
    output.textContent = `${n} of ${runs.length} configuration${runs.length === 1 ? "" : "s"}`;
  }
  function search() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of runs) {
      const text = (row.textContent + " " + more(row).textContent).toLowerCase();
      row.classList.toggle("unmatched", !words.every((word) => text.includes(word)));
      refresh(row);
    }
    count();
  }
  filter.addEventListener("input", search);
  for (const row of runs) {
    const press = row.querySelector(".open");
    press.addEventListener("click", () => {
      const open = more(row).classList.toggle("open");
      press.setAttribute("aria-expanded", open);
      press.textContent = open ? "\u2212" : "+";
    });
  }
  // Which networks, task, study and runs are shown stays in the address, which can be given to others
  // and gone back to. all: what it does not name is as on a page just opened.
  function read(all) {
    const kept = new URLSearchParams(location.search), names = new Set(kept.getAll("hide"));
    if (all || names.size) for (const box of toggles) box.checked = !names.has(data.series[+box.dataset.toggle].name);
    for (const one of choices) {
      one.value = [...one.options].find((option) => option.value && option.text === kept.get(one.dataset.filter))?.value ?? "";
    }
    if (all || kept.has("runs")) filter.value = kept.get("runs") ?? "";
    search(); apply(); narrow();
  }
  function keep(event) {
    const said = new URLSearchParams();
    for (const i of hidden) said.append("hide", data.series[i].name);
    for (const one of choices) if (one.value) said.set(one.dataset.filter, one.selectedOptions[0].text);
    if (filter.value) said.set("runs", filter.value);
    const text = String(said);
    if (text === String(new URLSearchParams(location.search))) return;
    // Words are kept letter by letter, all else is a step to go back by.
    const way = event.target === filter ? "replaceState" : "pushState";
    try { history[way](null, "", (text ? "?" + text : location.pathname) + location.hash); } catch { /* a page that has no address */ }
  }
  [...toggles, ...choices].forEach((one) => one.addEventListener("change", keep));
  document.querySelectorAll("[data-all], [data-family-of]").forEach((b) => b.addEventListener("click", keep));
  filter.addEventListener("input", keep);
  addEventListener("popstate", () => read(true));
  // A box may have been unticked before this script ran: by a reader while the page loaded, or by a browser that reloads it.
  read(false);

  if (matchMedia("(max-width: 720px)").matches) document.querySelector("#contents details").open = false;

  // A link ends below what is sticky, however many lines that has.
  const sticky = document.getElementById("toggles");
  if (sticky) new ResizeObserver(() => {
    document.documentElement.style.scrollPaddingTop = `${sticky.offsetHeight + 8}px`;
  }).observe(sticky);

  // What a link points to is opened, with all that it is folded into, before the page goes there.
  function unfold() {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    place.querySelector(":scope > details.part")?.setAttribute("open", "");
    for (let up = place; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    place.scrollIntoView();
  }
  addEventListener("hashchange", unfold);
  if (location.hash) unfold();
  addEventListener("beforeprint", () => document.documentElement.classList.contains("alone") || document.querySelectorAll("details.part, details.fold").forEach((one) => { one.open = true; }));

  // A strip of answers becomes a picture to scrub through; without scripts it stays a strip.
  function film(figure) {
    const iterations = figure.dataset.iterations.split(",").map(Number), last = iterations.length - 1;
    const said = figure.querySelector("output"), strip = figure.querySelector(".strip");
    const player = document.createElement("div");
    player.className = "player";
    player.setAttribute("role", "img");
    player.style.backgroundImage = `url(${strip.querySelector("img").src})`;
    player.style.backgroundSize = `${100 * (last + 1)}% 100%`;
    player.style.aspectRatio = figure.dataset.ratio;
    strip.replaceWith(player);
    // The first frame after a perturbation stands at the iteration of the frame before it.
    const perturbed = figure.dataset.perturbed === undefined ? Infinity : Number(figure.dataset.perturbed);
    const since = (i) => i < perturbed ? "" : `, ${iterations[i] - iterations[perturbed]} after ${figure.dataset.event}`;
    const show = (i) => {
      const words = `${iterations[i]} iteration${iterations[i] === 1 ? "" : "s"}${since(i)}`;
      player.classList.toggle("after", i >= perturbed);
      player.style.backgroundPositionX = `${last ? (100 * i) / last : 0}%`;
      player.setAttribute("aria-label", `Answer after ${words}`);
      said.textContent = `after ${words}`;
      return words;
    };
    return { iterations, last, perturbed, player, show };
  }

  // A slider over frames 0..last with a button that plays them. show(i) shows one and says it in words.
  function controls(last, first, show) {
    const box = document.createElement("div"), play = document.createElement("button"), track = document.createElement("div");
    const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: last, value: first });
    box.className = "controls"; track.className = "track";
    slider.setAttribute("aria-label", "iterations");
    play.type = "button"; play.textContent = "Play";
    let timer = 0;
    const update = () => slider.setAttribute("aria-valuetext", show(Number(slider.value)));
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      if (Number(slider.value) === last) slider.value = 0;
      play.textContent = "Stop"; update();
      timer = setInterval(() => { slider.value = Number(slider.value) + 1; update(); if (Number(slider.value) === last) stop(); }, 180);
    });
    slider.addEventListener("input", () => { stop(); update(); });
    track.append(slider);
    box.append(play, track);
    update();
    return { box, track };
  }

  // Networks that answer one problem side by side have one slider, which begins at the first iteration.
  for (const beside of document.querySelectorAll(".beside")) {
    const films = [...beside.querySelectorAll(".film")].map(film), all = beside.dataset.iterations.split(",").map(Number);
    const { box } = controls(all.length - 1, 0, (i) => {
      for (const one of films) one.show(Math.max(0, one.iterations.findLastIndex((n) => n <= all[i])));
      return `${all[i]} iteration${all[i] === 1 ? "" : "s"}`;
    });
    beside.querySelector(".films").after(box);
  }
  for (const figure of document.querySelectorAll(".film:not(.beside .film)")) {
    const { last, perturbed, player, show } = film(figure);
    const { box, track } = controls(last, last, show);
    if (perturbed <= last) {
      // Between the two frames; the ends of the track are half a handle from those of the slider.
      const mark = document.createElement("span"), share = (perturbed - 0.5) / last;
      mark.className = "event";
      mark.style.left = `calc(${100 * share}% + ${8 - 16 * share}px)`;
      mark.title = figure.dataset.event;
      track.append(mark);
    }
    player.after(box);
  }
})();
