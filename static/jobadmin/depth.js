// How deep a queue was: steps on a canvas (uPlot) in place of the drawing that came with the page, with the numbers of
// the step one points at. Colours are read from the style sheet; numbers and labels come from the server.
(() => {
  "use strict";
  const lang = document.documentElement.lang || "en";
  const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
  const units = JSON.parse(document.querySelector(".ja").dataset.units);      // as the server calls them
  let chart = null;

  const short = n => n >= 1e6 ? `${number.format(n / 1e6)}M` : n >= 1e3 ? `${number.format(n / 1e3)}k` : number.format(n);
  function length(seconds) {
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([s]) => seconds >= s) || [1, "s"];
    return `${number.format(seconds / size)} ${units[unit]}`;
  }

  class Depth {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.dataset.chart);
      this.count = this.data.waiting.length;
      this.box = Object.assign(document.createElement("div"), { className: "j-chart__box" });
      root.classList.add("is-drawn");
      root.append(this.box);
      const values = this.data.waiting, at = Array.from({ length: this.count + 1 }, (_, i) => i);
      this.plot = new uPlot(this.options(), [at, [...values, values[this.count - 1]]], this.box);
      this.tip = Object.assign(document.createElement("div"), { className: "j-tip", hidden: true });
      this.box.querySelector(".u-over").append(this.tip);
    }
    colour(name, mix) {
      const probe = this.probe ||= this.root.appendChild(Object.assign(document.createElement("i"), { hidden: true, className: "j-probe" }));
      probe.style.color = mix ? `color-mix(in oklab, transparent, var(${name}) ${mix})` : `var(${name})`;
      return getComputedStyle(probe).color;
    }
    options() {
      const font = `11px ${getComputedStyle(this.root).fontFamily}`, { scale } = this.data;
      return {
        width: this.root.clientWidth || 600, height: this.tall(), padding: [7, 0, 0, 0], legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: { x: { time: false, range: () => [0, this.count] }, y: { range: () => [0, scale * 4] } },
        series: [{}, { paths: uPlot.paths.stepped({ align: 1 }), points: { show: false }, width: 1.4,
          stroke: () => this.colour("--queued"), fill: () => this.colour("--queued", "15%") }],
        axes: [
          { size: 20, gap: 0, grid: { show: false }, ticks: { show: false }, values: () => [] },   // see `ticks`
          { stroke: () => this.colour("--quiet"), font, size: 38, gap: 8, ticks: { show: false }, grid: { stroke: () => this.colour("--line"), width: 1 },
            splits: () => [0, 1, 2, 3, 4].map(i => i * scale), values: (u, splits) => splits.map(short) },
        ],
        hooks: { draw: [u => this.ticks(u)], setCursor: [u => this.explain(u)] },
      };
    }
    tall() { return this.root.clientWidth < 600 ? 176 : 236; }
    ticks(u) {
      const { ctx, bbox } = u, pixel = devicePixelRatio, under = bbox.top + bbox.height;
      const wide = this.root.clientWidth / Math.max(1, this.data.ticks.length) >= 74;
      ctx.save();
      ctx.font = `${11 * pixel}px ${getComputedStyle(this.root).fontFamily}`;
      this.data.ticks.forEach(([at, label], i) => {
        const x = u.valToPos(at, "x", true);
        if (!wide && i % 2) return;
        ctx.fillStyle = this.colour("--line-strong");
        ctx.fillRect(x, under, pixel, 15 * pixel);
        ctx.fillStyle = this.colour("--quiet");
        if (x + 4 * pixel + ctx.measureText(label).width <= ctx.canvas.width) ctx.fillText(label, x + 5 * pixel, under + 13 * pixel);
      });
      ctx.restore();
    }
    explain(u) {
      const { left } = u.cursor, { start, step, zone, waiting, oldest } = this.data;
      if (!this.tip) return;
      this.tip.hidden = left < 0;
      if (left < 0) return;
      const at = Math.min(this.count - 1, Math.max(0, Math.floor(u.posToVal(left, "x"))));
      const options = { timeZone: zone, hourCycle: "h23", weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
      const from = new Date((start + step * at) * 1000), to = new Date((start + step * (at + 1)) * 1000);
      const title = Object.assign(document.createElement("b"), { className: "j-strong", textContent: new Intl.DateTimeFormat(lang === "en" ? "en-GB" : lang, options).formatRange(from, to) });
      const list = document.createElement("ul");
      const said = waiting[at] === null ? [[this.root.dataset.none, ""]] : [[this.root.dataset.waiting, number.format(waiting[at])]];
      if (waiting[at]) said.push([this.root.dataset.oldest, length(oldest[at])]);
      for (const [words, value] of said) {
        const item = document.createElement("li");
        item.append(words, Object.assign(document.createElement("b"), { className: "j-strong", textContent: value }));
        list.append(item);
      }
      this.tip.replaceChildren(title, list);
      const x = u.valToPos(at + .5, "x"), wide = u.over.clientWidth, own = this.tip.offsetWidth;
      this.tip.style.left = `${x > wide / 2 ? Math.max(0, x - 14 - own) : Math.min(x + 14, wide - own)}px`;
    }
    resize() { this.plot.setSize({ width: this.root.clientWidth, height: this.tall() }); }
  }

  function start() {
    const root = document.getElementById("j-depth");
    if (!root || root.classList.contains("is-drawn") || !window.uPlot) return;
    chart?.plot.destroy();
    chart = new Depth(root);
  }
  const again = () => { if (chart?.root.isConnected) { chart.probe = null; chart.plot.redraw(false, true); } };
  document.addEventListener("htmx:afterSwap", start);
  document.addEventListener("htmx:load", start);
  addEventListener("resize", () => { if (chart?.root.isConnected) chart.resize(); });
  new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  start();
})();
