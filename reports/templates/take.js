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
  const looks = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font-size", "font-family"];
  const made = (name, attributes, text = "") => {
    const node = document.createElementNS(drawing, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };
  // A copy with the look that the page's style gives it, and without what is hidden.
  function standing(node) {
    const copy = node.cloneNode(true), from = [node, ...node.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
    from.forEach((one, i) => {
      const style = getComputedStyle(one);
      if (style.display === "none" || one.classList.contains("picked")) { to[i].remove(); return; }
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

  // Title, panels and legend of a figure as one picture.
  function picture(figure) {
    const panels = [...figure.querySelectorAll(".panel")], style = getComputedStyle(document.body);
    const text = { fill: style.color, "font-family": "system-ui, sans-serif" };
    const columns = Math.min(panels.length, 3), { width: wide, height: high } = panels[0].querySelector("svg").viewBox.baseVal;
    const width = Math.max(columns * wide, 380), parts = [];
    let top = 10;
    for (const line of wrapped(figure.querySelector("h4").innerText, Math.floor(width / 8))) {
      top += 18;
      parts.push(made("text", { ...text, x: 10, y: top, "font-size": 15, "font-weight": 600 }, line));
    }
    top += 12;
    panels.forEach((panel, i) => {
      const x = (i % columns) * wide, y = top + Math.floor(i / columns) * (high + 24), title = panel.querySelector("h5");
      if (title) parts.push(made("text", { ...text, x: x + wide / 2, y: y + 14, "font-size": 13, "font-weight": 600, "text-anchor": "middle" }, title.innerText));
      const copy = standing(panel.querySelector("svg"));
      for (const [key, value] of Object.entries({ x, y: y + 20, width: wide, height: high })) copy.setAttribute(key, value);
      parts.push(copy);
    });
    top += Math.ceil(panels.length / columns) * (high + 24) + 14;
    let across = 10;
    const there = new Set([...figure.querySelectorAll("svg [data-series]")].filter((g) => g.style.display !== "none").map((g) => g.dataset.series));
    for (const key of document.querySelectorAll("#toggles label")) {
      if (!there.has(key.querySelector("input").dataset.toggle)) continue;
      const name = key.innerText.trim(), room = 44 + name.length * 7.2;
      if (across > 10 && across + room > width) { across = 10; top += 20; }
      const swatch = standing(key.querySelector("svg"));
      for (const [at, value] of Object.entries({ x: across, y: top - 11, width: 28, height: 14 })) swatch.setAttribute(at, value);
      parts.push(swatch, made("text", { ...text, x: across + 34, y: top, "font-size": 12 }, name));
      across += room;
    }
    top += 14;
    const whole = made("svg", { xmlns: drawing, width, height: top, viewBox: `0 0 ${width} ${top}` });
    whole.append(made("rect", { width, height: top, fill: style.backgroundColor }), ...parts);
    return { width, height: top, text: new XMLSerializer().serializeToString(whole) };
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
  for (const place of document.querySelectorAll("figure .take")) {
    const figure = place.closest("figure");
    place.append(
      button("SVG", `Save figure ${figure.id} as SVG`, () => save(new Blob([picture(figure).text], { type: "image/svg+xml" }), `${figure.id}.svg`)), " ",
      button("PNG", `Save figure ${figure.id} as PNG`, async () => save(await raster(picture(figure)), `${figure.id}.png`)), " ");
  }
})();
