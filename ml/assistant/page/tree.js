// One facet as a WAI-ARIA tree: suggestions and the branches to them are open, the rest is behind "+".
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { compare, labelOf, nameOfLanguage, number, t, whole } from "./i18n.js";
import { facetLabel } from "./state.js";

const PAGE = 100; // rows that "more" adds
const IMPLIED = "✓"; // for tags without a decision of their own

// What a suggestion is worth: how many of ten that were this sure were right on the validation images.
export const worthText = (ofTen) => t(ofTen === 0 ? "worth_none" : ofTen === 1 ? "worth_one" : ofTen === 10 ? "worth_all" : "worth_some", { n: whole(ofTen) });

export class FacetTree {
  // `acts`: accept(node), reject(node), about(node), say(text); `verdictOf(tag)`: accepted, implied, rejected or undefined.
  constructor(facet, nRoots, acts, verdictOf) {
    Object.assign(this, { facet, nRoots, acts, verdictOf });
    this.nodes = new Map();
    this.children = new Map(); // parent ("" for the top) -> ids, once loaded
    this.element = h("ul", { role: "tree", "aria-multiselectable": "true", id: `tree-${facet}`, "aria-labelledby": `title-${facet}` });
    this.title = h("h3", { id: `title-${facet}` });
    this.hint = h("span", { class: "quiet" });
    this.section = h("section", { class: "facet", id: `facet-${facet}`, "aria-labelledby": `title-${facet}` }, h("header", {}, this.title, this.hint), this.element);
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.element.addEventListener("click", (event) => this.onClick(event));
    this.element.addEventListener("focusin", (event) => this.activate(event.target.closest("[role=treeitem]")));
    this.typed = { text: "", at: 0 };
    this.reset();
  }

  reset() {
    this.suggested = new Map(); // tag -> {score, rank}
    this.above = {};
    this.threshold = null;
    this.focusSet = new Set();
    this.expanded = new Set();
    this.shown = new Map(); // parent -> how many rows beside those in focus
    this.active = null;
  }

  show(suggestions, nodes) {
    this.reset();
    this.learn(nodes);
    if (suggestions) {
      for (const tag of suggestions.tags) this.suggested.set(tag.tag_id, tag);
      this.above = suggestions.above;
      this.threshold = suggestions.threshold;
    }
    for (const tag of this.suggested.keys()) this.reveal(tag);
    if (this.suggested.size) this.active = suggestions.tags[0].tag_id;
  }

  learn(nodes) {
    for (const node of Object.values(nodes)) if (node.facet === this.facet) this.nodes.set(node.tag_id, node);
  }

  // Show a tag and the branch to it.
  reveal(tag) {
    let node = this.nodes.get(tag);
    while (node) {
      this.focusSet.add(node.tag_id);
      if (node.parent) this.expanded.add(node.parent);
      node = this.nodes.get(node.parent);
    }
  }

  async load(parent) {
    if (this.children.has(parent)) return;
    const { nodes } = parent === "" ? await api.roots(this.facet) : await api.children(parent);
    for (const node of nodes) this.nodes.set(node.tag_id, node);
    this.children.set(parent, nodes.map((node) => node.tag_id));
  }

  countOf(parent) {
    return parent === "" ? this.nRoots : (this.nodes.get(parent)?.n_children ?? 0);
  }

  rowsOf(parent) {
    const inFocus = [...this.focusSet].filter((tag) => (this.nodes.get(tag).parent ?? "") === parent);
    const extra = this.shown.get(parent) ?? 0;
    let tags = inFocus;
    if (extra > 0 && this.children.has(parent)) {
      const others = this.children.get(parent).filter((tag) => !this.focusSet.has(tag)).map((tag) => this.nodes.get(tag)).sort(compare);
      tags = inFocus.concat(others.slice(0, extra).map((node) => node.tag_id));
    }
    return tags.map((tag) => this.nodes.get(tag)).sort(compare);
  }

  render() {
    const focused = this.element.contains(document.activeElement);
    this.title.textContent = facetLabel(this.facet);
    const marked = this.threshold !== null && this.suggested.size > 0;
    const never = marked && this.threshold >= 1;
    this.hint.textContent = never ? t("never_sure") : marked ? t("sure_from") : "";
    this.hint.title = marked && !never ? t("threshold") : "";
    this.element.replaceChildren(...this.level("", 0, true, false));
    const items = [...this.element.querySelectorAll("[role=treeitem]")];
    const current = items.find((item) => item.dataset.key === this.active) ?? items[0];
    if (current) {
      current.tabIndex = 0;
      this.active = current.dataset.key;
      if (focused) current.focus({ preventScroll: true });
    }
  }

  level(parent, depth, parentSure, excluded) {
    const rows = this.rowsOf(parent);
    const left = this.countOf(parent) - rows.length;
    const folded = (this.shown.get(parent) ?? 0) > 0 && left <= 0 && rows.length > PAGE / 4 && rows.some((node) => this.focusSet.has(node.tag_id));
    const size = rows.length + (left > 0 || folded ? 1 : 0);
    const items = rows.map((node, position) => this.item(node, depth, position + 1, size, parentSure, excluded));
    if (left > 0) items.push(this.moreItem(parent, depth, size, `+ ${t("more", { n: whole(left) })}`, "more"));
    else if (folded) items.push(this.moreItem(parent, depth, size, `− ${t("fewer")}`, "fewer"));
    return items;
  }

  scoreOf(tag) {
    return this.suggested.get(tag)?.score ?? this.above[tag] ?? null;
  }

  item(node, depth, position, size, parentSure, excludedAbove) {
    const tag = node.tag_id;
    const label = labelOf(node);
    const suggestion = this.suggested.get(tag);
    const score = this.scoreOf(tag);
    const sure = this.threshold === null || score === null || score >= this.threshold;
    const turns = depth > 0 && parentSure && !sure;
    const verdict = this.verdictOf(tag) ?? (excludedAbove ? "excluded" : "none");
    const open = this.expanded.has(tag);
    const hasChildren = node.n_children > 0;
    const text = [label.text];
    if (label.fallback) text.push(t("fallback", { language: nameOfLanguage(label.fallback) }));
    if (suggestion) text.push(suggestion.of_ten === null ? t("suggested", { rank: suggestion.rank, score: number(suggestion.score) }) : t("suggested_worth", { rank: suggestion.rank, n: whole(suggestion.of_ten) }));
    if (turns) text.push(t("unsure"));
    if (verdict !== "none") text.push(t(`state.${verdict}`));
    const item = h("li", {
      role: "treeitem", class: `${verdict}${suggestion ? " suggested" : ""}${sure ? "" : " low"}`, id: `item-${tag}`, tabindex: -1,
      "data-key": tag, "aria-level": depth + 1, "aria-posinset": position, "aria-setsize": size, "aria-label": text.join(", "),
      "aria-selected": verdict === "accepted" || verdict === "implied" ? "true" : "false", "aria-expanded": hasChildren ? String(open) : null,
    });
    const toggle = hasChildren
      ? h("button", { type: "button", class: "toggle", tabindex: -1, "data-act": "toggle", "aria-hidden": "true" }, open ? "−" : "+")
      : h("span", { class: "toggle", "aria-hidden": "true" });
    const name = h("span", { class: "name", lang: label.language }, label.text);
    if (label.fallback) name.append(h("span", { class: "lang", title: t("fallback", { language: nameOfLanguage(label.fallback) }), lang: label.fallback }, label.fallback));
    if (turns) name.append(h("span", { class: "unsure", title: t("unsure"), lang: document.documentElement.lang }, t("unsure_short")));
    const choice = (act, sign, kind, word) =>
      h("button", { type: "button", class: kind, tabindex: -1, "data-act": act, "aria-label": t(word, { tag: label.text }), title: t(word, { tag: label.text }) }, h("span", { "aria-hidden": "true" }, sign));
    item.append(
      h("div", { class: "node", vars: { "--depth": depth } }, toggle, name, this.scoreBar(score, suggestion?.of_ten),
        h("span", { class: "mark", "aria-hidden": "true" }, verdict === "implied" ? IMPLIED : ""),
        h("span", { class: "choices" },
          choice("accept", "✓", "yes", verdict === "accepted" ? "withdraw_tag" : "accept_tag"),
          choice("reject", "✕", "no", verdict === "rejected" ? "withdraw_tag" : "reject_tag"),
          choice("about", "i", "about", "about_this"))));
    if (hasChildren && open) item.append(h("ul", { role: "group" }, this.level(tag, depth + 1, sure && score !== null, verdict === "rejected" || verdict === "excluded")));
    return item;
  }

  // How many of ten suggestions this sure were right; where that is not known, the score with the mark of sureness.
  // Only suggestions were counted, so the tags above them have no such number.
  scoreBar(score, ofTen) {
    if (score === null || (ofTen === undefined && this.isCounted())) return null;
    const counted = Number.isInteger(ofTen);
    const width = Math.max(0, Math.min(1, counted ? ofTen / 10 : score));
    const bar = h("span", { class: "bar" }, h("i", { vars: { width: `${width * 100}%` } }));
    if (!counted && this.threshold !== null && this.threshold < 1) bar.append(h("b", { vars: { "inset-inline-start": `${Math.min(1, this.threshold) * 100}%` } }));
    return h("span", { class: "score", "aria-hidden": "true", title: counted ? worthText(ofTen) : null }, bar, counted ? `${whole(ofTen)}/${whole(10)}` : number(score));
  }

  isCounted() {
    return [...this.suggested.values()].some((each) => Number.isInteger(each.of_ten));
  }

  moreItem(parent, depth, size, text, kind) {
    const key = `${kind}:${parent}`;
    return h("li", { role: "treeitem", class: "more", id: `item-${this.facet}-${kind}-${parent}`, tabindex: -1, "data-key": key, "aria-level": depth + 1, "aria-posinset": size, "aria-setsize": size, "aria-selected": "false" },
      h("div", { class: "node", vars: { "--depth": depth }, "data-act": kind }, h("span", { class: "toggle", "aria-hidden": "true" }), h("span", { class: "name" }, text)));
  }

  activate(item) {
    if (!item) return;
    this.element.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    item.tabIndex = 0;
    this.active = item.dataset.key;
  }

  focus(key = this.active) {
    const item = [...this.element.querySelectorAll("[role=treeitem]")].find((each) => each.dataset.key === key) ?? this.element.querySelector('[tabindex="0"]');
    item?.focus();
    item?.scrollIntoView({ block: "nearest" });
  }

  async goTo(tag, nodes) {
    this.learn(nodes);
    this.reveal(tag);
    this.active = tag;
    this.render();
    const item = $(`item-${tag}`);
    item?.scrollIntoView({ block: "center" });
    item?.focus({ preventScroll: true });
  }

  async toggle(tag, open = !this.expanded.has(tag)) {
    const node = this.nodes.get(tag);
    if (!node?.n_children) return;
    if (open) {
      this.expanded.add(tag);
      if (this.rowsOf(tag).length === 0) await this.more(tag, false);
    } else {
      this.expanded.delete(tag);
    }
    this.render();
  }

  async more(parent, render = true) {
    const before = new Set(this.rowsOf(parent).map((node) => node.tag_id));
    await this.load(parent);
    this.shown.set(parent, (this.shown.get(parent) ?? 0) + PAGE);
    if (render) {
      if (this.active?.startsWith("more:")) this.active = this.rowsOf(parent).find((node) => !before.has(node.tag_id))?.tag_id ?? this.active;
      this.render();
    }
  }

  fewer(parent) {
    this.shown.delete(parent);
    this.active = this.rowsOf(parent)[0]?.tag_id ?? null;
    this.render();
  }

  onClick(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item) return;
    const act = event.target.closest("[data-act]")?.dataset.act;
    const key = item.dataset.key;
    this.activate(item);
    item.focus({ preventScroll: true });
    if (key.startsWith("more:") || key.startsWith("fewer:")) return void this.perform("press", key);
    if (act) return void this.perform(act, key);
    if (this.nodes.get(key).n_children) this.toggle(key);
  }

  perform(act, key) {
    if (key.startsWith("more:")) return act === "press" ? this.more(key.slice(5)) : undefined;
    if (key.startsWith("fewer:")) return act === "press" ? this.fewer(key.slice(6)) : undefined;
    const node = this.nodes.get(key);
    if (act === "toggle") return this.toggle(key);
    if (act === "press") return node.n_children ? this.toggle(key) : this.acts.accept(node);
    return this.acts[act](node);
  }

  // WAI-ARIA Authoring Practices, tree view; letters that are shortcuts type ahead with Shift.
  onKey(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = item.dataset.key;
    const items = [...this.element.querySelectorAll("[role=treeitem]")];
    const at = items.indexOf(item);
    const go = (target) => { target?.focus(); target?.scrollIntoView({ block: "nearest" }); };
    const typing = this.typed.text !== "" && event.timeStamp - this.typed.at < 700;
    const singles = this.acts.singleKeys();
    let handled = true;
    if (event.key === "ArrowDown") go(items[at + 1]);
    else if (event.key === "ArrowUp") go(items[at - 1]);
    else if (event.key === "Home") go(items[0]);
    else if (event.key === "End") go(items.at(-1));
    else if (event.key === "ArrowRight") {
      if (item.getAttribute("aria-expanded") === "false") this.toggle(key, true);
      else if (item.getAttribute("aria-expanded") === "true") go(item.querySelector("[role=treeitem]"));
    } else if (event.key === "ArrowLeft") {
      if (item.getAttribute("aria-expanded") === "true") this.toggle(key, false);
      else go(item.parentElement.closest("[role=treeitem]"));
    } else if (event.key === "Enter") this.perform("press", key);
    else if (event.key === " " && !(typing && this.typeAhead(event, items, at))) this.perform(key.includes(":") ? "press" : "accept", key);
    else if (event.key === "Delete") this.perform("reject", key);
    else if (event.key === "*") this.openLevel(item);
    else if (singles && !typing && ["a", "r", "i"].includes(event.key)) this.perform({ a: "accept", r: "reject", i: "about" }[event.key], key);
    else if (event.key.length === 1 && event.key !== " " && /[\p{L}\p{N} '-]/u.test(event.key) && !(singles && !typing && this.acts.isGlobal(event.key))) this.typeAhead(event, items, at);
    else handled = false;
    if (handled) {
      event.preventDefault();
      event.stopPropagation();
      this.acts.clicked();
    }
  }

  async openLevel(item) {
    const siblings = [...item.parentElement.children].filter((each) => each.getAttribute("aria-expanded") === "false");
    for (const each of siblings.slice(0, PAGE)) {
      this.expanded.add(each.dataset.key);
      if (this.rowsOf(each.dataset.key).length === 0) await this.more(each.dataset.key, false);
    }
    this.render();
  }

  typeAhead(event, items, at) {
    const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    const fresh = event.timeStamp - this.typed.at > 700;
    const text = (fresh ? "" : this.typed.text) + fold(event.key);
    const from = text.length > 1 ? at : at + 1;
    const order = [...items.slice(from), ...items.slice(0, from)];
    const found = order.find((item) => this.nodes.has(item.dataset.key) && fold(labelOf(this.nodes.get(item.dataset.key)).text).startsWith(text));
    if (!found && event.key === " ") return false; // no label continues like this: the space accepts the tag
    this.typed = { text, at: event.timeStamp };
    found?.focus();
    found?.scrollIntoView({ block: "nearest" });
    return true;
  }
}
