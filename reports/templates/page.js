"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const hidden = new Set();
  const drawn = new Map();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // Plotly reads a little HTML in texts; names are shown as they are.
  const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  // As on the page: never rounded up to 100 or down to 0.
  const points = (v) => v > 0 && v < 0.0005 ? "<0.1" : v >= 0.9995 && v < 1 ? ">99.9" : (100 * v).toFixed(1);
  const share = (v) => points(v) + " %";
  const plain = (v) => Number(v).toLocaleString("en", { maximumSignificantDigits: 4 });

  function tint(colour, opacity) {
    const n = parseInt(colour.slice(1), 16);
    return `rgba(${n >> 16},${(n >> 8) & 255},${n & 255},${opacity})`;
  }

  function hover(panel, line, i) {
    const tick = panel.x.ticks.find((t) => t[0] === line.x[i]);
    const y = line.y[i];
    let text = `<b>${safe(data.series[line.s].name)}</b><br>${safe(panel.x.label)}: ${safe(tick ? tick[1] : plain(line.x[i]))}`;
    text += `<br>${panel.y.percent ? share(y) : safe(panel.y.label) + ": " + plain(y)}`;
    const end = panel.y.percent ? share : plain;
    if (line.low) text += ` (${end(line.low[i])} to ${end(line.high[i])})`;
    if (line.each) text += `<br>each: ${line.each[i].slice(0, 10).map(points).join(", ")}`;
    if (line.seeds) text += `<br>${line.seeds[i]} seed${line.seeds[i] === 1 ? "" : "s"}`;
    if (line.tests && line.tests[i]) text += `, ${plain(line.tests[i])} problems each`;
    if (line.run) text += `<br>run ${safe(line.run)}`;
    return text;
  }

  // Runs of one series become one trace with gaps: hundreds of traces would be slow.
  function merged(lines) {
    const out = [], open = new Map();
    for (const line of lines) {
      if (line.kind !== "thin") { out.push({ line, x: line.x, y: line.y, at: line.x.map((_, i) => [line, i]) }); continue; }
      let group = open.get(line.s);
      if (!group) { group = { line, x: [], y: [], at: [] }; open.set(line.s, group); out.push(group); }
      group.x.push(...line.x, null); group.y.push(...line.y, null);
      group.at.push(...line.x.map((_, i) => [line, i]), null);
    }
    return out;
  }

  function traces(panel) {
    const palette = dark.matches ? data.dark : data.light;
    const out = [];
    for (const { line, x, y, at } of merged(panel.lines)) {
      const look = data.series[line.s], colour = palette[look.colour], few = line.kind !== "flat" && x.length <= data.bars;
      const base = { type: "scatter", meta: line.s, visible: !hidden.has(line.s), showlegend: false };
      if (line.low && !few) {
        out.push({ ...base, x: [...x, ...[...x].reverse()], y: [...line.high, ...[...line.low].reverse()],
          fill: "toself", mode: "none", fillcolor: tint(colour, 0.14), hoverinfo: "skip" });
      }
      const points = line.kind === "points" || (line.kind === "line" && few);
      const trace = { ...base, x, y, mode: line.kind === "points" ? "markers" : points ? "lines+markers" : "lines",
        text: at.map((p) => p ? hover(panel, ...p) : ""), hoverinfo: "text", connectgaps: false,
        line: { color: colour, width: line.kind === "thin" ? 1.2 : 2, dash: data.dashes[look.dash] },
        opacity: line.kind === "thin" ? 0.8 : 1,
        marker: { color: colour, symbol: data.markers[look.marker], size: 9 } };
      if (line.low && few) {
        trace.error_y = { type: "data", symmetric: false, array: line.high.map((v, i) => v - y[i]),
          arrayminus: line.low.map((v, i) => y[i] - v), thickness: 1.4, width: 3, color: colour };
      }
      if (line.each && few) {
        const spots = line.each.flatMap((values, i) => values.map((v) => [x[i], v]));
        out.push({ ...base, x: spots.map((p) => p[0]), y: spots.map((p) => p[1]), mode: "markers", hoverinfo: "skip",
          marker: { color: colour, size: 4, opacity: 0.55 } });
      }
      out.push(trace);
      if (line.ring !== undefined) {
        out.push({ ...base, x: [x[line.ring]], y: [y[line.ring]], mode: "markers", hoverinfo: "text",
          text: [hover(panel, line, line.ring) + (line.kind === "points" ? "<br>on the Pareto front" : "<br>as in training")],
          marker: { symbol: data.markers[look.marker], ...(line.kind === "points" ? { size: 16, color: "rgba(0,0,0,0)" } : { size: 12, color: css("--bg") }), line: { color: colour, width: 2 } } });
      }
    }
    return out;
  }

  function axis(a, values) {
    const out = { title: { text: safe(a.label), standoff: 8 }, type: a.log ? "log" : "linear", gridcolor: css("--grid"),
      linecolor: css("--line"), zeroline: false, automargin: true };
    if (a.ticks.length) { out.tickmode = "array"; out.tickvals = a.ticks.map((t) => t[0]); out.ticktext = a.ticks.map((t) => safe(t[1])); out.tickangle = 0; }
    else if (a.percent) { out.tickmode = "array"; out.tickvals = [0, .2, .4, .6, .8, 1]; out.ticktext = ["0", "20", "40", "60", "80", "100"]; }
    else { out.exponentformat = "SI"; out.minexponent = 4; out.nticks = 6; }
    const [low, high] = a.range;
    if (a.percent) { out.range = [-0.04, 1.04]; return out; }
    let ends = values.filter((v) => v !== null && (!a.log || v > 0));
    if (low !== null && (!a.log || low > 0)) ends.push(low);
    if (high !== null) ends.push(high);
    if (!ends.length) return out;
    ends = [ends.reduce((p, q) => Math.min(p, q)), ends.reduce((p, q) => Math.max(p, q))].map((v) => a.log ? Math.log10(v) : v);
    // An axis that ends at a given value leaves spikes beyond it out.
    if (high !== null && (!a.log || high > 0)) ends[1] = a.log ? Math.log10(high) : high;
    const pad = ends[1] > ends[0] ? 0.05 * (ends[1] - ends[0]) : 0.5;
    out.range = [ends[0] - pad, ends[1] + pad];
    return out;
  }

  function layout(panel) {
    const all = (key) => panel.lines.flatMap((l) => l[key]);
    const shapes = panel.marks.map(([a, v]) => ({ type: "line", xref: a === "x" ? "x" : "paper", yref: a === "x" ? "paper" : "y",
      x0: a === "x" ? v : 0, x1: a === "x" ? v : 1, y0: a === "x" ? 0 : v, y1: a === "x" ? 1 : v, layer: "below",
      line: { color: css("--soft"), width: 1, dash: "dot" } }));
    const annotations = panel.marks.map(([a, v, text]) => ({ text: safe(text), showarrow: false, font: { size: 11, color: css("--soft") },
      xref: a === "x" ? "x" : "paper", yref: a === "x" ? "paper" : "y", xanchor: a === "x" ? "center" : "left", yanchor: "bottom",
      x: a === "x" ? (panel.x.log ? Math.log10(v) : v) : 0, y: a === "x" ? 1.0 : v }));
    return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 12, color: css("--fg") },
      margin: { l: 52, r: 12, t: panel.marks.some((m) => m[0] === "x") ? 18 : 8, b: 40 }, hovermode: "closest", dragmode: "zoom", showlegend: false, shapes, annotations,
      hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { color: css("--fg"), size: 12 }, align: "left" },
      xaxis: axis(panel.x, all("x")), yaxis: axis(panel.y, all("y")) };
  }

  async function unpack() {
    const bytes = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    return window.Plotly;
  }
  let loading = null;
  // A browser too old to unpack the library keeps the static pictures.
  const plotly = () => (loading ||= "DecompressionStream" in window ? unpack() : Promise.resolve(null));

  async function draw(box) {
    const tool = await plotly();
    if (!tool) return;
    const panel = data.figures[box.dataset.figure].panels[+box.dataset.panel];
    let live = drawn.get(box);
    if (!live) {
      live = document.createElement("div");
      live.className = "live";
      box.append(live);
      box.classList.add("drawn");
      drawn.set(box, live);
    }
    const name = box.querySelector("svg.static").getAttribute("aria-label");
    live.setAttribute("role", "img");
    live.setAttribute("aria-label", name);
    tool.react(live, traces(panel), layout(panel), { responsive: true, displayModeBar: false });
  }

  const boxes = [...document.querySelectorAll(".plot")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "300px" });
  // The static pictures are there at once; the large library is read only after them.
  addEventListener("load", () => setTimeout(() => boxes.forEach((box) => seen.observe(box)), 30));
  dark.addEventListener("change", () => drawn.forEach((_, box) => draw(box)));

  const toggles = [...document.querySelectorAll("[data-toggle]")];
  function apply() {
    hidden.clear();
    for (const box of toggles) if (!box.checked) hidden.add(+box.dataset.toggle);
    for (const part of document.querySelectorAll("[data-series]")) {
      const off = hidden.has(+part.dataset.series);
      if (part instanceof SVGElement) part.style.display = off ? "none" : "";
      else part.classList.toggle("off", off), refresh(part);
    }
    drawn.forEach((live) => window.Plotly.restyle(live, { visible: live.data.map((t) => !hidden.has(t.meta)) }));
    count();
  }
  function refresh(part) { part.hidden = part.classList.contains("off") || part.classList.contains("unmatched"); }
  toggles.forEach((box) => box.addEventListener("change", apply));
  document.querySelectorAll("[data-all]").forEach((b) => b.addEventListener("click", () => {
    toggles.forEach((box) => { box.checked = b.dataset.all === "1"; });
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
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        rows.sort(([a], [b]) => missing(a) || missing(b) ? compare(a, b) : up ? compare(a, b) : compare(b, a));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  const filter = document.getElementById("filter"), output = document.getElementById("shown");
  const runs = [...document.querySelectorAll("#runs-table tbody tr")];
  function count() {
    const n = runs.filter((row) => !row.hidden).length;
    output.textContent = `${n} of ${runs.length} runs`;
  }
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of runs) {
      const text = row.textContent.toLowerCase();
      row.classList.toggle("unmatched", !words.every((word) => text.includes(word)));
      refresh(row);
    }
    count();
  });
  // Which networks are shown, and which runs, stays in the address, which can be given to others.
  const kept = new URLSearchParams(location.search);
  if (kept.has("hide")) {
    const names = new Set(kept.getAll("hide"));
    for (const box of toggles) box.checked = !names.has(data.series[+box.dataset.toggle].name);
  }
  if (kept.has("runs")) { filter.value = kept.get("runs"); filter.dispatchEvent(new Event("input")); }
  function keep() {
    const said = new URLSearchParams();
    for (const i of hidden) said.append("hide", data.series[i].name);
    if (filter.value) said.set("runs", filter.value);
    const text = String(said);
    try { history.replaceState(null, "", (text ? "?" + text : location.pathname) + location.hash); } catch { /* a page that has no address */ }
  }
  toggles.forEach((box) => box.addEventListener("change", keep));
  document.querySelectorAll("[data-all]").forEach((b) => b.addEventListener("click", keep));
  filter.addEventListener("input", keep);
  // A box may have been unticked before this script ran: by a reader while the page loaded, or by a browser that reloads it.
  apply();

  if (matchMedia("(max-width: 720px)").matches) document.querySelector("#contents details").open = false;

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
  addEventListener("beforeprint", () => document.querySelectorAll("details.part").forEach((one) => { one.open = true; }));

  // A strip of answers becomes a picture to scrub through; without scripts it stays a strip.
  for (const figure of document.querySelectorAll(".film")) {
    const iterations = figure.dataset.iterations.split(",").map(Number), last = iterations.length - 1;
    const said = figure.querySelector("output"), strip = figure.querySelector(".strip");
    const player = document.createElement("div"), controls = document.createElement("div");
    const play = document.createElement("button"), slider = document.createElement("input");
    player.className = "player"; controls.className = "controls";
    player.setAttribute("role", "img");
    player.style.backgroundImage = `url(${strip.querySelector("img").src})`;
    player.style.backgroundSize = `${100 * (last + 1)}% 100%`;
    player.style.aspectRatio = figure.dataset.ratio;
    Object.assign(slider, { type: "range", min: 0, max: last, value: last });
    slider.setAttribute("aria-label", "iterations");
    play.type = "button"; play.textContent = "Play";
    let timer = 0;
    // The first frame after a perturbation stands at the iteration of the frame before it.
    const perturbed = figure.dataset.perturbed === undefined ? Infinity : Number(figure.dataset.perturbed);
    const since = (i) => i < perturbed ? "" : `, ${iterations[i] - iterations[perturbed]} after ${figure.dataset.event}`;
    const show = () => {
      const i = Number(slider.value), words = `${iterations[i]} iteration${iterations[i] === 1 ? "" : "s"}${since(i)}`;
      player.classList.toggle("after", i >= perturbed);
      player.style.backgroundPositionX = `${(100 * i) / last}%`;
      player.setAttribute("aria-label", `Answer after ${words}`);
      said.textContent = `after ${words}`;
      slider.setAttribute("aria-valuetext", words);
    };
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      if (Number(slider.value) === last) slider.value = 0;
      play.textContent = "Stop"; show();
      timer = setInterval(() => { slider.value = Number(slider.value) + 1; show(); if (Number(slider.value) === last) stop(); }, 180);
    });
    slider.addEventListener("input", () => { stop(); show(); });
    const track = document.createElement("div");
    track.className = "track";
    track.append(slider);
    if (perturbed <= last) {
      // Between the two frames; the ends of the track are half a handle from those of the slider.
      const mark = document.createElement("span"), share = (perturbed - 0.5) / last;
      mark.className = "event";
      mark.style.left = `calc(${100 * share}% + ${8 - 16 * share}px)`;
      mark.title = figure.dataset.event;
      track.append(mark);
    }
    controls.append(play, track);
    strip.replaceWith(player, controls);
    show();
  }
})();
