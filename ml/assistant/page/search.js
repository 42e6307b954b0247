// The search box: a combobox whose list changes while typing.
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { currentLanguage, labelOf, t } from "./i18n.js";
import { facetLabel } from "./state.js";

const WAIT_MS = 60;

// `acts`: goTo(hit), accept(hit), say(text)
export function startSearch(acts) {
  const input = $("search");
  const list = $("hits");
  let hits = [];
  let chosen = -1;
  let asked = 0;
  let timer = null;

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(position) {
    chosen = position;
    [...list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === position)));
    const item = list.children[position];
    if (item) {
      input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function show() {
    list.replaceChildren(...hits.map(option));
    if (!hits.length) list.append(h("li", { class: "none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, t("no_hits", { query: input.value.trim() })));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(hits.length ? 0 : -1);
    acts.say(hits.length ? t("hits", { n: hits.length }) : t("no_hits", { query: input.value.trim() }));
  }

  function option(hit, position) {
    const label = labelOf(hit);
    const matched = hit.matched.text !== label.text ? ` ← ${hit.matched.text}${hit.matched.language ? ` (${hit.matched.language})` : ""}` : "";
    return h("li", { role: "option", id: `hit-${position}`, "aria-selected": "false", onmousedown: (event) => event.preventDefault(), onclick: (event) => take(hit, event.shiftKey) },
      h("span", { lang: label.language }, label.text, label.fallback ? h("span", { class: "lang" }, label.fallback) : null, h("span", { class: "quiet" }, matched)),
      h("span", { class: "of" }, facetLabel(hit.facet)),
      h("span", { class: "where" }, hit.path.slice(0, -1).map((step) => labelOf(step).text).join(" › "), hit.in_model ? "" : ` · ${t("not_in_model")}`));
  }

  function take(hit, accept) {
    close();
    input.value = "";
    if (accept) acts.accept(hit);
    else acts.goTo(hit);
  }

  async function look() {
    const text = input.value.trim();
    const turn = ++asked;
    if (!text) return close();
    const answer = await api.search(text, currentLanguage());
    if (turn !== asked) return; // the answer to an older query
    hits = answer.hits;
    show();
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, WAIT_MS); });
  input.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== input) close(); }, 150)); // a click on a hit comes first
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { if (list.hidden) input.value = ""; close(); return; }
    if (list.hidden || !hits.length) return;
    if (event.key === "ArrowDown") mark((chosen + 1) % hits.length);
    else if (event.key === "ArrowUp") mark((chosen - 1 + hits.length) % hits.length);
    else if (event.key === "Enter" && hits[chosen]) take(hits[chosen], event.shiftKey);
    else return;
    event.preventDefault();
  });
  return { translate: () => { input.placeholder = `${t("search")} – ${t("search_hint")}`; } };
}
