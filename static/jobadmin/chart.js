// The activity chart: stacked bars on a canvas (uPlot), in place of the drawing that came with the page.
// Colours are read from the style sheet, so that each exists once; numbers and labels come from the server.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const ORDER = ["failed", "killed", "unknown", "succeeded", "started", "queued", "unqueued"];
  const PROBLEMS = ORDER.slice(0, 3);
  const hidden = new Set();          // series the legend switched off; kept while the page stands
  let chart = null;

  /** The smallest round step of which four reach `highest`; as the server's `charts.nice_step`. */
  function niceStep(highest) {
    const least = Math.max(highest / 4, 1), power = 10 ** Math.floor(Math.log10(least));
    return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map(f => f * power).find(s => s >= least * (1 - 1e-12) && Number.isInteger(s)) || 10 * power;
  }
  function short(n) {
    for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (n >= size) return number.format(+(n / size).toFixed(n / size < 9.95 ? 1 : 0)) + letter;
    return number.format(+n.toFixed(1));
  }
  const lang = document.documentElement.lang || "en";
  const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
  const units = JSON.parse($(".ja").dataset.units);      // as the server calls them

  class Chart {
    constructor(root) {
      this.root = root;
      this.panel = root.closest(".j-panel");
      this.data = JSON.parse(root.dataset.chart);
      this.mode = this.data.mode;
      this.width = this.data.buckets;
      this.at = this.width - 1;                      // the bucket the keys stand on
      this.picked = null;                            // [first, last] bucket selected
      root.classList.add("is-drawn");
      this.box = document.createElement("div");
      this.box.className = "j-chart__box";
      root.append(this.box);
      this.plot = new uPlot(this.options(), this.stacked(), this.box);
      this.over = $(".u-over", this.box);
      this.over.tabIndex = 0;
      this.over.setAttribute("role", "group");
      this.over.setAttribute("aria-label", `${root.getAttribute("aria-label")} ${root.dataset.keys}`);
      this.tip = document.createElement("div");
      this.tip.className = "j-tip";
      this.tip.hidden = true;
      this.over.append(this.tip);
      this.listen();
      this.showLegend();
    }

    // Numbers -----------------------------------------------------------------------------------------------------
    drawn() {
      return ORDER.filter(name => name in this.data.series && !hidden.has(name) && (this.mode !== "problems" || PROBLEMS.includes(name)));
    }
    /** Columns for uPlot: bucket numbers, and the top of each layer. */
    stacked() {
      const names = this.drawn(), floor = new Array(this.width).fill(0);
      const totals = floor.map((_, i) => names.reduce((sum, name) => sum + this.data.series[name][i], 0));
      this.layers = names.map(name => {
        const low = floor.slice();
        this.data.series[name].forEach((value, i) => { floor[i] += this.mode === "share" ? (totals[i] ? 100 * value / totals[i] : 0) : value; });
        return { name, low, high: floor.slice() };
      });
      this.step = this.mode === "share" ? 25 : niceStep(Math.max(...totals, 0));
      return [Array.from({ length: this.width }, (_, i) => i + .5), floor];
    }
    options() {
      const css = getComputedStyle(this.root), font = `11px ${css.fontFamily}`;
      return {
        width: this.root.clientWidth || 600, height: this.tall(), ms: 1, padding: [7, 0, 0, 0], legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false }, dataIdx: (u, s, i) => i },
        scales: { x: { time: false, range: () => [0, this.width] }, y: { range: () => [0, this.step * 4] } },
        series: [{}, { paths: () => null, points: { show: false } }],
        axes: [
          { size: 20, gap: 0, grid: { show: false }, ticks: { show: false }, values: () => [] },   // see `drawTicks`
          { stroke: () => this.colour("--quiet"), font, size: 38, gap: 8, ticks: { show: false },
            grid: { stroke: () => this.colour("--line"), width: 1 },
            splits: () => [0, 1, 2, 3, 4].map(i => i * this.step),
            values: (u, splits) => splits.map(v => this.mode === "share" ? (v ? `${v} %` : "0") : short(v)) },
        ],
        hooks: {
          drawClear: [u => this.mark(u)], draw: [u => this.draw(u)],
          setCursor: [u => this.hover(u)], setSelect: [u => this.dragged(u)],
        },
      };
    }
    tall() { return Math.max(this.panel.clientWidth < 640 ? 176 : 236, Math.min(this.root.clientHeight || 0, 420)); }
    /** Where labels would touch, every second one is left out. */
    drawTicks(u) {
      const { ctx, bbox } = u, pixel = devicePixelRatio, under = bbox.top + bbox.height;
      const wide = this.root.clientWidth / Math.max(1, this.data.ticks.length) >= 74;
      ctx.save();
      ctx.font = `${11 * pixel}px ${getComputedStyle(this.root).fontFamily}`;
      ctx.textAlign = "left";
      ctx.textBaseline = "alphabetic";
      this.data.ticks.forEach(([bucket, label], i) => {
        const x = u.valToPos(bucket, "x", true);
        if (!wide && i % 2) return;
        ctx.fillStyle = this.colour("--line-strong");
        ctx.fillRect(x, under, pixel, 15 * pixel);
        ctx.fillStyle = this.colour("--quiet");
        if (x + 4 * pixel + ctx.measureText(label).width <= ctx.canvas.width) ctx.fillText(label, x + 5 * pixel, under + 13 * pixel);
      });
      ctx.restore();
    }

    // Drawing -------------------------------------------------------------------------------------------------------
    /** The colour a style would have here, as the canvas understands it. */
    colour(name, mix) {
      const probe = this.probe ||= this.root.appendChild(Object.assign(document.createElement("i"), { hidden: true, className: "j-probe" }));
      probe.style.color = mix ? `color-mix(in oklab, var(--panel), var(${name}) ${mix})` : `var(${name})`;
      return getComputedStyle(probe).color;
    }
    mark(u) {
      if (this.data.filling === null) return;
      const x = u.valToPos(this.data.filling, "x", true), next = u.valToPos(this.data.filling + 1, "x", true);
      u.ctx.save();
      u.ctx.globalAlpha = .08;
      u.ctx.fillStyle = this.colour("--fg");
      u.ctx.fillRect(x, u.bbox.top, next - x, u.bbox.height);
      u.ctx.restore();
    }
    draw(u) {
      const { ctx } = u, unit = u.bbox.width / this.width, gap = unit / 6;
      ctx.save();
      for (const { name, low, high } of this.layers) {
        const full = this.colour(`--${name}`), pale = name === "succeeded";
        ctx.fillStyle = pale ? this.colour(`--${name}`, "58%") : full;
        for (let i = 0; i < this.width; i++) {
          if (high[i] === low[i]) continue;
          const x = u.bbox.left + i * unit + gap / 2, top = u.valToPos(high[i], "y", true), bottom = u.valToPos(low[i], "y", true);
          const tall = Math.max(bottom - top, .6 * devicePixelRatio);
          ctx.fillRect(x, bottom - tall, unit - gap, tall);
          if (name === "killed") this.hatch(ctx, x, bottom - tall, unit - gap, tall);
          if (pale) { ctx.fillStyle = full; ctx.fillRect(x, top, unit - gap, 1.5 * devicePixelRatio); ctx.fillStyle = this.colour(`--${name}`, "58%"); }
        }
      }
      ctx.restore();
      this.drawTicks(u);
    }
    hatch(ctx, x, y, wide, tall) {
      if (tall < 3) return;
      ctx.save();
      ctx.beginPath(); ctx.rect(x, y, wide, tall); ctx.clip();
      ctx.strokeStyle = "rgb(255 255 255 / .45)"; ctx.lineWidth = 1.3 * devicePixelRatio; ctx.beginPath();
      for (let at = -tall; at < wide; at += 4 * devicePixelRatio) { ctx.moveTo(x + at, y + tall); ctx.lineTo(x + at + tall, y); }
      ctx.stroke();
      ctx.restore();
    }
    redraw() { this.plot.setData(this.stacked(), true); this.showLegend(); }
    resize() { this.plot.setSize({ width: this.root.clientWidth, height: this.tall() }); if (this.picked) this.select(...this.picked); }

    // Words ---------------------------------------------------------------------------------------------------------
    moment(bucket) { return this.data.start + this.data.step * bucket; }
    /** What a calendar and a clock of the page's zone show, in figures. */
    shown(moment, part) { return new Intl.DateTimeFormat("en-GB", { timeZone: this.data.zone, hourCycle: "h23", ...part }).format(moment); }
    range(first, last) {
      const from = new Date(this.moment(first)), end = new Date(this.moment(last + 1));
      // Buckets are equal: where clocks are set, those of whole days begin an hour beside midnight from then on, and say so.
      const days = this.data.step >= 86400000 && [from, end].every(at => this.shown(at, { hour: "2-digit", minute: "2-digit" }) === "00:00");
      const to = new Date(end - (days ? 1 : 0));                            // of days the last one is said, not the next
      const options = { timeZone: this.data.zone, hourCycle: "h23", weekday: "short", day: "numeric", month: "short" };
      const other = at => this.shown(at, { year: "numeric" }) !== this.shown(new Date(), { year: "numeric" });
      if (other(from) || other(to)) Object.assign(options, { year: "numeric", weekday: undefined });
      if (!days) Object.assign(options, { hour: "2-digit", minute: "2-digit" }, this.data.step < 60000 && { second: "2-digit" });
      return new Intl.DateTimeFormat(lang === "en" ? "en-GB" : lang, options).formatRange(from, to);
    }
    length(count) {
      const seconds = this.data.step * count / 1000;
      const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [.001, "ms"]].find(([s]) => seconds >= s) || [.001, "ms"];
      return `${number.format(seconds / size)} ${units[unit]}`;
    }
    items(first, last) {
      return this.drawn().map(name => [name, this.data.series[name].slice(first, last + 1).reduce((a, b) => a + b, 0)]).filter(([, n]) => n).map(([name, n]) => {
        const item = document.createElement("li"), button = $(`[data-series="${name}"]`, this.panel), count = document.createElement("b");
        item.className = button.className;
        count.className = "j-strong";
        count.textContent = number.format(n);
        item.append($("svg", button).cloneNode(true), button.textContent.trim(), count);
        return item;
      });
    }

    // Pointing and selecting ------------------------------------------------------------------------------------------
    hover(u) {
      const { left } = u.cursor, inside = left >= 0 && !this.picked && u.select.width === 0;
      if (!this.tip) return;
      this.tip.hidden = !inside;
      if (inside) this.explain(Math.min(this.width - 1, Math.max(0, Math.floor(u.posToVal(left, "x")))));
    }
    /** What the bars from `first` to `last` hold, beside the one the pointer or the keys are at. */
    explain(bucket, first = bucket, last = bucket) {
      const title = document.createElement("b"), list = document.createElement("ul");
      title.className = "j-strong";
      title.textContent = this.range(first, last);
      list.append(...this.items(first, last));
      if (!list.childElementCount) list.append(Object.assign(document.createElement("li"), { className: "j-tip__none j-quiet", textContent: this.root.dataset.none }));
      this.tip.replaceChildren(title, list);
      this.tip.hidden = false;
      const x = this.plot.valToPos(bucket + .5, "x"), wide = this.over.clientWidth;
      this.tip.style.left = x > wide / 2 ? "auto" : `${x + 14}px`;
      this.tip.style.right = x > wide / 2 ? `${wide - x + 14}px` : "auto";
    }
    dragged(u) {
      if (this.setting) return;
      if (u.select.width < 3) return this.cancel();
      const first = Math.floor(u.posToVal(u.select.left, "x")), last = Math.ceil(u.posToVal(u.select.left + u.select.width, "x")) - 1;
      this.select(Math.max(0, first), Math.min(this.width - 1, Math.max(first, last)));
      [this.anchor, this.at] = this.picked;          // from here on Shift and the arrows change it
      this.offer();
    }
    /** Whole buckets, so that the numbers of a selection are those of its list. */
    select(first, last) {
      this.picked = [first, last];
      const left = this.plot.valToPos(first, "x"), right = this.plot.valToPos(last + 1, "x");
      this.setting = true;
      this.plot.setSelect({ left, width: right - left, top: 0, height: this.over.clientHeight }, false);
      this.setting = false;
      $(".u-select", this.box).classList.add("is-on");
      this.root.dataset.busy = "";
      this.tip.hidden = true;
    }
    offer() {
      const [first, last] = this.picked;
      this.pop?.remove();
      this.pop = $("#j-brush-pop", this.panel).content.firstElementChild.cloneNode(true);
      $("[data-when]", this.pop).textContent = this.range(first, last);
      $("[data-length]", this.pop).textContent = this.length(last - first + 1);
      $("ul", this.pop).append(...this.items(first, last));
      for (const kind of ["zoom", "list"]) $(`[data-to=${kind}]`, this.pop).href = this.link(kind, first, last);
      $("[data-to=cancel]", this.pop).addEventListener("click", () => { this.cancel(); this.over.focus(); });
      this.pop.classList.add("is-free");
      this.box.append(this.pop);
      const left = this.plot.select.left + this.over.offsetLeft, wide = this.pop.offsetWidth, beside = left - wide - 10;
      if (this.box.clientWidth > 560) this.pop.style.left = `${beside >= 0 ? beside : Math.min(left + this.plot.select.width + 10, this.box.clientWidth - wide)}px`;
      this.pop.addEventListener("keydown", event => { if (event.key === "Escape") { this.cancel(); this.over.focus(); } });
    }
    /** The page, or the list, of exactly these buckets: the last microsecond before the next one is the end. */
    link(kind, first, last) {
      const url = new URL(this.root.dataset[kind], location.href);
      for (const name of ["span", "after", "chart"]) url.searchParams.delete(name);
      url.searchParams.set("from", new Date(this.moment(first)).toISOString());
      url.searchParams.set("to", new Date(this.moment(last + 1) - 1).toISOString().replace("Z", "999Z"));
      return url.pathname + url.search;
    }
    cancel() {
      this.picked = this.anchor = null;
      this.pop?.remove();
      this.pop = null;
      delete this.root.dataset.busy;
      $(".u-select", this.box).classList.remove("is-on");
      this.setting = true;
      this.plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      this.setting = false;
    }
    listen() {
      this.over.addEventListener("pointerdown", () => {
        this.cancel();
        $(".u-select", this.box).classList.add("is-on");
        this.root.dataset.busy = "";                 // nothing moves while one drags
        addEventListener("pointerup", () => { if (!this.picked) delete this.root.dataset.busy; }, { once: true });
      });
      this.over.addEventListener("focus", () => { if (this.over.matches(":focus-visible") && !this.picked) this.explain(this.at); });
      this.over.addEventListener("blur", () => { this.tip.hidden = true; });
      this.over.addEventListener("keydown", event => this.key(event));
      for (const button of $$("[data-series]", this.panel)) button.addEventListener("click", () => {
        const { series } = button.dataset;
        if (!hidden.delete(series)) hidden.add(series);
        this.cancel();
        this.redraw();
      });
      for (const link of $$("[data-mode]", this.panel)) link.addEventListener("click", event => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        this.setMode(link);
      }, true);
    }
    /** Another scale needs no answer from the server, yet the address tells of it. */
    setMode(link) {
      this.mode = link.dataset.mode;
      for (const other of $$("[data-mode]", this.panel)) other.toggleAttribute("aria-current", false);
      link.setAttribute("aria-current", "true");
      history.replaceState(history.state, "", link.getAttribute("href"));
      this.keepMode(link);
      this.cancel();
      this.redraw();
    }
    /** Links and forms that lead back to this page keep the scale. */
    keepMode(chosen) {
      const scale = new URL(chosen.href).searchParams.get("chart");
      const change = params => scale ? params.set("chart", scale) : params.delete("chart");
      for (const link of $$(".ja a[href]")) {
        const url = new URL(link.href);
        if (url.pathname !== location.pathname || link.dataset.mode || link.id === "j-mode-table") continue;
        change(url.searchParams);
        link.setAttribute("href", url.pathname + url.search);
      }
      for (const form of ["j-filters", "j-own"]) {
        $(`#j-kept input[name=chart]${form === "j-own" ? "[form]" : ":not([form])"}`)?.remove();
        if (!scale || !$("#j-kept")) continue;
        const input = Object.assign(document.createElement("input"), { type: "hidden", name: "chart", value: scale });
        if (form === "j-own") input.setAttribute("form", form);
        $("#j-kept").append(input);
      }
    }
    key(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -this.width, End: this.width }[event.key];
      if (event.key === "Escape" && (this.picked || !this.tip.hidden)) { event.preventDefault(); this.tip.hidden = true; return this.cancel(); }
      if (event.key === "Enter") {
        event.preventDefault();
        if (!this.picked) this.select(this.at, this.at);
        this.offer();
        return $("[data-to=zoom]", this.pop).focus();
      }
      if (!step) return;
      event.preventDefault();
      const before = this.at;
      this.at = Math.min(this.width - 1, Math.max(0, this.at + step));
      if (event.shiftKey) {
        this.anchor ??= before;
        this.pop?.remove();
        this.select(Math.min(this.anchor, this.at), Math.max(this.anchor, this.at));
        this.explain(this.at, ...this.picked);
      } else {
        this.cancel();
        this.explain(this.at);
      }
    }
    showLegend() {
      for (const button of $$("[data-series]", this.panel)) button.setAttribute("aria-pressed", !hidden.has(button.dataset.series));
    }
  }

  function start() {
    const root = $("#j-chart");
    if (!root || root.classList.contains("is-drawn") || !window.uPlot) return;
    chart?.plot.destroy();
    chart = new Chart(root);
  }
  const again = () => { if (chart?.root.isConnected) { chart.probe = null; chart.plot.redraw(false, true); } };
  document.addEventListener("htmx:afterSwap", start);
  document.addEventListener("htmx:oobAfterSwap", start);
  document.addEventListener("htmx:load", start);
  addEventListener("resize", () => { if (chart?.root.isConnected) chart.resize(); });
  new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  start();
})();
