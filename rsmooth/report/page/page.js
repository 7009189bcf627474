"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, attributes = {}, text = "") => {
    const svg = ["svg", "path", "line", "text", "circle", "g"].includes(name);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== "") node.textContent = text; // never as HTML
    return node;
  };

  // Tables: sorted by the buttons in their heads; what has no value stays last.
  const SECONDS = { s: 1, min: 60, h: 3600 };
  const figure = (text) => {
    const found = /^[([]?(?:[≥>] |[^\d=]*=)?([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?:\/(\d+))?(?: (s|min|h)\b)?/i.exec(text);
    if (!found) return null;
    return (Number(found[1].replaceAll(",", "")) / (found[2] || 1)) * (SECONDS[found[3]] || 1);
  };
  const order = new Intl.Collator("en", { numeric: true }).compare;
  const sortBy = (table, head) => {
    const column = head.cellIndex, words = head.classList.contains("word");
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : !words;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => {
      const text = row.cells[column].textContent.trim();
      return [words ? (text === "-" ? null : text) : figure(text), row];
    });
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const sign = words ? order(a, b) : a - b;
      return down ? -sign : sign;
    });
    body.append(...keyed.map(([, row]) => row));
  };
  for (const table of all("table.data")) {
    for (const head of table.tHead.rows[0].cells) {
      head.querySelector("button").addEventListener("click", () => sortBy(table, head));
    }
  }

  // Filters: words that a row must hold, columns that must have a value, groups that are shown.
  const box = document.getElementById("filter"), count = document.getElementById("count");
  const choices = all("select[data-column]"), facets = all("select[data-facet]");
  const filtered = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of all("[data-group]")) {
      group.hidden = facets.some((each) => each.value && group.dataset[each.dataset.facet] !== each.value);
    }
    let shown = 0, rows = 0;
    for (const table of all("table.data")) {
      const own = choices.filter((each) => each.dataset.table === table.id && each.value);
      const away = table.closest("[data-group]")?.hidden;
      for (const row of table.tBodies[0].rows) {
        row.text ??= row.textContent.toLowerCase();
        const fits = words.every((word) => row.text.includes(word));
        row.hidden = !fits || own.some((each) => row.cells[each.dataset.column].textContent.trim() !== each.value);
        rows += 1;
        shown += !row.hidden && !away;
      }
    }
    const [some, every] = [shown, rows].map((each) => each.toLocaleString("en"));
    count.textContent = shown === rows ? `${every} rows` : `${some} of ${every} rows`;
  };
  let waiting = 0;
  box.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filtered, 120); });
  for (const each of [...choices, ...facets]) each.addEventListener("change", filtered);
  filtered();

  // Thumbnails: stored once, shown in each row of their image.
  const stored = document.getElementById("pictures");
  const pictures = stored ? JSON.parse(stored.textContent) : {};
  const reveal = (root) => {
    for (const image of all("img[data-image]", root)) {
      if (!image.src && pictures[image.dataset.image]) image.src = pictures[image.dataset.image];
    }
  };
  for (const each of all("details")) each.addEventListener("toggle", () => each.open && reveal(each));
  for (const each of all("details[open]")) reveal(each);

  // Charts: step curves with the values at the pointer in the legend.
  const DASHES = ["", "8 3", "8 3 2 3", "4 2", "10 3 2 3 2 3"], MOST_SHOWN = 12, MOST_BANDS = 4;
  const niceStep = (range, parts) => {
    const power = 10 ** Math.floor(Math.log10(range / parts));
    return [1, 2, 5, 10].map((each) => each * power).find((step) => range / step <= parts + 1e-9);
  };
  const short = (value) => String(Number(value.toPrecision(6)));
  class Chart {
    constructor(frame) {
      this.spec = JSON.parse(document.getElementById(frame.dataset.chart).textContent);
      this.plot = frame.querySelector(".plot");
      this.series = this.spec.series.map((each, k) => ({ k, ...each, on: k < MOST_SHOWN || !!each.plain }));
      this.at = Math.max(0, this.spec.x.findIndex((x) => x >= this.spec.start - 1e-9));
      this.over = null;
      this.buildLegend(frame.querySelector(".legend"));
      this.listen();
      new ResizeObserver(() => this.plot.clientWidth !== this.width && this.draw()).observe(this.plot);
      this.draw();
    }
    look(each) { return each.plain ? "plain" : `s${each.k % 7}`; }
    dash(each) { return each.plain ? "2 4" : DASHES[each.k % DASHES.length]; }
    word(k) { return this.spec.words ? this.spec.words[k] : short(this.spec.x[k]); }
    buildLegend(frame) {
      const table = make("table"), head = table.createTHead().insertRow();
      head.append(make("th", { class: "word", scope: "col" }, "run"), make("th", { scope: "col" }), make("th", { scope: "col" }, this.series.some((each) => each.low) ? "95 %" : ""));
      this.head = head.cells[1];
      const body = table.createTBody();
      for (const each of this.series) {
        const row = body.insertRow(), button = make("button", { type: "button", "aria-pressed": each.on });
        const sample = make("svg", { width: 28, height: 10, "aria-hidden": "true" });
        sample.append(each.points
          ? make("circle", { cx: 14, cy: 5, r: 4, class: this.look(each) })
          : make("path", { d: "M0 5H28", class: `line ${this.look(each)}`, "stroke-dasharray": this.dash(each) }));
        button.append(sample, make("span", {}, each.name));
        button.addEventListener("click", () => {
          each.on = !each.on;
          button.setAttribute("aria-pressed", each.on);
          this.draw();
        });
        for (const [event, value] of [["pointerenter", each], ["pointerleave", null], ["focusin", each], ["focusout", null]]) {
          row.addEventListener(event, () => { this.over = value; this.draw(); });
        }
        each.button = button;
        row.insertCell().append(button);
        row.cells[0].className = "word";
        each.value = row.insertCell();
        each.range = row.insertCell();
        each.range.className = "soft";
      }
      frame.append(table);
      if (this.series.length > MOST_SHOWN) frame.prepend(this.allOrNone());
    }
    allOrNone() {
      const line = make("div", { class: "all soft" }, "curves:");
      for (const [word, on] of [["all", true], ["none", false]]) {
        const button = make("button", { type: "button" }, word);
        button.addEventListener("click", () => {
          for (const each of this.series) {
            each.on = on;
            each.button.setAttribute("aria-pressed", on);
          }
          this.draw();
        });
        line.append(button);
      }
      return line;
    }
    listen() {
      const { x } = this.spec;
      this.plot.tabIndex = 0;
      for (const [key, value] of Object.entries({ role: "slider", "aria-label": this.spec.xlabel, "aria-valuemin": x[0], "aria-valuemax": x.at(-1) })) this.plot.setAttribute(key, value);
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerdown", (event) => this.point(event));
      const moves = { ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -1e9, End: 1e9 };
      this.plot.addEventListener("keydown", (event) => {
        if (!(event.key in moves)) return;
        event.preventDefault();
        this.move(this.at + moves[event.key]);
      });
    }
    point(event) {
      const { x } = this.spec, left = this.plot.getBoundingClientRect().left;
      const place = this.placeOf(event.clientX - left), dots = this.series.filter((each) => each.on && each.points);
      let k = x.findIndex((each) => each >= place);
      if (k < 0) k = x.length - 1;
      for (let near = 0; near < x.length; near += 1) { // a point close by is meant
        if (Math.abs(this.left(x[near]) - (event.clientX - left)) < 8 && dots.some((each) => each.y[near] !== null)) k = near;
      }
      this.move(k);
    }
    move(k) {
      this.at = Math.min(this.spec.x.length - 1, Math.max(0, k));
      this.readOut();
    }
    readOut() {
      const k = this.at, x = this.left(this.spec.x[k]), sign = this.spec.signed;
      const written = (value) => (sign && value > 0 ? "+" : "") + value.toFixed(1);
      this.cursor.setAttribute("x1", x);
      this.cursor.setAttribute("x2", x);
      this.head.textContent = `at ${this.word(k)}`;
      for (const each of this.series) {
        const value = each.y[k];
        each.value.textContent = value === null ? "-" : written(value);
        each.range.textContent = value === null || !each.low ? "" : `${written(each.low[k])} to ${written(each.high[k])}`;
      }
      this.plot.setAttribute("aria-valuenow", this.spec.x[k]);
      const said = this.series.filter((each) => each.on).map((each) => `${each.name} ${each.value.textContent}`);
      this.plot.setAttribute("aria-valuetext", `${this.word(k)}: ${said.join(", ")}`);
    }
    left(place) {
      const { x } = this.spec;
      return 44 + ((place - x[0]) / (x.at(-1) - x[0] || 1)) * (this.width - 56);
    }
    placeOf(left) {
      const { x } = this.spec;
      return x[0] + ((left - 44) / (this.width - 56)) * (x.at(-1) - x[0]);
    }
    top(value) {
      const [low, high] = this.spec.y;
      return 8 + ((high - value) / (high - low)) * (this.height - 52);
    }
    path(each, values) { // a value holds from the place before up to its own
      let text = "", pen = false;
      this.spec.x.forEach((place, k) => {
        if (values[k] === null) { pen = false; return; }
        const x = this.left(place).toFixed(1), y = this.top(values[k]).toFixed(1);
        text += pen ? `V${y}H${x}` : `M${x} ${y}`;
        pen = true;
      });
      return text;
    }
    band(each) {
      let text = this.path(each, each.low), verb = "L";
      for (let k = this.spec.x.length - 1; k >= 0; k -= 1) {
        if (each.high[k] === null) continue;
        const x = this.left(this.spec.x[k]).toFixed(1), y = this.top(each.high[k]).toFixed(1);
        text += verb === "L" ? `L${x} ${y}` : `H${x}V${y}`;
        verb = "HV";
      }
      return `${text}Z`;
    }
    axes(svg) {
      const { x, y, ticks, xlabel, ylabel } = this.spec, bottom = this.height - 44;
      const step = niceStep(y[1] - y[0], this.height < 280 ? 4 : 6);
      for (let value = Math.ceil(y[0] / step) * step; value <= y[1] + 1e-9; value += step) {
        const top = this.top(value);
        svg.append(make("line", { x1: 44, x2: this.width - 12, y1: top, y2: top, class: Math.abs(value) < 1e-9 && y[0] < 0 ? "zero" : "grid" }));
        svg.append(make("text", { x: 38, y: top + 4, "text-anchor": "end" }, short(value)));
      }
      const most = Math.max(2, Math.floor(this.width / 75)), range = x.at(-1) - x[0] || 1, space = niceStep(range, most);
      let marks = ticks;
      if (!marks) {
        marks = [];
        for (let k = Math.ceil(x[0] / space); k * space <= x.at(-1) + 1e-9; k += 1) marks.push([k * space, short(k * space)]);
      } else if (this.width < 500) marks = marks.filter((_, k) => (k - (marks.length - 1) / 2) % 2 === 0);
      for (const [place, word] of marks) {
        const left = this.left(place);
        svg.append(make("line", { x1: left, x2: left, y1: bottom, y2: bottom + 4, class: "axis" }));
        svg.append(make("text", { x: left, y: bottom + 17, "text-anchor": "middle" }, word));
      }
      svg.append(make("line", { x1: 44, x2: this.width - 12, y1: bottom, y2: bottom, class: "axis" }));
      svg.append(make("text", { x: (this.width + 32) / 2, y: this.height - 6, "text-anchor": "middle" }, xlabel));
      svg.append(make("text", { transform: `translate(10 ${(bottom + 8) / 2}) rotate(-90)`, "text-anchor": "middle" }, ylabel));
    }
    draw() {
      this.width = this.plot.clientWidth;
      if (!this.width) return; // in a part that is closed
      this.height = Math.round(Math.min(420, Math.max(240, this.width * 0.5)));
      const svg = make("svg", { height: this.height, viewBox: `0 0 ${this.width} ${this.height}`, "aria-hidden": "true" });
      this.axes(svg);
      const shown = this.series.filter((each) => each.on), bands = shown.filter((each) => each.low).length <= MOST_BANDS;
      for (const each of shown) {
        const dim = this.over && this.over.on && this.over !== each ? " dim" : "", look = this.look(each) + dim;
        if (each.points) {
          this.spec.x.forEach((place, k) => {
            if (each.y[k] === null) return;
            const x = this.left(place);
            svg.append(make("line", { x1: x, x2: x, y1: this.top(each.low?.[k] ?? each.y[k]), y2: this.top(each.high?.[k] ?? each.y[k]), class: `dot ${look}` }));
            svg.append(make("circle", { cx: x, cy: this.top(each.y[k]), r: 4, class: `dot ${look}` }));
          });
          continue;
        }
        if (each.low && (bands || this.over === each)) svg.append(make("path", { d: this.band(each), class: `band ${look}` }));
        svg.append(make("path", { d: this.path(each, each.y), class: `line ${look}`, "stroke-dasharray": this.dash(each) }));
      }
      this.cursor = make("line", { y1: 8, y2: this.height - 44, class: "cursor" });
      svg.append(this.cursor);
      this.plot.replaceChildren(svg);
      this.readOut();
    }
  }
  for (const frame of all(".chart")) new Chart(frame);

  addEventListener("beforeprint", () => { for (const each of all("details[data-print]")) each.open = true; });
  document.documentElement.dataset.ready = "yes";
})();
