/* Keeps what end users see of their jobs up to date: a bar in any page, the list of one's own. Without it both are whole, as of
   when the page was made. An element of its own, so that a bar is followed wherever and whenever it comes into a page. */
(() => {
  "use strict";
  if (customElements.get("jobadmin-live")) return;
  const MOST_SECONDS = 120;
  const LONGEST = 15_000;      // milliseconds one waits for an answer: for ever, it would be the last look

  class Live extends HTMLElement {
    connectedCallback() {
      this.failures = 0;
      this.seen = () => { if (!document.hidden && this.seconds) this.look(); };
      document.addEventListener("visibilitychange", this.seen);
      this.plan();
    }

    disconnectedCallback() {
      clearTimeout(this.timer);
      document.removeEventListener("visibilitychange", this.seen);
    }

    /* Until the next look; 0 where nothing can change any more. */
    get seconds() { return Number(this.dataset.seconds) || 0; }

    plan() {
      clearTimeout(this.timer);
      if (this.isConnected && this.seconds) this.timer = setTimeout(() => this.look(), Math.min(this.seconds * 2 ** this.failures, MOST_SECONDS) * 1000);
    }

    /* Nothing moves in a page that nobody sees, nor under a text that somebody marks. */
    get isBusy() {
      const marked = getSelection();
      return document.hidden || (!marked.isCollapsed && this.contains(marked.anchorNode));
    }

    async look() {
      clearTimeout(this.timer);
      if (this.isBusy) return this.plan();
      try {
        const answer = await fetch(this.dataset.url, { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(LONGEST) });
        if (answer.redirected || [400, 403, 404].includes(answer.status)) return this.removeAttribute("data-seconds");   // it is no longer for us
        if (!answer.ok) throw new Error(answer.status);
        const text = await answer.text();
        this.failures = 0;
        if (this.isBusy) return this.plan();
        this.take(text);
      } catch {
        this.failures += 1;
        this.away();
      }
      this.plan();
    }

    take(text) {
      const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("jobadmin-live");
      if (!fresh || !this.isConnected) return;
      const before = this.dataset.state;
      become(this, fresh);
      if (this.seconds || before === undefined || !this.dataset.state) return;
      this.dispatchEvent(new CustomEvent("jobadmin:ended", { bubbles: true, detail: { state: this.dataset.state } }));
      if (this.closest("[data-once-over]")) location.reload();      // for what came of it
    }

    away() {
      if (this.querySelector(":scope > .ju-away")) return;
      const said = document.createElement("p");
      said.className = "ju-away";
      said.textContent = this.dataset.away;
      this.append(said);
    }
  }

  /* Makes `old` what `fresh` is, and leaves alone what is the same: focus, what somebody opened, what is being read out. */
  function become(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) return old.replaceWith(fresh);
    if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const wanted = [...fresh.childNodes];
    wanted.forEach((child, at) => {
      const there = old.childNodes[at];
      const same = child.id ? [...old.children].find(one => one.id === child.id) : !there?.id && there;
      if (!same) old.insertBefore(child, there ?? null);
      else {
        if (same !== there) old.insertBefore(same, there);
        become(same, child);
      }
    });
    while (old.childNodes.length > wanted.length) old.lastChild.remove();
  }

  customElements.define("jobadmin-live", Live);
})();
