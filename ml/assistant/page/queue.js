// The queue of images along the lower edge, and the progress.
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { t, whole } from "./i18n.js";
import { state } from "./state.js";

const PAGE = 200;

export function takeProgress(next) {
  state.progress = next;
  $("progress-text").textContent = t("progress", { done: whole(next.done), all: whole(next.all) });
  $("progress-bar").max = Math.max(1, next.all);
  $("progress-bar").value = next.done + next.skipped;
}

export function renderQueue() {
  const list = $("queue");
  const items = state.queue.map((each) => h("li", {}, thumbnail(each)));
  if (state.queue.length < state.progress.all) items.push(h("li", {}, h("button", { type: "button", onclick: more }, t("load_more"))));
  const had = list.contains(document.activeElement);
  list.replaceChildren(...items);
  const current = list.querySelector('[aria-current="true"]');
  current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (had) current?.focus({ preventScroll: true });
  $("work").hidden = !state.image;
  $("empty").hidden = Boolean(state.image) || state.queue.length > 0;
}

function thumbnail(each) {
  const title = each.title || t("untitled");
  return h("button", {
    type: "button", class: "thumb", "data-state": each.state, "aria-current": each.image_id === state.image?.image_id ? "true" : null,
    "aria-label": `${title}, ${t(`${each.state}_mark`)}`, title, onclick: () => state.acts.open(each.image_id),
  },
  h("img", { src: `/api/images/${each.image_id}/thumbnail`, alt: "", loading: "lazy", width: 52, height: 52 }),
  each.state === "open" ? null : h("span", { class: "state", "aria-hidden": "true" }, each.state === "done" ? "✓" : "→"));
}

export const refreshQueue = () => load([]);

const more = () => load(state.queue);

async function load(before) {
  const answer = await api.queue(before.length, PAGE);
  state.queue = before.concat(answer.images.filter((each) => !before.some((known) => known.image_id === each.image_id)));
  takeProgress(answer.progress);
  renderQueue();
}
