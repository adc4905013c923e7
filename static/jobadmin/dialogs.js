// Dialogs, pop-over menus and small form comforts. Everything here has a page or a plain form behind it.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);

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
      if (changed) document.dispatchEvent(new CustomEvent("jobs:changed"));
    });
    $(".ja").append(made);
    return made;
  }

  // A page of ours, shown in a dialog; what cannot be shown there is gone to.
  async function open(address) {
    const shown = dialog();
    if (!shown.open) shown.replaceChildren();
    const url = new URL(address, location.href);
    url.searchParams.set("part", "dialog");
    await window.htmx.ajax("GET", url.pathname + url.search, { target: shown, swap: "innerHTML" }).catch(() => {});
    if (!shown.firstElementChild) location.assign(address);
    else if (!shown.open) shown.showModal();
  }
  window.jobDialog = open;

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
    const close = event.target.closest("dialog[open]:modal [data-close]");
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
    if (!shown?.open || shown.contains(document.activeElement)) return;
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
