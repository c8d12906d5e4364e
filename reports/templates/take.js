"use strict";
// Tables and figures to take along: a table as text for a paper, a figure as a picture that stands for itself.
(() => {
  const button = (text, label, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.setAttribute("aria-label", label);
    made.addEventListener("click", () => act(made));
    return made;
  };
  const words = (cell) => cell.innerText.replace(/\s*\n\s*/g, " ").replace(/[\t\u00a0]/g, " ").trim();

  // The rows that are shown, as lists of texts; a cell over several columns is followed by empty ones.
  const rows = (part) => [...part.rows].filter((row) => !row.hidden && row.offsetParent !== null)
    .map((row) => [...row.cells].flatMap((cell) => [words(cell), ...Array(cell.colSpan - 1).fill("")]));
  const quoted = (text) => {
    const plain = /^[=+\-@]./.test(text) && !/^[+-]?[\d.]/.test(text) ? `'${text}` : text; // no formula for a spreadsheet
    return /[",\n]/.test(plain) ? `"${plain.replace(/"/g, '""')}"` : plain;
  };
  const escaped = (text) => text.replace(/[\\{}$&#%_~^]/g, (sign) =>
    ({ "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" })[sign] || `\\${sign}`);
  const texts = {
    Markdown: (head, body) => [head, head.map(() => "---"), ...body]
      .map((row) => `| ${row.map((text) => text.replace(/\|/g, "\\|")).join(" | ")} |`).join("\n"),
    LaTeX: (head, body) => [`\\begin{tabular}{l${"r".repeat(head.length - 1)}}`, "\\toprule",
      `${head.map(escaped).join(" & ")} \\\\`, "\\midrule", ...body.map((row) => `${row.map(escaped).join(" & ")} \\\\`),
      "\\bottomrule", "\\end{tabular}"].join("\n"),
    CSV: (head, body) => [head, ...body].map((row) => row.map(quoted).join(",")).join("\r\n"),
  };

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return; } catch { /* not allowed: the old way */ }
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("not copied");
  }
  for (const table of document.querySelectorAll("main .scroll > table:not(.map)")) {
    const line = document.createElement("p");
    line.className = "take";
    line.append("Copy as ");
    for (const [kind, write] of Object.entries(texts)) {
      line.append(button(kind, `Copy this table as ${kind}`, async (pressed) => {
        const text = write(rows(table.tHead).at(-1), [...table.tBodies].flatMap(rows));
        try { await copy(text); pressed.textContent = "Copied"; } catch { pressed.textContent = "Not allowed here"; }
        setTimeout(() => { pressed.textContent = kind; }, 1500);
      }), " ");
    }
    table.parentElement.after(line);
  }

  const drawing = "http://www.w3.org/2000/svg";
  const looks = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "paint-order", "opacity", "font-size", "font-family"];
  const made = (name, attributes, text = "") => {
    const node = document.createElementNS(drawing, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };
  // A copy without what is hidden, with the look that the page's style gives it or, to be printed from
  // the page, with its style. Names of lines stand also where the page has no room for them.
  function standing(node, printed) {
    const copy = node.cloneNode(true), from = [node, ...node.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
    from.forEach((one, i) => {
      const style = getComputedStyle(one);
      if ((style.display === "none" && !one.classList.contains("named")) || one.classList.contains("picked")) { to[i].remove(); return; }
      if (printed) return;
      for (const name of looks) to[i].setAttribute(name, style.getPropertyValue(name));
      to[i].removeAttribute("class");
      to[i].removeAttribute("style");
    });
    return copy;
  }
  function wrapped(text, most) {
    const lines = [""];
    for (const word of text.split(/\s+/)) {
      if ((lines.at(-1) + " " + word).length > most) lines.push("");
      lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
    }
    return lines;
  }

  // Title, panels and legend of a figure as one picture. printed: with the page's style, not today's look.
  function picture(figure, printed) {
    const panels = [...figure.querySelectorAll(".panel:not([hidden])")], style = getComputedStyle(document.body);
    const text = { fill: printed ? "var(--fg)" : style.color, "font-family": "system-ui, sans-serif" };
    const columns = panels.length === 4 ? 2 : Math.min(panels.length, 3), { width: wide, height: high } = panels[0].querySelector("svg").viewBox.baseVal;
    // Each column has the room that the names of its lines take.
    const rooms = Array.from({ length: columns }, (_, column) =>
      wide + Math.max(0, ...panels.filter((_, i) => i % columns === column).map((panel) => wide * (panel.dataset.room || 0))));
    const starts = rooms.map((_, column) => rooms.slice(0, column).reduce((sum, room) => sum + room, 0));
    const width = Math.max(Math.ceil(starts.at(-1) + rooms.at(-1)), 380), parts = [];
    let top = 10;
    for (const line of wrapped(figure.querySelector(":scope > :is(h3,h4)").innerText, Math.floor(width / 9.3))) {
      top += 18;
      parts.push(made("text", { ...text, x: 10, y: top, "font-size": 15, "font-weight": 600 }, line));
    }
    top += 12;
    panels.forEach((panel, i) => {
      const x = starts[i % columns], y = top + Math.floor(i / columns) * (high + 24), title = panel.querySelector("h4,h5");
      if (title) parts.push(made("text", { ...text, x: x + wide / 2, y: y + 14, "font-size": 13, "font-weight": 600, "text-anchor": "middle" }, title.innerText));
      const copy = standing(panel.querySelector("svg"), printed);
      for (const [key, value] of Object.entries({ x, y: y + 20, width: wide, height: high, overflow: "visible" })) copy.setAttribute(key, value);
      Object.assign(copy.style, { width: `${wide}px`, height: `${high}px` });
      parts.push(copy);
    });
    top += Math.ceil(panels.length / columns) * (high + 24) + 14;
    const named = figure.classList.contains("named"); // its lines say their names themselves
    let across = 10;
    const there = new Set([...figure.querySelectorAll("svg [data-series]")].filter((g) => g.style.display !== "none").map((g) => g.dataset.series));
    for (const key of document.querySelectorAll("#toggles label")) {
      if (named || !there.has(key.querySelector("input").dataset.toggle)) continue;
      const name = key.innerText.trim(), room = 44 + name.length * 7.2;
      if (across > 10 && across + room > width) { across = 10; top += 20; }
      const swatch = standing(key.querySelector("svg"), printed);
      for (const [at, value] of Object.entries({ x: across, y: top - 11, width: 28, height: 14 })) swatch.setAttribute(at, value);
      parts.push(swatch, made("text", { ...text, x: across + 34, y: top, "font-size": 12 }, name));
      across += room;
    }
    top += named ? -8 : 14;
    const whole = made("svg", { xmlns: drawing, width, height: top, viewBox: `0 0 ${width} ${top}` });
    whole.append(made("rect", { width, height: top, fill: printed ? "none" : style.backgroundColor }), ...parts);
    return { width, height: top, whole, text: new XMLSerializer().serializeToString(whole) };
  }
  function save(blob, name) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  const SHARP = 3; // pixels of a saved picture to a pixel of the page
  async function raster({ width, height, text }) {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: SHARP * width, height: SHARP * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }
  // By the browser's own printing, which writes PDF of lines and letters: the page is this figure alone.
  function printed(figure) {
    const { width, height, whole } = picture(figure, true), { title } = document, root = document.documentElement;
    const alone = Object.assign(document.createElement("div"), { id: "alone" }), paper = document.createElement("style");
    paper.textContent = `@page{size:${width}px ${height + 2}px;margin:0}`; // a browser may round
    alone.append(paper, whole);
    document.body.append(alone);
    root.classList.add("alone");
    document.title = figure.id; // what the file is called
    addEventListener("afterprint", () => { alone.remove(); root.classList.remove("alone"); document.title = title; }, { once: true });
    print();
  }
  for (const place of document.querySelectorAll("figure .take")) {
    const figure = place.closest("figure");
    place.append(
      button("SVG", `Save figure ${figure.id} as SVG`, () => save(new Blob([picture(figure).text], { type: "image/svg+xml" }), `${figure.id}.svg`)), " ",
      button("PNG", `Save figure ${figure.id} as PNG`, async () => save(await raster(picture(figure)), `${figure.id}.png`)), " ",
      button("PDF", `Print figure ${figure.id} alone, to save as PDF`, () => printed(figure)), " ");
  }
})();
