/* The job page: asks before what cannot be undone, looks again while something can change, and lets the clock run.
   Everything here is an addition: without it the forms post, the tabs are links, and a reload shows the present. */
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  /* A form that names a dialog opens it; without script the server asks on a page of its own. */
  document.addEventListener("submit", event => {
    const dialog = document.getElementById(event.target.dataset.ask || "");
    if (!dialog) return;
    event.preventDefault();
    dialog.showModal();
  });

  /* Copies a text of the page, or a short one that the button carries; the button says so. */
  document.addEventListener("click", async event => {
    const button = event.target.closest("[data-copy-from], [data-job-page] [data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copyFrom || "");
    const text = source ? source.value ?? source.textContent : button.dataset.copy;
    await navigator.clipboard.writeText(text).then(() => {
      button.classList.add("is-copied");
      setTimeout(() => button.classList.remove("is-copied"), 1500);
    }, () => source && getSelection().selectAllChildren(source));
  });

  /* Tabs are links; arrows, Home and End move between them, Enter or Space chooses. Tab leads to the chosen one alone. */
  document.addEventListener("keydown", event => {
    const tab = event.target.closest?.('[role="tab"]');
    if (!tab) return;
    if (event.key === " ") { event.preventDefault(); return tab.click(); }
    const tabs = $$('[role="tab"]', tab.parentElement), at = tabs.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    tabs[(to + tabs.length) % tabs.length].focus();
  });

  /* r retries, K asks to stop; never from a field or a dialog, and not where keys are turned off. */
  document.addEventListener("keydown", event => {
    const button = { r: "#act-retry", K: "#act-kill" }[event.key];
    if (!button || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("j-keys") === "off") return;
    if (!event.target.closest?.("input, select, textarea, dialog, .j-code")) $(button)?.click();
  });

  /* Looking again. The server answers 204 while nothing changed, else with the inside of the page; only panels that differ
     are replaced, so focus, open details and scrolled code stay where they are. */
  const page = $("[data-job-page]");
  const MOST_SECONDS = 120;
  const SCROLLED = ".j-scroll, .j-code";   // what is drawn anew stands where one had moved it: the n-th as the n-th
  let failures = 0, timer = null;

  const busy = () =>
    document.hidden || $("dialog[open], details.j-pop[open]") || !getSelection().isCollapsed ||
    document.activeElement?.matches("input, textarea, select") || localStorage.getItem("j-live") === "off";

  window.jobPageBusy = busy;               // the graph below looks by itself, under the same conditions

  function schedule() {
    clearTimeout(timer);
    const seconds = Number($("#job-live", page)?.dataset.seconds);
    if (seconds) timer = setTimeout(look, Math.min(seconds * 2 ** failures, MOST_SECONDS) * 1000);
  }

  function rove(root) {
    $$('[role="tab"]', root).forEach(tab => { tab.tabIndex = tab.getAttribute("aria-selected") === "true" ? 0 : -1; });
  }

  async function look(anew = false) {
    if (busy() && !anew) return schedule();
    const address = new URL(location.href);
    address.hash = "";
    address.searchParams.set("live", anew ? "" : $("#job-live", page).dataset.version);
    try {
      const looked = await jobLook(address);
      if (!looked) return;
      const { answer, text } = looked;
      if (answer.status === 404) return location.reload();
      failures = answer.ok ? 0 : failures + 1;
      trouble(answer.ok ? null : text);
      if (answer.status === 200 && !answer.redirected && (anew || !busy())) take(text);
    } catch {
      failures += 1;
      trouble("");
    }
    schedule();
  }

  /* What went wrong, above what was last known, dimmed; null where nothing did. */
  function trouble(html) {
    const note = html === null ? null : jobNote(html), shown = $("#job-alert .j-note");
    if (!note) shown?.remove();
    else if (shown?.outerHTML !== note.outerHTML) $("#job-alert").replaceChildren(note);
    page.classList.toggle("j-stalewrap", Boolean(note));
  }

  function take(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    if (!$("#job-live", fresh)) return;
    rove(fresh);
    const ids = root => $$("[data-live]", root).map(panel => panel.id).join();
    if (ids(page) !== ids(fresh)) {
      const focused = page.contains(document.activeElement) ? document.activeElement.id : "";
      $$("[data-live]", fresh).forEach(panel => {
        const old = document.getElementById(panel.id);
        if (old) keepOpen(old, panel);
        if (old?.outerHTML === panel.outerHTML) panel.replaceWith(old);
      });
      page.replaceChildren(...fresh.body.childNodes);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    } else {
      $("#job-live", page).replaceWith($("#job-live", fresh));
      $$("[data-live]", fresh).forEach(panel => replace(document.getElementById(panel.id), panel));
    }
    // That it was asked to end is no news beside how it ended: the timeline keeps it.
    if ($("#job-live[data-ended]", page)) $$(".messagelist .j-asked").forEach(said => said.remove());
  }

  function replace(old, panel) {
    keepOpen(old, panel);
    if (old.outerHTML === panel.outerHTML) return;
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const places = $$(SCROLLED, old).map(box => [box.scrollLeft, box.scrollTop]);
    old.replaceWith(panel);
    $$(SCROLLED, panel).forEach((box, n) => { if (places[n]) box.scrollTo(...places[n]); });
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  /* Details that somebody opened or closed stay so; the n-th stays the n-th. */
  function keepOpen(old, panel) {
    const before = $$("details", old);
    $$("details", panel).forEach((details, place) => { if (before[place]) details.open = before[place].open; });
  }

  /* What still grows is counted on between two looks. */
  function tick() {
    $$("[data-ticks]").forEach(element => {
      element.since ??= performance.now() - Number(element.dataset.ticks) * 1000;
      element.textContent = words((performance.now() - element.since) / 1000);
    });
  }

  const units = JSON.parse($(".ja").dataset.units);      // as the server calls them

  function words(seconds) {
    if (seconds < 59.95) return seconds.toLocaleString(document.documentElement.lang || undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 }) + ` ${units.s}`;
    const two = number => String(number).padStart(2, "0"), whole = Math.round(seconds);
    if (seconds < 3599.5) return `${Math.floor(whole / 60)} ${units.min} ${two(whole % 60)} ${units.s}`;
    const minutes = Math.round(seconds / 60);
    if (seconds < 86370) return `${Math.floor(minutes / 60)} ${units.h} ${two(minutes % 60)} ${units.min}`;
    const hours = Math.round(seconds / 3600);
    return `${Math.floor(hours / 24)} ${units.d} ${hours % 24} ${units.h}`;
  }

  /* A page that could not be answered tries again by itself. */
  function comeBack(note) {
    let left = Number(note.dataset.retrySeconds);
    const line = $("[data-retry-note]", note);
    line.hidden = false;
    setInterval(() => {
      if (document.hidden) return;
      left -= 1;
      $("[data-retry-left]", note).textContent = Math.max(left, 0);
      if (left === 0) location.reload();
    }, 1000);
  }

  $$("[data-retry-seconds]").forEach(comeBack);
  setInterval(tick, 500);
  if (!page) return;
  document.addEventListener("visibilitychange", () => { if (!document.hidden && $("#job-live", page)?.dataset.seconds) look(); });
  document.addEventListener("j:zone", () => look(true));   // the times are written in another zone now
  /* Another attempt: what differs between the two is replaced, and what one opened elsewhere stays open. */
  document.addEventListener("click", event => {
    const tab = event.target.closest('a[role="tab"]');
    if (!tab || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    history.pushState(null, "", tab.getAttribute("href"));
    look(true);
  });
  addEventListener("popstate", () => look(true));
  rove(page);
  schedule();
})();

/* The graph on a job's page: fetched once the page stands, looked at again while something can change. Without script the
   panel is a link to the page with the graph. */
(() => {
  "use strict";
  const MOST_SECONDS = 120;
  let timer = null, failures = 0;

  const panel = () => document.querySelector("[data-workflow]");

  async function look() {
    clearTimeout(timer);
    const shown = panel();
    if (!shown) return;
    let seconds = 5;
    if (!shown.querySelector(".j-flow") || !window.jobPageBusy()) {
      try {
        const looked = await jobLook(shown.dataset.workflow);
        if (!looked) return;
        const { answer, text } = looked;
        failures = answer.ok ? 0 : failures + 1;
        if (answer.ok && !answer.redirected) seconds = take(shown, text);
      } catch {
        failures += 1;
      }
    }
    if (seconds) timer = setTimeout(look, Math.min(seconds * 2 ** failures, MOST_SECONDS) * 1000);
  }

  /* Puts the graph in, unless it is the same or somebody is in it; seconds to the next look, 0 where nothing can change. */
  function take(shown, html) {
    const body = shown.querySelector("[data-workflow-body]"), old = body.firstElementChild;
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector(".j-flow");
    if (!fresh) return 0;
    if (!old || (old.outerHTML !== fresh.outerHTML && !body.contains(document.activeElement))) {
      const [left, top] = old ? [old.scrollLeft, old.scrollTop] : [0, 0];
      body.replaceChildren(fresh);
      body.hidden = false;
      if (old) fresh.scrollTo(left, top);
      else center(fresh);
    }
    return Number(fresh.dataset.seconds) || 0;
  }

  /* The job one looks at, in the middle of what can be seen. */
  function center(graph) {
    const here = graph.querySelector(".is-here");
    if (!here) return;
    const box = here.getBoundingClientRect(), frame = graph.getBoundingClientRect();
    graph.scrollLeft += box.left + box.width / 2 - frame.left - frame.width / 2;
    graph.scrollTop += box.top + box.height / 2 - frame.top - frame.height / 2;
  }

  /* On the page of the workflow it is there from the start. */
  const whole = document.querySelector("#flow-graph .j-flow");
  if (whole) center(whole);

  if (!panel()) return;
  /* A look at the job may have drawn the page anew, with an empty panel. */
  new MutationObserver(() => { if (panel()?.querySelector("[data-workflow-body]:empty")) look(); })
    .observe(document.querySelector("[data-job-page]"), { childList: true });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  look();
})();
