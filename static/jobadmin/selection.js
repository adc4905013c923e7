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
    button.title = applies ? "" : button.dataset.none;
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
    window.jobDialog(address(button));
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

  // The filter for all that match, never a list of ids.
  function address(button) {
    if (all) return button.dataset.allUrl;
    const parameters = new URLSearchParams(new FormData($("#j-picked")));
    return `${button.formAction}?${parameters}`;
  }

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.closest?.("dialog")) return;
    all = false;
    update();
  });
  document.addEventListener("jobs:changed", () => {
    window.htmx.ajax("GET", location.href, { target: "#j-main", swap: "outerHTML show:none" });
  });

  // Keys on rows; the row is the one that has the focus somewhere in it.
  const rows = () => $$("#j-list tbody tr");
  const here = () => document.activeElement?.closest("#j-list tbody tr");
  const press = (icon) => $(`.c-acts > [form=j-row] use[href="#j-${icon}"]`, here())?.closest("button").click();
  function step(by) {
    const every = rows(), at = every.indexOf(here());
    const next = every[at < 0 ? (by > 0 ? 0 : every.length - 1) : at + by];
    $("th a", next)?.focus();
  }
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    x: () => $(".c-check .j-check", here())?.click(),
    r: () => press("retry"),
    K: () => press("killreq"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !event.target.closest) return;
    if ($("dialog[open]:modal, :popover-open")) return;
    if (event.key === "Escape" && $("#j-list[data-selecting]")) return pick("none");
    const field = event.target.closest("input:not(.j-check), select, textarea, [contenteditable]");
    if (field || $("#j-keys-on")?.checked === false || !keys[event.key]) return;
    if (!rows().length || ("xrK".includes(event.key) && !here())) return;
    keys[event.key]();
    event.preventDefault();
  });
  addEventListener("pageshow", update);
  update();
})();
