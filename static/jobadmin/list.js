// Dialogs, pop-over menus and small form comforts. Everything here has a page or a plain form behind it.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);

  // The result of what is done in the dialog, said inside it: the page behind it is out of reach.
  const said = Object.assign(document.createElement("p"), { className: "j-vh" });
  said.setAttribute("role", "status");
  function sayResult(shown) {
    if (said.parentElement !== shown) shown.append(said);
    const title = $(".j-operation .j-dlg__title", shown)?.textContent.trim() || "";
    setTimeout(() => { if (said.textContent !== title) said.textContent = title; }, 100);     // new text in an old element is heard
  }

  // The page beneath tells of it once an operation is over, while its result stays in the dialog.
  let over = "";
  function tellOfEnd(shown) {
    const ended = $(".j-operation[data-over]", shown);
    if (!ended || ended.id === over) return;
    over = ended.id;
    document.dispatchEvent(new CustomEvent("jobs:changed"));
  }

  function dialog() {
    const found = $("#j-dialog");
    if (found) return found;
    const made = document.createElement("dialog");
    made.className = "j-dlg";
    made.id = "j-dialog";
    made.setAttribute("aria-labelledby", "j-dialog-t");
    made.addEventListener("close", () => {
      const changed = Boolean($(".j-operation", made));
      made.replaceChildren();                       // also ends the looking for progress
      said.textContent = "";
      if (changed) document.dispatchEvent(new CustomEvent("jobs:changed"));
    });
    $(".ja").append(made);
    return made;
  }

  // A page of ours, shown in a dialog; what cannot be shown there is gone to.
  async function open(address) {
    const url = new URL(address, location.href);
    url.searchParams.set("part", "dialog");
    if (!await show("GET", url.pathname + url.search, {})) location.assign(address);
  }
  // What a form would post, asked in a dialog; else the form does it itself.
  async function post(button, values) {
    if (!await show("POST", button.formAction, { values })) button.form.requestSubmit(button);
  }
  window.jobDialog = { open, post };

  async function show(method, address, more) {
    const shown = dialog();
    if (!shown.open) shown.replaceChildren();
    await window.htmx.ajax(method, address, { target: shown, swap: "innerHTML", ...more }).catch(() => {});
    if (!shown.firstElementChild) return false;
    shown.setAttribute("aria-labelledby", $(".j-dlg__title", shown)?.id || "j-dialog-t");
    if (!shown.open) shown.showModal();
    return true;
  }

  // One job's action that asks first answers with a page; its question is shown here instead.
  async function ask(button) {
    const values = Object.fromEntries(new FormData(button.form));
    document.querySelectorAll(":popover-open").forEach((menu) => menu.hidePopover());
    if (!await show("POST", button.formAction, { values, select: ".j-confirm" })) button.form.requestSubmit(button);
  }

  // The button wakes up when the number announced is typed; the server asks for it again.
  function checkTyped(field) {
    const button = $("button[type=submit]", field.form);
    const typed = field.value.replace(/[\s,.'’_]/g, "");
    if (button) button.disabled = typed !== field.dataset.typed;
  }
  const checkAll = (root) => root.querySelectorAll("[data-typed]").forEach(checkTyped);

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-typed]")) checkTyped(event.target);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  document.addEventListener("click", (event) => {
    const off = event.target.closest("[aria-disabled=true]");
    if (off) return void event.preventDefault();
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
    const asks = event.target.closest("button[data-asks]");
    if (asks && window.htmx) {
      event.preventDefault();
      return void ask(asks);
    }
    const close = event.target.closest("dialog[open]:modal [data-close], #j-dialog:modal .j-confirm .j-dlg__foot a");
    if (close) {
      event.preventDefault();
      return void close.closest("dialog").close();
    }
    const link = event.target.closest("a[data-dialog]");
    if (link && window.htmx) {
      event.preventDefault();
      open(link.href);
    }
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    const shown = event.target.closest?.("#j-dialog");
    checkAll(document);
    if (!shown) return;
    if ($(".j-operation", shown)) document.dispatchEvent(new CustomEvent("jobs:begun"));
    sayResult(shown);
    tellOfEnd(shown);
    if (!shown.open || shown.contains(document.activeElement)) return;
    ($("[autofocus]", shown) || $("[data-close]", shown) || shown).focus();
  });

  // A menu opens beside its button, inside the window, whichever way there is room.
  document.addEventListener("toggle", (event) => {
    const menu = event.target;
    if (!menu.matches?.(".ja .j-menu[popover]")) return;
    menu.toggleAttribute("data-busy", event.newState === "open");      // nothing is refreshed under it
    if (event.newState !== "open") return void menu.removeAttribute("style");
    const button = $(`[popovertarget="${CSS.escape(menu.id)}"]`);
    if (!button) return;
    const place = button.getBoundingClientRect();
    const below = place.bottom + menu.offsetHeight + 4 < innerHeight;
    menu.style.inset = "auto";
    menu.style.margin = "0";
    menu.style.top = `${Math.max(4, below ? place.bottom + 2 : place.top - menu.offsetHeight - 2)}px`;
    menu.style.left = `${Math.max(4, Math.min(place.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 4))}px`;
  }, true);
  // What is swapped takes its place over as attributes, and the content policy refuses a style among them.
  document.addEventListener("htmx:beforeSwap", () => {
    document.querySelectorAll(".ja .j-menu[popover][style]").forEach((menu) => menu.removeAttribute("style"));
  });
  document.addEventListener("scroll", () => {
    document.querySelectorAll(".j-rowmenu:popover-open").forEach((menu) => menu.hidePopover());
  }, { passive: true });

  checkAll(document);
})();

// Selecting jobs in the list: one, a range, the page, or all that match; the bar says to how many each action applies.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const boxes = () => $$("#j-list tbody .j-check[name=id]");
  const words = new Intl.NumberFormat(document.documentElement.lang || undefined);
  let all = false;     // everything that matches, not just what is ticked
  let last = null;     // where a range begins

  function update() {
    const form = $("#j-picked");
    if (!form) return;
    const every = boxes(), picked = every.filter((box) => box.checked);
    const whole = every.length > 0 && picked.length === every.length;
    if (!whole) all = false;
    const total = Number(form.dataset.total);
    const number = all ? total : picked.length;

    every.forEach((box) => box.closest("tr").classList.toggle("is-picked", box.checked));
    const head = $("thead [data-pick=page]");
    if (head) {
      head.checked = whole;
      head.indeterminate = picked.length > 0 && !whole;
    }
    const notice = $("[data-pagepick]");
    if (notice) {
      notice.hidden = !(whole && total > every.length);
      $$("[data-said]", notice).forEach((said) => { said.hidden = (said.dataset.said === "all") !== all; });
    }
    $("[data-bulk]", form).hidden = number === 0;
    showNumber(form, number);
    $$("[data-verb]", form).forEach((button) => showVerb(button, picked));
    $("#j-list").toggleAttribute("data-selecting", number > 0);
  }

  function showNumber(form, number) {
    const said = $("[data-picked]", form);
    const text = said.dataset.words.replace("%n", words.format(number));
    $("b", said).textContent = text;
    $(".j-quiet", said).textContent = all ? said.dataset.all : "";
  }

  function showVerb(button, picked) {
    const verb = button.dataset.verb;
    const applies = all ? Number(button.dataset.all) : picked.filter((box) => box.dataset.can.split(" ").includes(verb)).length;
    $(".j-btn__n", button).textContent = words.format(applies);
    button.setAttribute("aria-disabled", String(applies === 0));
    button.nextElementSibling.hidden = applies > 0;
  }

  function pick(what) {
    all = what === "all";
    boxes().forEach((box) => { box.checked = what !== "none"; });
    update();
  }

  document.addEventListener("click", (event) => {
    const box = event.target.closest("#j-list tbody .j-check[name=id]");
    if (box) return range(box, event.shiftKey);
    const picker = event.target.closest("[data-pick]");
    if (picker) return pick(picker.type === "checkbox" && !picker.checked ? "none" : picker.dataset.pick);
    const button = event.target.closest("[data-verb]");
    if (!button || button.getAttribute("aria-disabled") === "true" || !window.htmx) return;
    event.preventDefault();
    // For all that match the filter is sent, never a list of ids; what is picked does not fit into every address.
    if (all) window.jobDialog.open(button.dataset.allUrl);
    else window.jobDialog.post(button, new FormData(button.form));
  });

  function range(box, shift) {
    const every = boxes();
    const from = every.indexOf(last), to = every.indexOf(box);
    if (shift && from >= 0 && to >= 0) {
      every.slice(Math.min(from, to), Math.max(from, to) + 1).forEach((one) => { one.checked = box.checked; });
    }
    last = box;
    update();
  }

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "j-main") return;          // what else is swapped leaves the selection alone
    all = false;
    update();
  });
  // What was selected is being done: behind the dialog nothing is selected any more.
  document.addEventListener("jobs:begun", () => { if ($("#j-list[data-selecting]")) pick("none"); });
  // The button that had the focus is gone with the selection: it goes on where the next one begins.
  document.addEventListener("jobs:changed", async () => {
    if (!$("#j-main")) return;
    await window.htmx.ajax("GET", location.href, { target: "#j-main", swap: "outerHTML show:none" });
    if (document.activeElement === document.body) ($("#j-list thead [data-pick]") || $("#j-main a"))?.focus({ preventScroll: true });
  });

  // Keys on rows; the row is the one that has the focus somewhere in it.
  const rows = () => $$("#j-list tbody tr");
  const here = () => document.activeElement?.closest("#j-list tbody tr");
  const press = (icon) => $(`.c-acts > [form=j-row] use[href="#j-${icon}"]`, here())?.closest("button").click();
  function step(by) {
    const every = rows(), at = every.indexOf(here());
    const next = every[at < 0 ? (by > 0 ? 0 : every.length - 1) : at + by];
    if (next) $("th a", next).focus();                 // at either end the focus stays where it is
  }
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    x: () => $(".c-check .j-check", here())?.click(),
    r: () => press("retry"),
    K: () => press("killreq"),
    Enter: () => $("th a", here())?.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !event.target.closest) return;
    if ($("dialog[open]:modal, :popover-open")) return;
    if (event.key === "Escape" && $("#j-list[data-selecting]")) return pick("none");
    const field = event.target.closest("input:not(.j-check), select, textarea, [contenteditable]");
    if (field || $("#j-keys-on")?.checked === false || !keys[event.key]) return;
    if (!rows().length || (["x", "r", "K", "Enter"].includes(event.key) && !here())) return;
    if (event.key === "Enter" && !event.target.matches(".j-check")) return;     // what is a link or a button knows by itself
    keys[event.key]();
    event.preventDefault();
  });
  // What is done to one job answers with the page anew: the focus comes back to the row.
  const ROW = "j-row";
  document.addEventListener("submit", (event) => {
    const row = event.target.id === "j-row" && event.submitter?.closest("tr");
    try { if (row) sessionStorage.setItem(ROW, row.id); } catch { /* it is a comfort */ }
  });
  function comeBack() {
    try {
      const row = document.getElementById(sessionStorage.getItem(ROW) || "");
      sessionStorage.removeItem(ROW);
      if (row && $("#j-list")?.contains(row)) $("th a", row).focus();
    } catch { /* it is a comfort */ }
  }

  // That a job was asked to end is no news beside a row that says how it ended.
  document.addEventListener("j:refreshed", () => {
    for (const said of $$(".messagelist .j-asked")) {
      const link = $("a", said), row = link && rows().find((one) => $("th a", one)?.href === link.href);
      if (row && $(".c-state :is(.s-succeeded, .s-failed, .s-killed)", row)) said.remove();
    }
  });

  addEventListener("pageshow", update);
  comeBack();
  update();
})();
