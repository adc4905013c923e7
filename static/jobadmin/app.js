// The frame of every page: filters, live refresh, copied links, keys. Works on what the server rendered; without it
// every page is plain links and forms.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const main = () => $("#j-main"), frame = $(".ja");
  const stored = (key, value) => {
    try { return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value); } catch { return null; }
  };

  // Looks at what a page shows now --------------------------------------------------------------------------------------
  /** Milliseconds after which a look that nothing answered has failed: one that is waited for for ever would be the last. */
  const LONGEST = 15_000;
  /** What answers, and its text; null where it leads to the login, which the page goes to. Throws where nothing answers in time. */
  window.jobLook = async address => {
    const stop = new AbortController(), late = setTimeout(() => stop.abort(), LONGEST);
    try {
      const answer = await fetch(address, { headers: { "HX-Request": "true", "HX-Current-URL": location.href }, signal: stop.signal });
      const login = answer.headers.get("HX-Redirect"), text = await answer.text();
      if (login) location.href = login;
      return login ? null : { answer, text };
    } finally { clearTimeout(late); }
  };
  /** The note of an answer: the server wrote (and escaped) its words. Where what answered is none of ours, if anything did, the page has its own. */
  window.jobNote = (html, own = "#j-away") => {
    const shown = new DOMParser().parseFromString(html, "text/html").querySelector(".j-note, .j-panel");
    return shown ? document.adoptNode(shown) : $(own)?.content.firstElementChild.cloneNode(true);
  };

  // Filters -----------------------------------------------------------------------------------------------------------
  const form = $("#j-filters");

  /** What the address asks for, shown in the fields: they are never swapped, so that the focus stays. */
  function showAddress() {
    if (!form) return;
    const params = new URLSearchParams(location.search);
    for (const box of $$("input[type=checkbox][name]", form)) box.checked = params.getAll(box.name).includes(box.value);
    for (const input of $$("input[data-combo]", form)) {
      const values = params.getAll(input.name).filter(Boolean);
      const label = input.dataset.label;
      input.value = input.dataset.shown = values.length === 1 ? values[0] : "";
      if (label) input.placeholder = values.length > 1 ? input.dataset.several.replace("%d", values.length) : label;
      input.closest(".j-field").classList.toggle("is-set", values.length > 0);
    }
    for (const link of $$("#j-views a")) {
      if (link.href === location.href) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
    const by = $("#j-in-by");
    if (by) by.value = params.get("by") || "recorded_at";
    const active = Number($("#j-tokens")?.dataset.active || 0);
    if ($("#j-active")) $("#j-active").textContent = active ? ` · ${active}` : "";
  }

  function say(text) { if ($("#j-say")) $("#j-say").textContent = text; }

  /** Ask for the form as it stands, with the values of one parameter replaced. */
  function ask(name, values) {
    const params = new URLSearchParams();
    for (const [key, value] of new FormData(form)) if (value && key !== name) params.append(key, value);
    for (const value of values || []) params.append(name, value);
    go(`${form.getAttribute("action")}?${params}`);
  }

  function go(url) {
    if (!window.htmx) { location.href = url; return; }
    htmx.ajax("GET", url, { source: form, target: "#j-main", swap: "outerHTML show:none" });
  }

  if (form) {
    form.addEventListener("change", event => {
      // A field with suggestions is sent by Enter or by choosing one: half a word is no filter.
      if (event.target.matches("input:not([data-combo]), select") && event.target.form === form) form.requestSubmit();
    });
    $("#j-all-filters")?.addEventListener("click", event => {
      const open = form.classList.toggle("is-open");
      event.currentTarget.setAttribute("aria-expanded", open);
      if (open) form.scrollIntoView({ block: "nearest" });      // open it stays where the page has it
    });
  }

  // Only what a filter swaps: the operation in the head is looked at every second, and must not wipe what one types.
  const isMain = event => event.target.id === "j-main";
  document.addEventListener("htmx:afterSettle", event => {
    if (!isMain(event)) return;
    showAddress();
    closeMenus();
    if (asked) say($("#j-count")?.textContent.trim());      // live refresh is silent
    asked = false;
  });
  // What is asked for again stays one step of the browser's history.
  let asked = false;
  document.addEventListener("htmx:beforeHistoryUpdate", ({ detail: { history: update } }) => {
    asked = true;
    if (update.path === location.pathname + location.search) update.type = "replace";
  });
  // The old numbers dim while an answer is on its way; where it takes longer than a moment, the look of loading stands for them.
  const LOADING_AFTER = 300;
  let loading = 0;
  document.addEventListener("htmx:beforeSend", event => {
    if (event.detail.target?.id !== "j-main" || !main()) return;
    clearTimeout(loading);
    main().setAttribute("aria-busy", "true");
    loading = setTimeout(() => main()?.classList.add("is-loading"), LOADING_AFTER);
  });
  document.addEventListener("htmx:afterRequest", event => {
    if (!event.detail.target?.matches("#j-main, .j-operation")) return;
    if (event.detail.successful) noTrouble();
    if (!isMain(event.detail)) return;
    clearTimeout(loading);
    main()?.classList.remove("is-loading");
    main()?.removeAttribute("aria-busy");
  });
  for (const kind of ["responseError", "sendError", "timeout"]) document.addEventListener(`htmx:${kind}`, ({ detail }) => {
    const html = detail.xhr.responseText, shown = $(".j-dlg__body", detail.target.closest("dialog[open]") || document.createElement("i"));
    if (shown) return troubleIn(shown, html, detail.requestConfig.verb === "post");
    trouble(html);
    if (isMain(detail)) showAddress();      // what was asked for is not what is shown
  });

  /** What went wrong, above numbers that stay, dimmed. */
  function trouble(html) {
    $("#j-alert")?.replaceChildren(jobNote(html) || "");
    main()?.classList.add("j-stalewrap");
  }

  function noTrouble() {
    $("#j-alert")?.replaceChildren();
    main()?.classList.remove("j-stalewrap");
  }

  /** The same where one looks: a dialog covers the page. What it shows next takes the place of it. */
  function troubleIn(shown, html, isSent) {
    const note = jobNote(html, isSent ? "#j-unsure" : "#j-away");
    if (!note) return;
    note.setAttribute("role", "alert");
    $(".j-note[data-trouble]", shown)?.remove();
    note.dataset.trouble = "";
    shown.prepend(note);
    note.scrollIntoView({ block: "nearest" });
  }

  // With Alt a value is left out instead of asked for.
  document.addEventListener("click", event => {
    const value = event.altKey && event.target.closest("a[data-exclude]");
    if (!value) return;
    event.preventDefault();
    location.assign(value.dataset.exclude);
  });

  // Fields with suggestions (the ARIA combobox pattern) --------------------------------------------------------------
  function combo(input) {
    const field = input.closest(".j-field"), name = input.dataset.combo;
    const list = document.createElement("ul");
    let wait = 0, asked = 0;
    list.className = "j-menu j-combo";
    list.id = `${input.id}-list`;
    list.hidden = true;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", field.querySelector(".j-vh").textContent);
    field.append(list);
    input.removeAttribute("list");
    for (const [key, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": list.id })) input.setAttribute(key, value);

    const options = () => $$("[role=option]", list);
    const chosen = () => $("[aria-selected=true]", list);
    function open(shown) {
      list.hidden = !shown;
      input.setAttribute("aria-expanded", shown);
      if (!shown) input.removeAttribute("aria-activedescendant");
    }
    function mark(option) {
      chosen()?.setAttribute("aria-selected", "false");
      if (!option) return input.removeAttribute("aria-activedescendant");
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", option.id);
    }
    async function suggest() {
      const turn = ++asked, params = new URLSearchParams(form.dataset.within);
      for (const [key, value] of new FormData(form)) if (value && key !== input.name) params.append(key, value);
      for (const value of $$(`input[type=hidden][name="${name}"]`, form)) if (value.form === form) params.append(name, value.value);
      if (input.value !== input.dataset.shown) params.set("prefix", input.value);     // what stood there is no wish
      const response = await fetch(`${form.dataset.suggest.replace("FIELD", name)}?${params}`, { headers: { "HX-Request": "true" } }).catch(() => null);
      if (turn !== asked || !response?.ok || document.activeElement !== input) return;
      list.replaceChildren(...new DOMParser().parseFromString(await response.text(), "text/html").body.children);
      open(list.children.length > 0);
    }
    /** A value more, or one less; with `not`, one that is left out. */
    function take(option, not) {
      const value = (not ? "-" : "") + option.dataset.token, parameter = option.dataset.parameter || name;
      const now = new URLSearchParams(location.search).getAll(parameter), rest = now.filter(one => one !== value);
      open(false);
      input.value = "";
      ask(parameter, rest.length < now.length ? rest : [...rest, value]);
    }
    input.dataset.shown = input.value;
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => { if (list.hidden) suggest(); });
    input.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(suggest, 150); });
    const restore = () => { if (input.type !== "search") input.value = input.dataset.shown; };
    input.addEventListener("blur", () => { asked++; open(false); restore(); });
    list.addEventListener("pointerdown", event => event.preventDefault());   // the focus stays in the field
    list.addEventListener("click", event => {
      event.preventDefault();                                                 // the label would click the field again
      const option = event.target.closest("[role=option]");
      if (option) take(option, event.altKey || event.ctrlKey || event.metaKey);
    });
    input.addEventListener("keydown", event => {
      const all = options(), at = all.indexOf(chosen());
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (list.hidden) return suggest();
        const step = event.key === "ArrowDown" ? 1 : -1;
        mark(all[(at + step + all.length) % all.length] || all[0]);
      } else if (event.key === "Enter" && !list.hidden && chosen()) {
        event.preventDefault();
        take(chosen(), event.altKey);
      } else if (event.key === "Escape" && !list.hidden) {
        event.stopPropagation();
        event.preventDefault();
        open(false);
      } else if (event.key === "Escape") restore();
    });
  }
  if (form) $$("input[data-combo]", form).forEach(combo);

  function closeMenus(except) { $$(".ja details.j-pop[open]").forEach(one => { if (one !== except) one.open = false; }); }
  document.addEventListener("click", event => closeMenus(event.target.closest("details.j-pop")));

  // What was begun in the menu of views and not sent is dropped with it: a box left checked would hold up live refresh.
  $("#j-views")?.addEventListener("toggle", event => { if (!event.target.open) $("#j-save-view")?.reset(); });

  // Live --------------------------------------------------------------------------------------------------------------
  const button = $("#j-live");
  let live = stored("j-live") !== "off", fails = 0, timer = 0, lastTag = "", pulse = 0, missed = 0;
  /** Seconds between two looks that are soon enough to tell of an outage; a page that looks less often feels the pulse in between. */
  const SOON = 15, PULSE = 8;

  /** Nothing moves under the reader's hand. */
  const busy = () => document.hidden || $("dialog[open], details.j-pop[open], .j-combo:not([hidden]), [data-busy], .j-check:checked:not(#j-keys-on)")
    || String(getSelection()).length > 0 || new URLSearchParams(location.search).has("after") || $("#j-chart")?.contains(document.activeElement)
    || (document.activeElement?.matches(".ja input:not([type=checkbox]), .ja textarea") && document.activeElement.value !== (document.activeElement.dataset.shown ?? document.activeElement.defaultValue));

  const pause = () => Math.min(Number(main()?.dataset.refresh || 60) * 2 ** fails, 120) * 1000;
  function plan() {
    clearTimeout(timer);
    clearTimeout(pulse);
    if (!live || !main() || !button) return;
    timer = setTimeout(refresh, pause());
    if (pause() > SOON * 1000) pulse = setTimeout(feel, PULSE * 2 ** Math.min(missed, 3) * 1000);
  }
  /** Whether the store answers, and whether an operation has ended, here or elsewhere: a question that reads next to nothing.
      What became of an outage or of an operation is looked at at once. */
  async function feel() {
    if (!busy()) {
      const felt = await jobLook(`${frame.dataset.root}pulse/`).catch(() => ({ answer: {}, text: "" }));
      if (!felt) return;
      if (felt.answer.ok && (missed || hasEnded(felt.answer.headers.get("X-Operations-Ended")))) return refresh();
      if (!felt.answer.ok) { missed++; trouble(felt.text); }
    }
    clearTimeout(pulse);
    if (live) pulse = setTimeout(feel, PULSE * 2 ** Math.min(missed, 3) * 1000);
  }
  /** Whether this page was read before that; once, for a look that finds nothing new leaves the page as it is. */
  function hasEnded(number) {
    const before = main()?.dataset.ended;
    if (!number || !before || number === before) return false;
    main().dataset.ended = number;
    return true;
  }
  async function refresh() {
    if (!busy()) {
      try {
        const address = location.href, url = new URL(address);
        url.searchParams.set("live", "1");
        // What the page holds on to meanwhile: the list asks for the rows it shows, and how many came since.
        for (const [name, value] of new URLSearchParams($("[data-hold]")?.dataset.hold || "")) url.searchParams.set(name, value);
        const looked = await jobLook(url);
        if (!looked) return;
        const { answer: response, text } = looked;
        if (!response.ok) { fails++; trouble(text); } else if (location.href === address && !busy()) {
          if (fails || missed) noTrouble();
          fails = missed = 0;
          show(text, response);
        }
      } catch { fails++; trouble(""); }
    }
    plan();
  }
  function show(text, response) {
    const tag = response.headers.get("ETag") || text;
    if (tag !== lastTag) keepFocus(() => htmx.swap("#j-main", text, { swapStyle: "outerHTML" }));
    else tick(response.headers.get("Date"));
    lastTag = tag;
    document.dispatchEvent(new CustomEvent("j:refreshed"));
  }
  /** What is swapped in has the focus where it was: by its own id htmx sees to it, here by its place in a row or panel. */
  function keepFocus(swap) {
    const all = "a, button, input, select, summary", one = document.activeElement;
    const home = one?.closest("#j-main [id]:not(#j-main)"), at = home ? $$(all, home).indexOf(one) : -1;
    swap();
    const now = at < 0 || one.isConnected ? null : document.getElementById(home.id);
    if (now) $$(all, now)[at]?.focus({ preventScroll: true });
  }
  /** The clock beside "Updated": the server's time, in the page's zone, also where clocks were set since the page was written. */
  function tick(date) {
    const clock = $("#j-updated time");
    if (clock && date) clock.textContent = new Intl.DateTimeFormat("en-GB", { timeZone: frame.dataset.zone, timeStyle: "medium" }).format(Date.parse(date));
  }
  function setLive(on) {
    live = on;
    stored("j-live", on ? "on" : "off");
    button?.setAttribute("aria-pressed", on);
    clearTimeout(pulse);
    if (on) refresh(); else clearTimeout(timer);
  }
  document.addEventListener("htmx:afterSettle", () => {
    const said = $("#j-updated")?.dataset;
    if (!button || !said?.live) return;
    button.title = said.live;
    $("[data-every]", button).textContent = said.every;
  });
  if (button) {
    button.setAttribute("aria-pressed", live);
    button.addEventListener("click", () => setLive(!live));
    document.addEventListener("visibilitychange", () => { if (!document.hidden && live) refresh(); });
    plan();
  }

  // The viewer's zone --------------------------------------------------------------------------------------------------
  // The server writes the times; it learns the browser's zone once, by a cookie, and writes this page again in it.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (frame && zone && frame.dataset.told !== zone) {
    document.cookie = `ja_zone=${zone}; path=${frame.dataset.root}; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
    if (frame.dataset.times !== "utc" && frame.dataset.zone !== zone && document.cookie.includes("ja_zone=")) {
      frame.dataset.zone = zone;
      document.addEventListener("DOMContentLoaded", () => {      // when every script of the page listens
        document.dispatchEvent(new CustomEvent("j:zone"));
        if (main() && form) refresh();
      });
    }
  }

  // Copied links ------------------------------------------------------------------------------------------------------
  async function copy(kind) {
    const address = new URL($("#j-updated")?.dataset[kind] || location.href, location.href).href;
    closeMenus();
    try { await navigator.clipboard.writeText(address); } catch { prompt("", address); return; }
    const label = $("#j-copy-link summary")?.lastChild, before = label?.textContent;
    if (!label) return;
    label.textContent = "✓ " + before.replace("✓ ", "");
    say(label.textContent);
    setTimeout(() => { label.textContent = before; }, 1500);
  }
  document.addEventListener("click", event => {
    const link = event.target.closest("[data-copy]");
    if (link && link.closest("#j-copy-link")) copy(link.dataset.copy);
  });

  // Enter pressed twice is one wish: while the answer to a form is on its way, none is sent. On the window, behind whoever
  // does it otherwise.
  const UNANSWERED = 5_000;       // milliseconds; then it may be that somebody stopped the browser
  let sent = -Infinity;
  addEventListener("submit", event => {
    const { target, submitter } = event;
    if (event.defaultPrevented || !target.closest(".ja") || (submitter?.formMethod || target.method) !== "post") return;
    if (performance.now() - sent < UNANSWERED) event.preventDefault();
    else sent = performance.now();
  });
  addEventListener("pageshow", () => { sent = -Infinity; });

  // Dialogs and keys --------------------------------------------------------------------------------------------------
  const help = $("#j-help"), keysOn = $("#j-keys-on");
  document.addEventListener("click", event => {
    if (event.target.closest("[data-help]")) help?.showModal();
    if (event.target.closest("#j-help [data-close]") || event.target === help) help?.close();
  });
  if (keysOn) {
    keysOn.checked = stored("j-keys") !== "off";
    keysOn.addEventListener("change", () => stored("j-keys", keysOn.checked ? "on" : "off"));
  }
  let chord = 0;
  const pages = { o: "", l: "list", q: "queues", w: "workers", r: "redis" };      // after g
  const keys = {
    "/": () => $("#j-in-q"),
    f: () => { if (form && !form.classList.contains("is-open") && $("#j-all-filters")?.offsetParent) $("#j-all-filters").click(); return $("#j-in-name"); },
    l: () => button?.click(),
    c: () => { if ($("#j-copy-link")) copy("here"); },
    "?": () => help?.showModal(),
    g: () => { chord = Date.now(); },
  };
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") {
      const summary = $(":scope > summary", event.target.closest?.("details.j-pop[open]") || document.createElement("i"));
      closeMenus();
      return summary?.focus();                       // back to where the menu was opened
    }
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !event.target.closest) return;
    if (event.target.closest("input, select, textarea, [contenteditable], dialog:modal") || (keysOn && !keysOn.checked) || !$(".ja")) return;
    if (Date.now() - chord < 1200 && Object.hasOwn(pages, event.key)) {
      chord = 0;
      event.preventDefault();
      const name = pages[event.key], tab = $(`#j-tab-${name || "overview"}`);
      if (tab) tab.click(); else location.assign(frame.dataset.root + (name && `${name}/`));
      return;
    }
    const act = keys[event.key];
    if (!act) return;
    const focus = act();
    if (focus instanceof HTMLElement) focus.focus();
    if (event.key !== "g") event.preventDefault();
  });
})();
