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
    if (!document.hidden) {
      try {
        const answer = await fetch(shown.dataset.workflow, { headers: { "HX-Request": "true" } });
        failures = answer.ok ? 0 : failures + 1;
        if (answer.ok && !answer.redirected) seconds = take(shown, await answer.text());
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

  if (!panel()) return;
  /* A look at the job may have drawn the page anew, with an empty panel. */
  new MutationObserver(() => { if (panel()?.querySelector("[data-workflow-body]:empty")) look(); })
    .observe(document.querySelector("[data-job-page]"), { childList: true });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  look();
})();
